"""A real chain, a published random model with a tokenizer, four node processes, a funded user."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tokenizers import ByteLevelBPETokenizer

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployer import ArtefactCreator, deploy
from nexus_chain.chain.local import DEVELOPMENT_KEYS, anvil
from nexus_chain.chain.model_registry import ModelVersion, SemVer
from nexus_chain.chain.wallet import Wallet
from nexus_chain.client.client import Client
from nexus_chain.client.home import ClientHome
from nexus_chain.commitments.tensor_block import write_tensor_block
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.engine.engine import Engine
from nexus_chain.program import IntegerModel, ModelShape, random_model
from nexus_chain.program.sampling import Sampling
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.wire.tls_peer import dial
from tests.support.network import PRICE, Network, NodeProcess

ROOT = Path(__file__).resolve().parents[2]

SHAPE = ModelShape(layers=3, width=64, heads=4, kv_heads=2, head_dim=16, ffn=96, vocab=300, context=200)
SPLIT = ((0, 1), (1, 3))
PASSWORD = "battery staple"
STAKE = str(10**17)


def write_model(folder: Path, shape: ModelShape = SHAPE) -> IntegerModel:
    """A random model of a shape and a byte-level tokenizer of at most its vocabulary, no end token among it."""
    model = random_model(shape, seed=11)
    model.save(folder)
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(["def fib(n):\n    return n\n"] * 4, vocab_size=shape.vocab, show_progress=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    return model


@dataclass
class LiveNetwork:
    """Everything a client test needs. ``nodes[s]`` are the processes that serve segment s."""

    net: Network
    folder: Path
    model: IntegerModel
    files: ModelFiles
    nodes: tuple[list[NodeProcess], ...]
    user: Wallet
    clients: list[Client] = field(default_factory=list)

    @property
    def version(self) -> bytes:
        return self.net.version

    def client(self, wallet: Wallet | None = None, name: str = "home") -> Client:
        """A client with its own home, or the one of that name again."""
        contracts = Contracts.at(self.net.chain.connection, self.net.deployment, wallet or self.user)
        made = Client(contracts, ClientHome(self.folder / name), dial)
        self.clients.append(made)
        return made

    def expected(self, prompt: str, count: int, sampling: Sampling | None = None) -> list[int]:
        """The program's own answer, without any node."""
        tokens = self.files.codec.encode(prompt)
        engine = Engine(self.model.program, self.model.weights)
        state = engine.open(len(tokens), sampling or Sampling(), SHAPE.context)
        rows, found = torch.tensor(tokens, dtype=torch.int32), []
        for _ in range(count):
            rows = engine.forward([(state, rows)])[0]
            found.append(int(rows[0]))
        return found

    def start(self, node: NodeProcess) -> None:
        """Start a stopped node again."""
        if node.process is None:
            node.start()

    def start_all(self) -> None:
        for group in self.nodes:
            for node in group:
                self.start(node)


def _join(node: NodeProcess) -> None:
    done = node.run("register", "--stake", STAKE)
    assert done.returncode == 0, done.stderr
    node.start()


@contextmanager
def live_network(
    folder: Path,
    shape: ModelShape = SHAPE,
    split: Sequence[tuple[int, int]] = SPLIT,
    copies: int = 2,
    options: Sequence[str] = (),
) -> Iterator[LiveNetwork]:
    """Anvil, contracts, model, ``copies`` nodes for each segment of ``split``; all stopped in the end.

    ``options``: more of the daemons' own.
    """
    with anvil() as chain:
        publisher = Wallet.from_hex(DEVELOPMENT_KEYS[0])
        path = folder / "deployment.json"
        creator = ArtefactCreator(chain.connection, publisher)
        deployment, _ = deploy(creator, publisher.address, preset="local", path=path)
        contracts = Contracts.at(chain.connection, deployment, publisher)
        model = write_model(folder / "model", shape)
        files = ModelFiles(folder / "model")
        commitment = ModelCommitment.of(model)
        stated = ModelVersion(
            commitment.weights_root,
            commitment.program_root,
            hashlib.sha256((folder / "model" / "tokenizer.json").read_bytes()).digest(),
            2 * PRICE,
            shape.layers,
            SemVer(1, 0, 0),
            "bafkqaaa",
        )
        version, _ = contracts.models.publish(stated)
        net = Network(chain, folder, path, deployment, version, contracts)
        for start, end in split:
            write_tensor_block(model, net.block(start, end), start, end, commitment)
        nodes = tuple(
            [
                NodeProcess(net, folder / f"node-{start}-{copy}", start, end, extra=tuple(options))
                for copy in range(copies)
            ]
            for start, end in split
        )
        try:
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(_join, [node for group in nodes for node in group]))
            live = LiveNetwork(net, folder, model, files, nodes, Wallet.from_hex(DEVELOPMENT_KEYS[1]))
            yield live
            for client in live.clients:
                client.close()
        finally:
            for node in (node for group in nodes for node in group):
                if node.process is not None:
                    node.kill()
