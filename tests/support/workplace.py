"""Nodes in this process over a tiny random model: real engine, real files, real signatures.

Only the chain is a plain object here (``Facts``); tests/daemon/test_daemon.py has a real one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from nexus_chain.chain.wallet import Wallet
from nexus_chain.commitments.tensor import commit, tensor_tree
from nexus_chain.engine.engine import Engine
from nexus_chain.market.documents import Ask, Domain, Line, Order, TokenFeed, Voucher
from nexus_chain.program import PRESETS, IntegerModel, random_model
from node.daemon.errors import SessionNotOpenError
from node.daemon.identity import Identity, receipt_key_of
from node.daemon.ledger.events import SessionObserved
from node.daemon.ledger.state import Terms
from node.daemon.offline_node import OfflineNode
from node.daemon.served_model import ServedModel
from node.daemon.serving.admission import Application, SignedText

DOMAIN = Domain(31337, "0x" + "11" * 20)
SESSION = bytes([7]) * 32
VERSION = bytes([9]) * 32
SPLIT = ((0, 1), (1, 3))
PRICE = 5
CAP = 10_000
PROMPT = [3, 141, 59, 26, 535]
PROMPT_TREE = tensor_tree(torch.tensor(PROMPT, dtype=torch.int32)).root()
TERMS = Terms(rows_kept=180)
MODEL: IntegerModel = random_model(PRESETS["tiny"], seed=4)


@dataclass
class Facts:
    """A chain with one session."""

    user: Wallet
    node: str
    keys: dict[str, str] = field(default_factory=dict)
    cap: int = CAP
    closing: bool = False
    time: int = field(default_factory=lambda: int(time.time()))
    lifetime: int = 3600

    def session(self, session: bytes) -> SessionObserved:
        if session != SESSION:
            raise SessionNotOpenError("the chain knows no such session", advice="Open it.")
        expiry = self.time + self.lifetime
        return SessionObserved(
            SESSION, self.user.address, expiry, expiry + 60, self.closing, self.cap, 0, False, expiry + 60
        )

    def require_share(self, session: SessionObserved, version: bytes) -> None:
        """No publisher asks for anything."""

    def is_allotted(self, session: bytes, node: str) -> bool:
        return session == SESSION and node in self.keys

    def receipt_key(self, node: str) -> str:
        return self.keys[node]

    def now(self) -> int:
        return self.time


class LocalNode:
    """One node over a data folder; ``restart`` recovers it from there."""

    def __init__(
        self, folder: Path, user: Wallet, start: int, end: int, most_orders: int = 8, model: IntegerModel = MODEL
    ) -> None:
        self.folder, self.most_orders = folder, most_orders
        self.wallet = Wallet.ephemeral()
        shape, encoder = model.program.shape, model.program.is_encoder
        self.model = ServedModel(
            VERSION, shape.layers, start, end, shape.width, shape.context, shape.vocab, PRICE, encoder
        )
        self.engine = Engine(model.program, model.weights, start, end, threads=1, backend="torch")
        self.facts = Facts(user, self.wallet.address)
        self.core = self._open()

    def _open(self) -> OfflineNode:
        identity = Identity(self.wallet.address, receipt_key_of(self.wallet))
        return OfflineNode.open(
            self.folder, identity, self.model, self.engine, self.facts, DOMAIN, TERMS, self.most_orders
        )

    def restart(self) -> None:
        """Close and recover, as after a clean stop."""
        self.core.close()
        self.core = self._open()


@contextmanager
def linked_nodes(
    folder: Path, user: Wallet, split: Sequence[tuple[int, int]], model: IntegerModel = MODEL
) -> Iterator[list[LocalNode]]:
    """A node for each layer range of ``split``, each knowing the others' receipt keys."""
    made = [LocalNode(folder / f"node{start}", user, start, end, model=model) for start, end in split]
    keys: dict[str, str] = {node.wallet.address: node.core.serving.identity.receipt_key.address for node in made}
    for node in made:
        node.facts.keys = keys
    yield made
    for node in made:
        node.core.close()


