"""What a chain would say about toy nodes: who is registered, and that every line is open."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from nexus_chain.chain.errors import RpcUnreachableError
from nexus_chain.chain.inference_market import LineRecord, SessionRecord
from nexus_chain.chain.line_facts import SessionFacts
from nexus_chain.chain.node_registry import NodeRecord
from nexus_chain.routing.registry_view import UNMEASURED_MS, ShardNode
from nexus_chain.routing.reputation import ReputationBook
from nexus_chain.wire.peer import NodeContact, ShardPeer
from tests.support.toy_network import ToyNode, ToyPeer

STAKE = 10**18


def listed(node: ToyNode) -> ShardNode:
    """A toy node as the registry would list it."""
    contact = node.contact
    return ShardNode(
        node_id=contact.address,
        peer_id="0x" + contact.tls_key_hash.hex(),
        shards=(0,),
        latency_ms=UNMEASURED_MS,
        reputation=1.0,
        online=True,
        layer_start=contact.layer_start,
        layer_end=contact.layer_end,
        wei_per_token=contact.wei_per_token,
        endpoint=contact.endpoint,
        receipt_key=contact.receipt_key,
        stake=STAKE,
    )


@dataclass
class ToyFacts:
    """NetworkFacts of toy nodes. ``readers`` are the threads that asked, one entry a call."""

    registered: list[ToyNode]
    time: int = 1_000
    challenge_window: int = 60
    reachable: bool = True
    closed_lines: set[str] = field(default_factory=set)
    known: ReputationBook = field(default_factory=ReputationBook)
    readers: list[str] = field(default_factory=list)
    dialling: list[str] = field(default_factory=list)

    def _asked(self) -> None:
        self.readers.append(threading.current_thread().name)
        if not self.reachable:
            raise RpcUnreachableError("no chain", advice="Wait.")

    def window(self) -> int:
        self._asked()
        return self.challenge_window

    def now(self) -> int:
        self._asked()
        return self.time

    def nodes(self, versions: Sequence[bytes]) -> dict[bytes, list[ShardNode]]:
        self._asked()
        return {version: [listed(node) for node in self.registered] for version in versions}

    def session(self, session: bytes, nodes: Sequence[str]) -> SessionFacts:
        self._asked()
        lines = {node: LineRecord(10**9, 0, 0, node in self.closed_lines, False, False, 0) for node in nodes}
        records = {node: NodeRecord(node, 0, False, STAKE, 0, bytes(32), "host:1") for node in nodes}
        return SessionFacts(
            self.time, self.challenge_window, SessionRecord("", "", 2**40, 0, len(lines)), lines, records
        )

    def receipt_key_of(self, node: str) -> str:
        self._asked()
        return node

    def book(self) -> ReputationBook:
        return self.known

    def dial(self, contact: NodeContact) -> ShardPeer:
        """Connect to whoever is registered under the contact's address."""
        self.dialling.append(threading.current_thread().name)
        return ToyPeer(next(node for node in self.registered if node.address == contact.address))

    def of_this_thread(self) -> tuple[int, int]:
        """How often the calling thread read the chain, and dialled."""
        name = threading.current_thread().name
        return self.readers.count(name), self.dialling.count(name)
