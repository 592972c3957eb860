"""What honesty costs: time spent on commitments and signatures as a share of serving time.

Two nodes serve a model's halves through their own serving code in this process, without network and chain. They serve
one client at a time. This is the dearest case, because a batch shares the forward pass and not the receipts. The share
is measured inside the service while it serves. It is the time for hashing rows, for roots, and for every signature made
and checked, by all the time spent in the service. Waiting for the disk is told apart. Figures are medians over rounds.
Writes ``build/bench/commit.json``.

``share`` is that of the 1.1 B shape, the size that somebody would pay for. The shipped model stands beside it under
``models``. It computes a token in a fraction of a millisecond, so a few milliseconds are several per cent of an answer.

    python -m scripts.bench.commit [--rounds 5] [--only python-stdlib]
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from nexus_chain.chain.wallet import Wallet
from nexus_chain.commitments.tensor import commit, tensor_tree
from nexus_chain.engine.engine import Engine
from nexus_chain.market.documents import CHUNK_POSITIONS, Ask, Domain, Line, Order, TokenFeed, Voucher
from nexus_chain.program import PRESETS, IntegerModel, import_checkpoint, random_model
from node.daemon.identity import Identity, receipt_key_of
from node.daemon.ledger.events import SessionObserved
from node.daemon.ledger.state import Terms
from node.daemon.offline_node import OfflineNode
from node.daemon.served_model import ServedModel
from node.daemon.serving.admission import Application, SignedText
from scripts.bench.record import write_record

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = "python-stdlib"
LARGE = "llama-1.1b"
BAR = 0.02
PROMPT = 128
CHUNKS = 3
PRICE = 10**9
CAP = 10**30
VERSION = bytes(32)
SESSION = bytes([1]) * 32
DOMAIN = Domain(31337, "0x" + "11" * 20)
PARTS = ("forward", "commitments", "signatures", "disk")

T = TypeVar("T")


@dataclass
class OneSession:
    """A chain that holds one endless session, and the receipt keys of its nodes."""

    signer: str
    keys: dict[str, str] = field(default_factory=dict)

    def session(self, session: bytes) -> SessionObserved:
        end = int(time.time()) + 10**6
        return SessionObserved(session, self.signer, end, end, False, CAP, 0, False)

    def require_share(self, session: SessionObserved, version: bytes) -> None:
        """No publisher asks for anything."""

    def is_allotted(self, session: bytes, node: str) -> bool:
        return node in self.keys

    def receipt_key(self, node: str) -> str:
        return self.keys[node]

    def now(self) -> int:
        return int(time.time())


class Bench:
    """Two nodes with the halves of one model, and a client that asks them."""

    def __init__(self, model: IntegerModel, folder: Path, threads: int) -> None:
        self.shape = model.program.shape
        self.user = Wallet.ephemeral()
        self.facts = OneSession(self.user.address)
        middle = self.shape.layers // 2
        self.split = ((0, middle), (middle, self.shape.layers))
        self.nodes = [self._node(model, folder, start, end, threads) for start, end in self.split]
        self.serving = 0.0
        self.promised = 0

    def _node(self, model: IntegerModel, folder: Path, start: int, end: int, threads: int) -> OfflineNode:
        wallet = Wallet.ephemeral()
        identity = Identity(wallet.address, receipt_key_of(wallet))
        self.facts.keys[wallet.address] = identity.receipt_key.address
        shape = self.shape
        served = ServedModel(VERSION, shape.layers, start, end, shape.width, shape.context, shape.vocab, PRICE)
        engine = Engine(model.program, model.weights, start, end, threads)
        return OfflineNode.open(folder / f"node-{start}", identity, served, engine, self.facts, DOMAIN, Terms(0))

    def timed(self, call: Callable[[], T]) -> T:
        """Run ``call`` into the service and count its time."""
        began = time.perf_counter()
        result = call()
        self.serving += time.perf_counter() - began
        return result

    def round(self) -> dict[str, float]:
        """One answer of ``CHUNKS`` chunks after a prompt: seconds by part, and the share."""
        before = [self._spent(part) for part in PARTS]
        self.serving = 0.0
        self._answer()
        spent = {part: self._spent(part) - was for part, was in zip(PARTS, before, strict=True)}
        share = (spent["commitments"] + spent["signatures"]) / self.serving
        return {"share": share, "serving_seconds": self.serving, **{f"{p}_seconds": s for p, s in spent.items()}}

    def _spent(self, part: str) -> float:
        return sum(float(getattr(core.stopwatch, part)) for core in self.nodes)

    def _answer(self) -> None:
        prompt = torch.randint(0, self.shape.vocab, (PROMPT,), dtype=torch.int32)
        order = self._order(prompt)
        signature, digest = self.user.sign(order, DOMAIN), order.digest(DOMAIN)
        voucher = self._voucher(PROMPT)
        for segment, core in enumerate(self.nodes):
            application = Application(order, signature, segment, PROMPT, prompt, tensor_tree(prompt).root())
            self.timed(partial(core.serving.open_order, application, *voucher))
        tokens = torch.cat([prompt, self._feed(digest, 0, prompt)])
        closed = self._close(digest, 0, tokens, order)
        for _ in range(CHUNKS):
            voucher = self._voucher(CHUNK_POSITIONS)
            for core in self.nodes:
                self.timed(partial(core.serving.pay, *voucher))
            for _ in range(CHUNK_POSITIONS):
                tokens = torch.cat([tokens, self._feed(digest, len(tokens) - 1, tokens[-1:])])
            closed = self._close(digest, closed, tokens, order)

    def _order(self, prompt: torch.Tensor) -> Order:
        salt = secrets.token_bytes(32)
        asks = tuple(Ask(start, end, PRICE) for start, end in self.split)
        return Order(
            SESSION, salt, VERSION, commit(prompt, salt), 1 + CHUNKS * CHUNK_POSITIONS, bytes(32), 0, CAP, asks, 2**40
        )

    def _voucher(self, positions: int) -> tuple[Voucher, bytes]:
        self.promised += positions * PRICE
        voucher = Voucher(SESSION, tuple(Line(node, self.promised) for node in self.facts.keys))
        return voucher, self.user.sign(voucher, DOMAIN)

    def _feed(self, digest: bytes, start: int, rows: torch.Tensor) -> torch.Tensor:
        for core in self.nodes:
            rows = self.timed(partial(core.serving.forward, digest, start, rows))[1]
        return rows

    def _close(self, digest: bytes, closed: int, tokens: torch.Tensor, order: Order) -> int:
        to = len(tokens) - 1
        handed: tuple[SignedText, ...] = ()
        if closed:
            feed = TokenFeed(digest, to, commit(tokens[:to], order.salt))
            handed = ((feed.to_json(), self.user.sign(feed, DOMAIN)),)
        for core in self.nodes:
            receipt = self.timed(partial(core.serving.close_chunk, digest, closed, to, handed))
            handed = (receipt,)
        return to

    def close(self) -> None:
        for core in self.nodes:
            core.close()


def measure(model: IntegerModel, rounds: int, threads: int) -> dict[str, float]:
    """Medians over ``rounds`` answers; the first one warms up."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(model, Path(folder), threads)
        try:
            bench.round()
            results = [bench.round() for _ in range(rounds)]
        finally:
            bench.close()
    return {name: statistics.median(result[name] for result in results) for name in results[0]}


def load(name: str) -> IntegerModel:
    if name == SHIPPED:
        return import_checkpoint(ROOT / "nexus_chain" / "models" / SHIPPED)
    return random_model(PRESETS[name])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=(SHIPPED, LARGE))
    arguments = parser.parse_args()
    models = {
        name: measure(load(name), arguments.rounds, arguments.threads)
        for name in ([arguments.only] if arguments.only else [SHIPPED, LARGE])
    }
    for name, result in models.items():
        print(f"{name}: {100 * result['share']:.2f} % of {result['serving_seconds']:.2f} s serving an answer")
    share = models[LARGE if LARGE in models else SHIPPED]["share"]
    path = ROOT / "build" / "bench" / "commit.json"
    report = {"share": share, "bar": BAR, "prompt": PROMPT, "positions": CHUNKS * CHUNK_POSITIONS, "models": models}
    write_record(path, report)
    return 0 if share <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
