"""Tokens per second of the shipped model through two node processes, against one engine in one process.

A local chain, the published model, two ``nexus-node`` processes with one engine thread each, and a client that
signs, pays and checks receipts. Each round asks for the same answer through the nodes and from an engine
with one thread in this process, one after the other; figures are medians over rounds, of decoding after
the first token. The client drafts, as ``nexus ask`` does; the engine decodes token by token.
Writes ``build/bench/serving.json``: ``{nodes,engine}_tokens_per_second``, ``ratio``, ``bar``.

    python -m scripts.bench.serving [--tokens 128] [--rounds 9]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from pathlib import Path

import torch

from nexus_chain.chain.local import LocalChain, anvil
from nexus_chain.engine.engine import Engine
from nexus_chain.engine.generation import generate
from nexus_chain.errors import NexusError
from nexus_chain.program import IntegerModel
from nexus_chain.versions.model_files import ModelFiles
from node.daemon.configuration import NodeConfiguration
from scripts.bench.record import write_record
from scripts.runs.demo_network import (
    ROOT,
    STAKE_WEI,
    DemoError,
    ShardProcess,
    deploy_through_ape,
    in_parallel,
    nexus,
    running,
    set_user_environment,
    shard_settings,
)

FOLDER = ROOT / "build" / "bench-serving"
REPORT = ROOT / "build" / "bench" / "serving.json"
CHECKPOINT = ROOT / "nexus_chain" / "models" / "python-stdlib"
PASSWORD = "bench user"  # play money on a chain that ends with the bench
PROMPT = "import os\nimport sys\n\nclass Queue:\n    def __init__(self):\n"
BAR = 0.6


def publish(chain: LocalChain) -> tuple[bytes, Path, list[str]]:
    """Contracts, wallet and model on the chain: (version, deployment file, shard files)."""
    deployment = FOLDER / "deployment.json"
    deploy_through_ape(chain.rpc_url, deployment)
    set_user_environment(FOLDER / "user", chain.rpc_url, deployment, PASSWORD)
    chain.set_balance(nexus("wallet", "new")["address"], 10**18)
    version = bytes.fromhex(nexus("model", "publish", str(CHECKPOINT))["model_version"][2:])
    folder = FOLDER / "user" / "models" / version.hex()[:16]
    shards = nexus("model", "shard", str(folder), "--shards", "2", "--out", str(FOLDER / "shards"))["shards"]
    return version, deployment, [shard["file"] for shard in shards]


def start(chain: LocalChain, deployment: Path, version: bytes, blocks: list[str]) -> list[ShardProcess]:
    """Two nodes, one for each shard, staked and serving."""
    nodes = [
        ShardProcess(
            f"node {number}",
            FOLDER / f"node-{number}",
            shard_settings(chain, deployment, block, version, 1, settle_seconds=NodeConfiguration.settle_interval),
        )
        for number, block in enumerate(blocks)
    ]
    for node in nodes:
        node.create_wallet(chain, PASSWORD)
    in_parallel(nodes, "register", "--stake", str(STAKE_WEI))
    for node in nodes:
        node.launch()
    return nodes


def by_engine(engine: Engine, prompt: list[int], tokens: int) -> float:
    """Tokens per second after the first one."""
    stream = generate([engine], prompt, tokens)
    next(stream)
    began = time.perf_counter()
    count = sum(1 for _ in stream)
    return count / (time.perf_counter() - began)


def measure(version: bytes, tokens: int, rounds: int) -> dict[str, list[float]]:
    """Tokens per second by side; the first round warms up and is not counted."""
    files = ModelFiles(FOLDER / "user" / "models" / version.hex()[:16])
    model = IntegerModel.load(files.folder)
    engine, prompt = Engine(model.program, model.weights, threads=1), files.prompt_of(PROMPT, tokens)
    nexus("session", "open", "--tokens", str((rounds + 1) * (len(prompt) + tokens + 32)))
    speeds: dict[str, list[float]] = {"nodes": [], "engine": []}
    for number in range(rounds + 1):
        answer = nexus("ask", PROMPT, "--max-tokens", str(tokens))
        alone = by_engine(engine, prompt, len(answer["tokens"]))
        if number:
            speeds["nodes"].append(float(answer["tokens_per_second"]))
            speeds["engine"].append(alone)
    return speeds


def run(tokens: int, rounds: int) -> dict[str, list[float]]:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with anvil() as chain:
        version, deployment, blocks = publish(chain)
        nodes = start(chain, deployment, version, blocks)
        with running(nodes):
            for node in nodes:
                node.wait_until_serving()
            return measure(version, tokens, rounds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        speeds = run(options.tokens, options.rounds)
    except (DemoError, NexusError) as error:
        print(f"bench-serving: {error}", file=sys.stderr)
        return 1
    nodes, engine = (statistics.median(speeds[side]) for side in ("nodes", "engine"))
    report = {
        "nodes_tokens_per_second": nodes,
        "engine_tokens_per_second": engine,
        "ratio": nodes / engine,
        "bar": BAR,
        "tokens": options.tokens,
        "rounds": options.rounds,
    }
    print(json.dumps(write_record(REPORT, report), indent=2))
    if nodes / engine < BAR:
        print(f"bench-serving: ratio {nodes / engine:.2f} is under the bar of {BAR}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
