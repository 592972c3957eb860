"""A market in this process, toy nodes that serve any session of it, and a client over both: no chain, no sockets."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nexus_chain.chain.errors import ContractRevertedError
from nexus_chain.chain.exposure import OpenLines
from nexus_chain.chain.inference_market import AgreedShare, LineRecord, SessionRecord
from nexus_chain.chain.line_facts import SessionFacts
from nexus_chain.chain.model_registry import VersionShare
from nexus_chain.chain.transactions import Mined
from nexus_chain.client import user as user_module
from nexus_chain.client.client import Client
from nexus_chain.client.directory import NodeDirectory
from nexus_chain.client.home import ClientHome
from nexus_chain.errors import NexusError
from nexus_chain.market.documents import Line
from nexus_chain.wire.peer import NodeContact, PeerStatus, RowArray, ShardPeer, SignedReceipt
from tests.support.toy_facts import STAKE, ToyFacts
from tests.support.toy_network import DOMAIN, VOCABULARY, WIDTH, ToyNode, ToyPeer

USER = "0x" + "22" * 20
WINDOW = 60
NO_LINE = LineRecord(0, 0, 0, False, False, False, 0)


@dataclass
class ToyMarket:
    """Sessions and lines; ``calls`` are the transactions that were sent, ``refuses`` is raised by the next opening."""

    sessions: dict[bytes, SessionRecord] = field(default_factory=dict)
    lines: dict[bytes, dict[str, LineRecord]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    refuses: NexusError | None = None
    ahead: int = 0
    address: str = DOMAIN.verifying_contract

    def now(self) -> int:
        return int(time.time()) + self.ahead

    def challenge_window(self) -> int:
        return WINDOW

    def longest_session(self) -> int:
        return 86_400

    def session_id(self, user: str, nonce: bytes) -> bytes:
        return hashlib.sha256(user.encode() + nonce).digest()

    def session_of(self, session: bytes) -> SessionRecord:
        if session not in self.sessions:
            raise ContractRevertedError("InferenceMarket_SessionUnknown", {}, advice="Open it.")
        return self.sessions[session]

    def line_of(self, session: bytes, node: str) -> LineRecord:
        return self.lines[session].get(node, NO_LINE)

    def open(
        self,
        signer: str,
        expiry: int,
        caps: Sequence[Line],
        nonce: bytes,
        note: str = "",
        share: AgreedShare | None = None,
    ) -> tuple[bytes, Mined]:
        if self.refuses is not None:
            raise self.refuses
        session = self.session_id(USER, nonce)
        self.lines[session] = {cap.node: replace(NO_LINE, cap=cap.cumulative) for cap in caps}
        self.sessions[session] = SessionRecord(USER, signer, expiry, 0, len(caps))
        return session, self._mined("open")

    def allot(self, session: bytes, node: str, cap: int) -> Mined:
        before = self.line_of(session, node)
        assert cap > before.cap
        self.lines[session][node] = replace(before, cap=cap)
        return self._mined("allot")

    def close(self, session: bytes) -> Mined:
        end = self.now() + WINDOW
        self.sessions[session] = replace(self.sessions[session], end=end)
        self.lines[session] = {node: replace(line, end=end) for node, line in self.lines[session].items()}
        return self._mined("close")

    def settle_many(self, session: bytes, nodes: Iterable[str]) -> Mined:
        for node in nodes:
            assert self.lines[session][node].end < self.now()
            self.lines[session][node] = replace(self.lines[session][node], settled=True)
        return self._mined("settle")

    def _mined(self, call: str) -> Mined:
        self.calls.append(call)
        return Mined("0x", 1, 1, 1, {})  # type: ignore[typeddict-item]


@dataclass
class MarketFacts(ToyFacts):
    """What the toy market says about its sessions."""

    market: ToyMarket = field(default_factory=ToyMarket)

    def now(self) -> int:
        self._asked()
        return self.market.now()

    def session(self, session: bytes, nodes: Sequence[str]) -> SessionFacts:
        found = super().session(session, nodes)
        lines = {node: self.market.line_of(session, node) for node in nodes}
        return replace(found, now=self.market.now(), session=self.market.session_of(session), lines=lines)


class ToyCodec:
    """A character a token."""

    end_tokens: frozenset[int] = frozenset()

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return [ord(one) % VOCABULARY for one in text]

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(f"{token} " for token in tokens)

    decode_named = decode

    def stream(self) -> SimpleNamespace:
        return SimpleNamespace(push=lambda token: f"{token} ", finish=lambda: "")


@dataclass
class ToyFiles:
    """The toy model's files: none."""

    folder: Path
    segments: int = 2
    draft_table: None = None
    codec: ToyCodec = field(default_factory=ToyCodec)

    @property
    def program(self) -> SimpleNamespace:
        shape = SimpleNamespace(layers=self.segments, width=WIDTH, vocab=VOCABULARY, context=512)
        return SimpleNamespace(shape=shape, embedding_layer=None, is_encoder=False)

    def prompt_of(self, text: str, max_tokens: int) -> list[int]:
        return self.codec.encode(text)

    def require_room(self, prompt: int, max_tokens: int) -> None:
        """There is always room."""


