"""A session over a toy network: the client's own, but for the chain, which says that all is well."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nexus_chain.chain.inference_market import LineRecord, SessionRecord
from nexus_chain.chain.line_facts import SessionFacts
from nexus_chain.chain.node_registry import NodeRecord
from nexus_chain.chain.transactions import Mined
from nexus_chain.client.home import ClientHome
from nexus_chain.client.line_watch import LineWatch
from nexus_chain.client.session import Session
from nexus_chain.client.session_key import save_key
from nexus_chain.client.store import OPEN
from nexus_chain.client.user import User
from nexus_chain.routing.registry_view import ShardNode
from nexus_chain.wire.peer import NodeContact, ShardPeer
from tests.client.test_pipeline import SESSION, SESSION_KEY, Network
from tests.support.toy_network import DOMAIN, VOCABULARY, WIDTH, ToyNode, ToyPeer

CONTEXT = 4096


class ToyNodes:
    """Implements NodesSource with a toy network's nodes."""

    def __init__(self, network: Network, receipt_key_of: Callable[[str], str]) -> None:
        self.network, self.receipt_key_of = network, receipt_key_of

    def candidates(self, version: bytes, operators: Collection[str] = ()) -> list[ShardNode]:
        return [_listed(node) for node in self.network.by_address.values()]

    def lease(self, contact: NodeContact) -> ShardPeer:
        return ToyPeer(self.network.by_address[contact.address])

    def watch(self, session: bytes, nodes: Sequence[str]) -> LineWatch:
        lines = {node: LineRecord(1, 0, 2**40, False, False, False, 0) for node in nodes}
        records = {node: NodeRecord(node, 0, False, 10**18, 0, bytes(32), "") for node in nodes}
        return LineWatch(lambda: SessionFacts(1, 60, SessionRecord("", "", 2**40, 0, 1), lines, records))

    def now(self) -> int:
        return 1


def _listed(node: ToyNode) -> ShardNode:
    contact = node.contact
    return ShardNode(
        node.address, "0x" + contact.tls_key_hash.hex(), (0,), 1.0, 1.0, True, *node.layers, node.ask,
        contact.endpoint, contact.receipt_key, stake=10**18,
    )  # fmt: skip


class ToyUser(User):
    """A user whose nodes all have stake enough."""

    def require_covered(self, node: str, added: int) -> None:
        pass


class ToyCodec:
    """Every token is a word: its number."""

    end_tokens: frozenset[int] = frozenset()

    def encode(self, text: str) -> list[int]:
        return [int(word) for word in text.split()]

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(f"{token} " for token in tokens)

    decode_named = decode

    def stream(self) -> Any:
        return SimpleNamespace(push=lambda token: f"{token} ", finish=lambda: "")


class ToyMarket:
    """What a session calls to raise caps; every call is a transaction."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.allotted: list[tuple[str, int]] = []

    def line_of(self, session: bytes, node: str) -> Any:
        return self._network.purse.line(node)

    def allot(self, session: bytes, node: str, cap: int) -> Mined:
        self.allotted.append((node, cap))
        return Mined("0x", 1, 1, 1, {})  # type: ignore[typeddict-item]


def toy_session(network: Network, folder: Path, receipt_key_of: Callable[[str], str] = lambda node: node) -> Session:
    """The network's session, open; its answers are greedy, and audits are not sold."""
    home = ClientHome(folder).prepare()
    save_key(home.session_keys, SESSION_KEY)
    network.store.set_session_state(SESSION, OPEN)
    contracts: Any = SimpleNamespace(domain=DOMAIN, market=ToyMarket(network))
    shape = SimpleNamespace(width=WIDTH, vocab=VOCABULARY, layers=network.segments, context=CONTEXT)
    codec = ToyCodec()
    files: Any = SimpleNamespace(
        program=SimpleNamespace(shape=shape, is_encoder=False, embedding_layer=None),
        codec=codec,
        draft_table=None,
        folder=folder,
        prompt_of=lambda text, most: codec.encode(text),
        require_room=lambda prompt, most: None,
    )
    user = ToyUser(contracts, home, network.store, ToyNodes(network, receipt_key_of))
    session = Session(user, network.store.session(SESSION), files)
    network.purse = session.money.purse
    return session
