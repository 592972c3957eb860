"""A real pretrained encoder, all-MiniLM-L6-v2, served end to end: publish, shard, stake, embed, pay, verify.

A local chain, the model published without a certificate (somebody else trained it), two ``nexus-node``
processes with its shards, and a user who embeds sentences in one session. Every embedding must be the local
engine's bit for bit, every answer must verify by recomputation, and sentences of one meaning must be nearer
to each other than to the rest. The model is fetched as ``bench_embeddings.py`` does. Writes
``build/demo-embeddings.json``; exit code 1 and one line where anything differs.

    python -m scripts.runs.demo_embeddings
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nexus_chain.chain.local import LocalChain, anvil
from nexus_chain.engine.embedding import embeddings
from nexus_chain.engine.engine import Engine
from nexus_chain.errors import NexusError
from nexus_chain.program import IntegerModel
from nexus_chain.versions.model_files import ModelFiles
from scripts.bench.embeddings import MODEL, nearest
from scripts.fetched import fetched
from scripts.runs.demo_network import (
    ROOT,
    STAKE_WEI,
    DemoError,
    ShardProcess,
    deploy_through_ape,
    in_parallel,
    nexus,
    nexus_verdict,
    running,
    set_user_environment,
    shard_settings,
)

FOLDER = ROOT / "build" / "demo-embeddings"
REPORT = ROOT / "build" / "demo-embeddings.json"
PASSWORD = "demo user"  # play money on a chain that ends with the demo
PRICE_WEI = 10**9  # per position and segment
#: Pairs of one meaning, one after the other: the nearest of each is its partner.
SENTENCES = (
    "A man is playing a guitar on stage.",
    "Someone performs music with a guitar in front of an audience.",
    "The central bank raised interest rates to fight inflation.",
    "To slow rising prices, monetary policy was tightened.",
    "My cat sleeps on the sofa all day.",
    "The kitten naps on the couch from morning to night.",
    "Die Bäckerei öffnet um sechs Uhr; naïve façades – 東京!",
    "Die Bäckerei macht um sechs Uhr auf; naïve façades – 東京!",
)


@dataclass(frozen=True)
class Served:
    """The published version, its shard files, and where the contracts and the integer model are."""

    version: bytes
    blocks: list[str]
    deployment: Path
    files: ModelFiles


def publish(chain: LocalChain, checkpoint: Path) -> Served:
    """Contracts, wallet and model on the chain; the model's two shards."""
    deployment = FOLDER / "deployment.json"
    deploy_through_ape(chain.rpc_url, deployment)
    set_user_environment(FOLDER / "user", chain.rpc_url, deployment, PASSWORD)
    chain.set_balance(nexus("wallet", "new")["address"], 10**18)
    words = ("--uncertified", "--name", "all-MiniLM-L6-v2", "--price", str(2 * PRICE_WEI))
    version = bytes.fromhex(nexus("model", "publish", str(checkpoint), *words)["model_version"][2:])
    folder = FOLDER / "user" / "models" / version.hex()[:16]
    shards = nexus("model", "shard", str(folder), "--shards", "2", "--out", str(FOLDER / "shards"))["shards"]
    return Served(version, [shard["file"] for shard in shards], deployment, ModelFiles(folder))


def start(chain: LocalChain, served: Served) -> list[ShardProcess]:
    """A node for each shard, staked and launched."""
    nodes = [
        ShardProcess(
            f"node {number}",
            FOLDER / f"node-{number}",
            shard_settings(chain, served.deployment, block, served.version, PRICE_WEI),
        )
        for number, block in enumerate(served.blocks)
    ]
    for node in nodes:
        node.create_wallet(chain, PASSWORD)
    in_parallel(nodes, "register", "--stake", str(STAKE_WEI))
    for node in nodes:
        node.launch()
    return nodes


def by_engine(files: ModelFiles, sentences: tuple[str, ...]) -> Tensor:
    """i32[n, width]: the embeddings of one engine in this process, without any node."""
    model = IntegerModel.load(files.folder)
    engine = Engine(model.program, model.weights, 0, model.program.shape.layers - 1)
    return embeddings(engine, [torch.tensor(files.prompt_of(text, 1), dtype=torch.int32) for text in sentences])


def embed(files: ModelFiles, sentences: tuple[str, ...]) -> list[dict[str, Any]]:
    """One answer for each sentence, paid in one session."""
    tokens = sum(len(files.prompt_of(text, 1)) + 1 for text in sentences)
    nexus("session", "open", "--tokens", str(2 * tokens))
    answers: list[dict[str, Any]] = nexus("embed", *sentences)["answers"]
    return answers


def check(answers: list[dict[str, Any]], files: ModelFiles, sentences: tuple[str, ...]) -> None:
    """Raise DemoError unless bits, verdicts and meanings are right."""
    found, expected = torch.tensor([answer["embedding"] for answer in answers]), by_engine(files, sentences)
    for text, served, alone in zip(sentences, found, expected, strict=True):
        if not torch.equal(served, alone.long()):
            raise DemoError(f"the nodes' embedding of {text!r} is not the engine's")
    for answer, text in zip(answers, sentences, strict=True):
        code, verdict = nexus_verdict("verify", answer["answer_file"])
        if code != 0 or not (verdict["verified"] and verdict["recomputed"]):
            raise DemoError(f"the answer to {text!r} does not verify: {json.dumps(verdict)}")
    partners = nearest(torch.nn.functional.normalize(found.double())).tolist()
    if partners != [number ^ 1 for number in range(len(sentences))]:
        raise DemoError(f"the nearest sentences are {partners}, which are not those of the same meaning")


def run(checkpoint: Path, sentences: tuple[str, ...] = SENTENCES) -> dict[str, Any]:
    """The whole demo; its facts. Raises DemoError and NexusError."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    began = time.perf_counter()
    with anvil() as chain:
        served = publish(chain, checkpoint)
        nodes = start(chain, served)
        with running(nodes):
            for node in nodes:
                node.wait_until_serving()
            answers = embed(served.files, sentences)
        check(answers, served.files, sentences)
    return {
        "model": MODEL,
        "model_version": "0x" + served.version.hex(),
        "shards": [Path(block).name for block in served.blocks],
        "sentences": len(answers),
        "width": len(answers[0]["embedding"]),
        "receipts": sum(len(answer["receipts"]) for answer in answers),
        "paid_wei": sum(int(answer["cost_wei"]) for answer in answers),
        "same_bits": True,
        "verified": True,
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> int:
    try:
        facts = run(fetched(MODEL))
    except (DemoError, NexusError) as error:
        print(f"demo-embeddings: {error}", file=sys.stderr)
        return 1
    REPORT.write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