@dataclass
class Answer:
    """An order on its way through a split, driven as a client drives it."""

    nodes: Sequence[LocalNode]
    user: Wallet
    order: Order
    prompt: list[int]
    tokens: list[int] = field(default_factory=list)
    paid: int = 0
    closed: int = 0

    @property
    def digest(self) -> bytes:
        return self.order.digest(DOMAIN)

    def application(self, segment: int) -> Application:
        edge = segment in (0, len(self.nodes) - 1)
        prompt = torch.tensor(self.prompt if edge else [], dtype=torch.int32)
        signature = self.user.sign(self.order, DOMAIN)
        tree = tensor_tree(torch.tensor(self.prompt, dtype=torch.int32)).root()
        return Application(self.order, signature, segment, len(self.prompt), prompt, tree)

    def voucher(self, cumulative: int) -> tuple[Voucher, bytes]:
        document = Voucher(SESSION, tuple(Line(node.wallet.address, cumulative) for node in self.nodes))
        return document, self.user.sign(document, DOMAIN)

    def pay(self, positions: int) -> None:
        """Prepay so many more positions at every node."""
        self.paid += positions * PRICE
        for node in self.nodes:
            node.core.serving.pay(*self.voucher(self.paid))

    def open(self) -> list[int]:
        """Open everywhere, prepaying the prompt; the lengths that the nodes hold."""
        self.paid = max(self.paid, len(self.prompt) * PRICE)
        return [
            node.core.serving.open_order(self.application(segment), *self.voucher(self.paid))[1]
            for segment, node in enumerate(self.nodes)
        ]

    def feed(self, start: int, tokens: Sequence[int]) -> Tensor:
        """Tokens at ``start`` through all nodes; the sampled tokens."""
        rows = torch.tensor(list(tokens), dtype=torch.int32)
        for node in self.nodes:
            _, rows = node.core.serving.forward(self.digest, start, rows)
        return rows

    def sequence(self) -> list[int]:
        return self.prompt + self.tokens

    def decode(self, positions: int) -> None:
        """Feed the last token so many times."""
        for _ in range(positions):
            length = len(self.sequence())
            self.tokens += self.feed(length - 1, [self.sequence()[-1]]).tolist()

    def handed(self, to: int) -> tuple[SignedText, ...]:
        """What vouches for segment 0's rows up to ``to``."""
        if to == len(self.prompt):
            return ()
        root = commit(torch.tensor(self.sequence()[:to], dtype=torch.int32), self.order.salt)
        feed = TokenFeed(self.digest, to, root)
        return ((feed.to_json(), self.user.sign(feed, DOMAIN)),)

    def close(self, to: int) -> list[SignedText]:
        """Close the chunk everywhere; the receipts."""
        handed, receipts = self.handed(to), []
        for node in self.nodes:
            receipt = node.core.serving.close_chunk(self.digest, self.closed, to, handed)
            node.core.serving.afterwards(self.digest)
            receipts.append(receipt)
            handed = (receipt,)
        self.closed = to
        return receipts

    def begin(self) -> None:
        """Open, feed the prompt, close its chunk."""
        self.open()
        self.tokens += self.feed(0, self.prompt).tolist()
        self.close(len(self.prompt))


def make_order(user: Wallet, prompt: list[int] | None = None, max_tokens: int = 40, **changes: object) -> Order:
    """A good order over ``SPLIT``; ``changes`` replace fields."""
    salt = bytes([1]) * 32
    tokens = torch.tensor(PROMPT if prompt is None else prompt, dtype=torch.int32)
    order = Order(
        session=SESSION,
        salt=salt,
        model_version=VERSION,
        prompt_root=commit(tokens, salt),
        max_tokens=max_tokens,
        sampling_seed=bytes(32),
        sampling=0,
        max_price=10**6,
        asks=tuple(Ask(start, end, PRICE) for start, end in SPLIT),
        deadline=int(time.time()) + 600,
    )
    return replace(order, **changes)  # type: ignore[arg-type]


def whole_answer(prompt: list[int], count: int) -> list[int]:
    """The first ``count`` tokens that the whole model gives, without any node."""
    from nexus_chain.engine.reference import ReferenceExecutor
    from nexus_chain.program.sampling import Sampling

    executor = ReferenceExecutor(MODEL.program, MODEL.weights)
    state = executor.open(len(prompt), Sampling(0, bytes(32)), len(prompt) + count)
    tokens = executor.forward([(state, torch.tensor(prompt, dtype=torch.int32))])[0].tolist()
    while len(tokens) < count:
        tokens += executor.forward([(state, torch.tensor(tokens[-1:], dtype=torch.int32))])[0].tolist()
    return tokens
