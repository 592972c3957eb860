"""A node that lies, and a gateway that takes it for its price, beside a network of ``scripts/runs/page_network.py``.

    python -m scripts.runs.page_liar HOME RPC

The node serves the network's first layers for a thousandth of the others' price, as it is slower. It alters one
element of one answer, that to ``PROMPT``. Its signatures are right, and it defends its lie in a dispute. Nobody has
asked this gateway yet, so it has no sessions with other nodes. Prints one line of JSON: ``address`` and ``key`` of the
gateway, ``prompt``, ``node`` and ``layers`` of the liar, ``answers``: a folder, and ``watch``: the command of a watcher
that judges the answer files in it. Stays up until its standard input ends.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from nexus_chain.chain.connection import connect
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployment import Deployment
from nexus_chain.chain.local import LOCAL_CHAIN_ID, LocalChain, free_port
from nexus_chain.errors import NexusError
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.workflows.local_network.plan import NODE_WEI_PER_TOKEN
from nexus_chain.workflows.local_network.state import NetworkState, ServedVersion
from scripts.runs.demo_network import ROOT, STAKE_WEI, DemoError, ShardProcess, running, shard_settings
from scripts.runs.lying_node import choose_lie, environment

PASSWORD = "correct horse"
PROMPT = "def mean(values):\n"
SEED = 20
CREDIT_WEI = 10**18
START_SECONDS = 300


def main() -> int:
    """Serve until the input ends; returns 1 where something does not start."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("rpc")
    wanted = parser.parse_args()
    home: Path = wanted.home
    with tempfile.TemporaryDirectory(prefix="nexus-liar-") as temporary:
        try:
            serve(home, LocalChain(wanted.rpc, LOCAL_CHAIN_ID, 0, connect(wanted.rpc)), Path(temporary))
        except (DemoError, NexusError) as error:
            print(f"page_liar failed: {error}", file=sys.stderr)
            return 1
    return 0


def serve(home: Path, chain: LocalChain, folder: Path) -> None:
    """Liar and gateway, until the input ends. Raises DemoError and the project's errors."""
    ((name, served), *_) = NetworkState.load(home / "network.json").published.items()
    deployment = home / "deployments" / f"{LOCAL_CHAIN_ID}.json"
    liar = lying_node(home, chain, deployment, served, folder / "liar")
    watcher = ShardProcess("watcher", folder / "watcher", ["--rpc", chain.rpc_url, "--deployment", str(deployment)])
    watcher.create_wallet(chain, PASSWORD)
    answers = folder / "answers"
    answers.mkdir()
    judged = ["--answers", str(answers), "--model-dir", str(home / "models"), "--policy", "full"]
    with running([liar]), gateway(home, chain, deployment, f"{name}={served.version}", folder / "gateway") as address:
        start, end = layers_of(served.shards[0])
        said = {
            "address": address,
            "key": (folder / "gateway" / "key").read_text().strip(),
            "prompt": PROMPT,
            "node": liar.address,
            "layers": [start, end],
            "answers": str(answers),
            "watch": watcher.command("watch", *judged, "--interval", "0.5", "--until-idle", "--json"),
        }
        print(json.dumps(said), flush=True)
        sys.stdin.read()


def layers_of(shard: str) -> tuple[int, int]:
    """[start, end) by the name of a shard's file."""
    _, start, end = Path(shard).stem.split("-")
    return int(start), int(end)


def lying_node(home: Path, chain: LocalChain, deployment: Path, served: ServedVersion, folder: Path) -> ShardProcess:
    """The liar, registered and serving."""
    version, shard = bytes.fromhex(served.version.removeprefix("0x")), served.shards[0]
    settings = shard_settings(chain, deployment, shard, version, NODE_WEI_PER_TOKEN // 1000)
    node = ShardProcess("liar", folder, [*settings, "--home", str(home)])
    node.create_wallet(chain, PASSWORD)
    node.run("register", "--stake", str(STAKE_WEI))
    files = ModelFiles(Path(shard).parents[1])
    model = files.model(Contracts.at(chain.connection, Deployment.load(deployment)).models.version(version))
    prompt = torch.tensor(files.codec.encode(PROMPT), dtype=torch.int32)
    lie = choose_lie(model.program, model.weights, layers_of(shard), prompt, SEED, "linear")
    node.program, node.environment = (str(ROOT / "scripts" / "runs" / "lying_node.py"),), environment(lie)
    node.launch()
    node.wait_until_serving()
    return node


@contextmanager
def gateway(home: Path, chain: LocalChain, deployment: Path, model: str, folder: Path) -> Iterator[str]:
    """A gateway of its own, with play money; its address. Raises DemoError."""
    place = ShardProcess("gateway", folder, [])
    place.create_wallet(chain, PASSWORD)
    port = free_port()
    command = [
        sys.executable, "-m", "node.gateway.main", "--home", str(folder), "--password-file", str(folder / "password"),
        "--rpc", chain.rpc_url, "--deployment", str(deployment), "--model-dir", str(home / "models"), "--model", model,
        "--listen", f"127.0.0.1:{port}", "--operator-key-file", str(folder / "key"),
        "--operator-credit", str(CREDIT_WEI), "--verify-rate", "0",
    ]  # fmt: skip
    with (folder / "log").open("w") as log, subprocess.Popen(command, cwd=ROOT, stderr=log) as process:
        try:
            until = time.monotonic() + START_SECONDS
            while " at http://" not in (folder / "log").read_text():
                if process.poll() is not None or time.monotonic() > until:
                    raise DemoError(f"the gateway did not start: {(folder / 'log').read_text().strip()}")
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())
