"""Where an answer gets its nodes from: who could serve, what binds them to their word, and connections to them.

``FreshNodes`` asks the chain and every node for each answer, and dials anew: right for a program that asks once. A
program that serves many keeps a ``nexus_chain.client.directory.NodeDirectory``, which knows all of it already.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Protocol

from nexus_chain.chain.clock import chain_time
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.exposure import unsettled_lines
from nexus_chain.chain.line_facts import read_session
from nexus_chain.client.home import ClientHome
from nexus_chain.client.line_watch import LineWatch
from nexus_chain.client.network import probe_nodes
from nexus_chain.client.store import ClientStore
from nexus_chain.routing.liability import with_exposure
from nexus_chain.routing.registry_view import ShardNode
from nexus_chain.routing.reputation_file import load_reputation
from nexus_chain.wire.peer import Dial, NodeContact, ShardPeer


class NodesSource(Protocol):
    """What a session asks about nodes. Threads may call all of it at once."""

    def candidates(self, version: bytes, operators: Collection[str] = ()) -> list[ShardNode]:
        """Active nodes of a version as they answer now, with reputation, stake and exposure, in the registry's order.

        ``operators``: only these, where any are named; the others are not even asked who they are. Raises the chain
        package's errors, ReputationFileError.
        """

    def lease(self, contact: NodeContact) -> ShardPeer:
        """A connection for one answer alone; its ``close`` gives it back. Raises as ``Dial`` does."""

    def watch(self, session: bytes, nodes: Sequence[str]) -> LineWatch:
        """What binds ``nodes`` in a session, no older than LineWatch allows. Raises as ``read_session`` does."""

    def receipt_key_of(self, node: str) -> str:
        """The key that signs a node's receipts, as registered. Raises the chain package's errors."""

    def now(self) -> int:
        """Unix seconds by which contracts and nodes judge: a quiet chain's latest block may be old."""


class FreshNodes:
    """Asks chain and nodes each time."""

    def __init__(self, contracts: Contracts, home: ClientHome, store: ClientStore, dial: Dial) -> None:
        self._contracts, self._home, self._store, self._dial = contracts, home, store, dial

    def candidates(self, version: bytes, operators: Collection[str] = ()) -> list[ShardNode]:
        """See NodesSource."""
        book = load_reputation(self._home.reputation).joined(self._store.book())
        nodes = [probed.node for probed in probe_nodes(self._contracts, self._dial, version, book, operators)]
        known = unsettled_lines(self._contracts, self._home.exposure(self._contracts.domain.chain_id))
        return with_exposure(nodes, known.by_node())

    def lease(self, contact: NodeContact) -> ShardPeer:
        """See NodesSource."""
        return self._dial(contact)

    def watch(self, session: bytes, nodes: Sequence[str]) -> LineWatch:
        """See NodesSource."""
        return LineWatch(partial(read_session, self._contracts, session, nodes))

    def receipt_key_of(self, node: str) -> str:
        """See NodesSource."""
        return self._contracts.nodes.receipt_key_of(node)

    def now(self) -> int:
        """See NodesSource."""
        return chain_time(self._contracts.connection)