class AnySessionPeer:
    """A connection to a node that keeps a ledger of its own for each session, as real ones do."""

    def __init__(self, world: ToyWorld, node: ToyNode) -> None:
        self._world, self._node, self.contact = world, node, node.contact
        self._peer = ToyPeer(node)

    def describe(self) -> PeerStatus:
        return self._peer.describe()

    def open_order(self, order: Any, *words: Any, **more: Any) -> int:
        self._peer._alive()
        self._world.pause()
        self._peer = ToyPeer(self._world.ledger(self._node, order[0].session))
        return self._peer.open_order(order, *words, **more)

    def open_audit(self, *words: Any, **more: Any) -> int:
        return self._peer.open_audit(*words, **more)

    def begin_forward(self, *words: Any, **more: Any) -> Callable[[], RowArray]:
        self._node_alive()
        self._world.pause()
        return self._peer.begin_forward(*words, **more)

    def begin_close_chunk(self, *words: Any) -> Callable[[], SignedReceipt]:
        self._node_alive()
        return self._peer.begin_close_chunk(*words)

    def _node_alive(self) -> None:
        self._peer.node.dies_after = self._node.dies_after

    def hang_up(self) -> None:
        pass

    def close(self) -> None:
        pass


class ToyWorld:
    """Toy nodes, two for each of two segments, a market, and clients of one user."""

    def __init__(self, folder: Path) -> None:
        nodes = [ToyNode(bytes([0] * 31 + [10 * s + i + 1]), (s, s + 1), 2, "") for s in range(2) for i in range(2)]
        self.market, self.files = ToyMarket(), ToyFiles(folder)
        self.facts = MarketFacts(nodes, market=self.market)
        self.version = bytes([1]) * 32
        self.share = 0
        self.slow: Callable[[], None] = lambda: None
        self._folder, self._lock = folder, threading.Lock()
        self._ledgers: dict[tuple[str, bytes], ToyNode] = {}
        self._cleared = threading.Event()

    def pause(self) -> None:
        """What happens before each message."""
        self.slow()

    def ledger(self, node: ToyNode, session: bytes) -> ToyNode:
        """What a node keeps of one session."""
        with self._lock:
            signer = self.market.sessions[session].signer
            return self._ledgers.setdefault(
                (node.address, session), replace(node, session_signer=signer, orders={}, paid=0, computed=0)
            )

    def ledgers(self, session: bytes) -> dict[str, ToyNode]:
        """What each node keeps of a session, by address."""
        return {node: found for (node, of), found in self._ledgers.items() if of == session}

    def dial(self, contact: NodeContact) -> ShardPeer:
        self.facts.dialling.append(threading.current_thread().name)
        node = next(node for node in self.facts.registered if node.address == contact.address)
        return AnySessionPeer(self, node)

    @contextmanager
    def client(self, name: str = "home", ready: int = 2) -> Iterator[Client]:
        """A client whose nodes come from a directory; the same ``name`` has the same store."""
        wallet = SimpleNamespace(address=USER, require_key=lambda: None)
        sender = SimpleNamespace(wallet=wallet, unfinished=lambda *purposes: [], tell=lambda mined: None)
        registry = SimpleNamespace(node=lambda address: SimpleNamespace(stake=STAKE), receipt_key_of=lambda node: node)
        models = SimpleNamespace(share_of=lambda version: VersionShare(USER, self.share, 0))
        contracts: Any = SimpleNamespace(
            market=self.market, nodes=registry, models=models, domain=DOMAIN, sender=sender, connection=self.market
        )
        with (
            Client(contracts, ClientHome(self._folder / name), self.dial) as client,
            NodeDirectory(self.facts, client.store, self.dial, ready=ready) as directory,
        ):
            client.use_nodes(directory)
            yield client

    @staticmethod
    def stand_for_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing hangs on anybody, as there are no events to read; and the market tells the time."""
        monkeypatch.setattr(user_module, "unsettled_lines", lambda *_: OpenLines(0))
        monkeypatch.setattr(user_module, "chain_time", lambda market: market.now())
