"""A real chain, a real market, a published tiny model, and nodes as processes of their own."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployer import ArtefactCreator, deploy
from nexus_chain.chain.deployment import Deployment
from nexus_chain.chain.local import DEVELOPMENT_KEYS, LocalChain, anvil, free_port
from nexus_chain.chain.model_registry import ModelVersion, SemVer
from nexus_chain.chain.wallet import Wallet
from nexus_chain.commitments.tensor_block import write_tensor_block
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.market.documents import Line
from nexus_chain.program import PRESETS, IntegerModel, random_model
from nexus_chain.wire.peer import NodeContact
from tests.support.waiting import WAIT

ROOT = Path(__file__).resolve().parents[2]
SPLIT = ((0, 1), (1, 3))
PRICE = 10**9
PASSWORD = "correct horse"
MODEL: IntegerModel = random_model(PRESETS["tiny"], seed=4)


@dataclass
class Network:
    """One chain for all tests of a module."""

    chain: LocalChain
    folder: Path
    deployment_path: Path
    deployment: Deployment
    version: bytes
    user: Contracts

    def block(self, start: int, end: int) -> Path:
        return self.folder / f"block-{start}-{end}.safetensors"

    def open_session(self, nodes: list[NodeProcess], cap: int, lifetime: int = 600) -> tuple[bytes, Wallet]:
        """A session of the user with a cap for every node; its id and key."""
        key = Wallet.ephemeral()
        expiry = self.user.market.now() + lifetime
        caps = [Line(node.address, cap) for node in nodes]
        session, _ = self.user.market.open(key.address, expiry, caps, secrets.token_bytes(32))
        return session, key


@contextmanager
def network(folder: Path) -> Iterator[Network]:
    """Anvil, the contracts, a published model and its blocks."""
    with anvil() as chain:
        payer = Wallet.from_hex(DEVELOPMENT_KEYS[0])
        path = folder / "deployment.json"
        creator = ArtefactCreator(chain.connection, payer)
        deployment, _ = deploy(creator, payer.address, preset="local", path=path)
        user = Contracts.at(chain.connection, deployment, payer)
        commitment = ModelCommitment.of(MODEL)
        stated = ModelVersion(
            commitment.weights_root, commitment.program_root, bytes([3]) * 32, PRICE, 3, SemVer(1, 0, 0), "bafkqaaa"
        )
        version, _ = user.models.publish(stated)
        made = Network(chain, folder, path, deployment, version, user)
        for start, end in SPLIT:
            write_tensor_block(MODEL, made.block(start, end), start, end, commitment)
        yield made


@dataclass
class NodeProcess:
    """A ``nexus-node`` with its own wallet, folder and port."""

    network: Network
    folder: Path
    start_layer: int
    end_layer: int
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    chain_id: int = 31337
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        wallet = Wallet.create(self.folder / "wallet.json", PASSWORD, work=2**10)
        (self.folder / "password").write_text(PASSWORD + "\n")
        self.address = wallet.address
        self.network.chain.set_balance(wallet.address, 10**18)

    def command(self, *words: str) -> list[str]:
        return [
            sys.executable, "-m", "node.daemon",
            "--data", str(self.folder),
            "--password-file", str(self.folder / "password"),
            "--rpc", self.network.chain.rpc_url,
            "--chain-id", str(self.chain_id),
            "--deployment", str(self.network.deployment_path),
            "--block", str(self.network.block(self.start_layer, self.end_layer)),
            "--model-version", "0x" + self.network.version.hex(),
            "--price", str(PRICE),
            "--listen", f"127.0.0.1:{self.port}",
            "--threads", "1",
            "--settle-interval", "0.5",
            "--withdraw-above", "0",
            "--drain", "5",
            *self.extra,
            *words,
        ]  # fmt: skip

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One command, to its end."""
        return subprocess.run(self.command(*words), cwd=ROOT, capture_output=True, text=True, timeout=WAIT)

    def start(self) -> str:
        """Start the daemon and wait until it serves; the line that says so."""
        log = (self.folder / "stderr").open("a")
        self.process = subprocess.Popen(
            self.command("start"), cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, env=dict(os.environ)
        )
        log.close()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (self.folder / "stderr").read_text()
        return line

    def kill(self) -> None:
        """SIGKILL, as a power cut of the process."""
        assert self.process is not None
        self.process.kill()
        self._reap()

    def stop(self) -> str:
        """SIGTERM; what it said until its end."""
        assert self.process is not None
        self.process.terminate()
        return self._reap()

    def _reap(self) -> str:
        assert self.process is not None
        said, _ = self.process.communicate(timeout=WAIT)
        self.code = self.process.returncode
        self.process = None
        return said

    @property
    def contact(self) -> NodeContact:
        record = self.network.user.nodes.node(self.address)
        layers = (self.start_layer, self.end_layer)
        return NodeContact(self.address, record.endpoint, record.tls_key_hash, record.receipt_key, *layers, PRICE)
