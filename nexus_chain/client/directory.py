"""Who serves a version, known before anybody asks: for a program that answers many.

The chain is read and the nodes are asked in the background; an answer takes what is known. What is known has an age:

- stakes, announcements, exposures, and the lines of sessions are at most ``oldest_seconds`` old, as
  ``client.line_watch`` demands. Older than that, an answer waits for the chain, and gets the chain's error.
- latency and load are what a node said last. A node that broke a connection counts as gone until it answers again.
- connections to every node that answered lie ready (``client.connections``).

Only the first answer over a version, and the first in a session, wait for the chain.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

from nexus_chain.chain.line_facts import SessionFacts
from nexus_chain.client.background import Repeated
from nexus_chain.client.connections import KeptConnections
from nexus_chain.client.line_watch import OLDEST_SECONDS, LineWatch
from nexus_chain.client.network import PROBES_AT_ONCE, contact_of
from nexus_chain.client.network_facts import NetworkFacts
from nexus_chain.client.store import ClientStore
from nexus_chain.errors import NexusError
from nexus_chain.routing.registry_view import Measurement, ShardNode
from nexus_chain.routing.reputation import ReputationBook
from nexus_chain.wire.errors import PeerError
from nexus_chain.wire.peer import Dial, NodeContact, ShardPeer

log = logging.getLogger(__name__)

REFRESHES = 5
"""The chain is read so often within the age that what it said may have."""
READY_AT_MOST = 256
"""Connections that lie ready over all nodes."""
UNUSED_SECONDS = 300.0
"""A session in which nobody asked for so long is read no more."""


@dataclass(frozen=True)
class Snapshot:
    """What the chain and this user's watcher said at ``taken``, monotonic seconds; ``now``: the chain's clock then.

    ``nodes``: active nodes by version, in the registry's order, with stakes and exposures.
    """

    taken: float
    now: int
    nodes: Mapping[bytes, tuple[ShardNode, ...]]
    book: ReputationBook

    def age(self, now: float) -> float:
        """Seconds from when the chain was asked until ``now``."""
        return now - self.taken


@dataclass
class _WatchedSession:
    """The lines of one session with ``nodes``. ``used``: when somebody asked last."""

    watch: LineWatch
    nodes: frozenset[str]
    used: float


class NodeDirectory:
    """A NodesSource that waits for nobody once it is warm. Use it as a context manager, or ``close`` it.

    ``reads`` counts readings of the chain that an answer waited for, ``connections.dials`` connections likewise.
    """

    def __init__(
        self,
        facts: NetworkFacts,
        store: ClientStore,
        dial: Dial,
        *,
        ready: int = 2,
        operators: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``ready``: connections that lie ready per node, as many as there will be answers at once.

        ``operators``: the only nodes that are ever spoken to; none named: anybody. ``clock``: seconds by which the age
        of what is known is told.
        """
        self._clock = clock
        self._facts, self._store = facts, store
        self._ready, self._operators = ready, frozenset(operators)
        self.connections = KeptConnections(dial, self._lost)
        self.reads = 0
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._versions: set[bytes] = set()
        self._known = Snapshot(-float("inf"), 0, {}, ReputationBook())
        self._measured: dict[NodeContact, Measurement] = {}
        self._asked: dict[NodeContact, Future[None]] = {}
        self._sessions: dict[bytes, _WatchedSession] = {}
        self._keys: dict[str, str] = {}
        self._window: int | None = None
        self._probes = ThreadPoolExecutor(PROBES_AT_ONCE, thread_name_prefix="nexus-probe")
        self._refreshing = Repeated("nexus-directory", self._refresh_all, lambda: self.oldest_seconds / REFRESHES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop asking, and hang up on all nodes."""
        self._refreshing.stop()
        self._probes.shutdown(wait=True, cancel_futures=True)
        self.connections.close()

    @property
    def oldest_seconds(self) -> float:
        """How old may be what the chain said: 10 s, or a quarter of the challenge window if that is shorter."""
        return min(OLDEST_SECONDS, (self._window or 4 * OLDEST_SECONDS) / 4)

    @property
    def age(self) -> float:
        """Seconds since the chain was asked what is known now; infinite before the first time."""
        return self._known.age(self._clock())

    # ------------------------------------------------------------- NodesSource

    def follow(self, version: bytes) -> None:
        """Know the nodes of a version from now on; waits until they are known and connected, or did not answer.

        Raises the chain package's errors, ReputationFileError.
        """
        with self._lock:
            self._versions.add(version)
        self._read_chain(self.oldest_seconds)
        self.ask_nodes(wait_for_all=True)
        self._refreshing.start()

    def candidates(self, version: bytes, operators: Collection[str] = ()) -> list[ShardNode]:
        """See NodesSource. Waits where the version is new, or what is known is too old."""
        if version not in self._known.nodes:
            self._count_read()
            self.follow(version)
        elif self.age > self.oldest_seconds:
            self._count_read()
            self._read_chain(self.oldest_seconds)
        known = self._known
        book = known.book.joined(self._store.book())
        nodes = [node for node in known.nodes[version] if not operators or node.node_id in operators]
        return [self._as_measured(replace(node, reputation=book.of(node.node_id))) for node in nodes]

    def lease(self, contact: NodeContact) -> ShardPeer:
        """See NodesSource."""
        return self.connections.lease(contact)

    def watch(self, session: bytes, nodes: Sequence[str]) -> LineWatch:
        """See NodesSource. One watch serves all answers of a session."""
        with self._lock:
            watched = self._sessions.get(session)
        if watched is None or not watched.nodes.issuperset(nodes):
            self._count_read()
            watched = self._watched(session, nodes, watched)
        watched.used = self._clock()
        watched.watch.bring_up_to_date()
        return watched.watch

    def receipt_key_of(self, node: str) -> str:
        """See NodesSource. A node keeps its key for ever, so it is asked for once."""
        if node not in self._keys:
            self._count_read()
            self._keys[node] = self._facts.receipt_key_of(node)
        return self._keys[node]

    def now(self) -> int:
        """See NodesSource. The chain's clock runs on since it was read."""
        known = self._known
        age = known.age(self._clock())
        if age > self.oldest_seconds:
            self._count_read()
            return max(self._facts.now(), int(time.time()))
        return max(known.now + int(age), int(time.time()))

    def measurements(self) -> dict[str, Measurement]:
        """What each node that is known said last, by its address, with its reputation here; asks nobody."""
        book = self._known.book.joined(self._store.book())
        nodes = {node.node_id: node for found in self._known.nodes.values() for node in found}
        seen: dict[str, Measurement] = {}
        for name, node in nodes.items():
            if (found := self._measured.get(contact_of(node))) is not None:
                seen[name] = replace(found, reputation=book.of(name))
        return seen

    # -------------------------------------------------------------- background

    def refresh(self) -> None:
        """Read the chain and ask the nodes now. Raises the chain package's errors, ReputationFileError."""
        self._read_chain(0.0)
        self.ask_nodes(wait_for_all=True)

    def ask_nodes(self, *, wait_for_all: bool) -> None:
        """Ask every node how it is and connect to it, each in a turn of its own: a silent one holds up nobody."""
        contacts = {contact_of(node) for nodes in self._known.nodes.values() for node in nodes}
        self.connections.retain(contacts)
        with self._lock:
            self._measured = {contact: found for contact, found in self._measured.items() if contact in contacts}
            for contact in contacts:
                if contact not in self._asked or self._asked[contact].done():
                    self._asked[contact] = self._probes.submit(self._ask, contact)
            asked = [self._asked[contact] for contact in contacts]
        if wait_for_all:
            wait(asked)

    def _refresh_all(self) -> None:
        """A failure leaves what is known as old as it is; whoever asks once it is too old is told."""
        reads: list[Callable[[], None]] = [partial(self._read_chain, 0.0), *self._session_reads()]
        for read in reads:
            try:
                read()
            except NexusError as error:
                log.warning("What is known about nodes could not be brought up to date: %s", error)
        self.ask_nodes(wait_for_all=False)

    def _read_chain(self, oldest: float) -> None:
        """Replace the snapshot where it is as old as ``oldest``, or a version is new. One thread at a time reads."""
        with self._reading:
            if self.age < oldest and self._versions <= set(self._known.nodes):
                return
            taken = self._clock()
            if self._window is None:
                self._window = self._facts.window()
            with self._lock:
                versions = list(self._versions)
            nodes = {version: self._allowed(found) for version, found in self._facts.nodes(versions).items()}
            self._keys.update({node.node_id: node.receipt_key for found in nodes.values() for node in found})
            self._known = Snapshot(taken, self._facts.now(), nodes, self._facts.book())

    def _allowed(self, nodes: Sequence[ShardNode]) -> tuple[ShardNode, ...]:
        return tuple(node for node in nodes if not self._operators or node.node_id in self._operators)

    def _session_reads(self) -> list[Callable[[], None]]:
        """What brings each session up to date that was asked in lately and is not over."""
        with self._lock:
            unused = [key for key, one in self._sessions.items() if self._clock() - one.used > UNUSED_SECONDS]
            for session in unused:
                del self._sessions[session]
            return [one.watch.refresh for one in self._sessions.values() if not one.watch.facts.ended]

    def _watched(self, session: bytes, nodes: Sequence[str], before: _WatchedSession | None) -> _WatchedSession:
        """Read a session's lines with ``nodes`` and with all that were read before."""
        every = frozenset(nodes) | (before.nodes if before else frozenset())

        def read() -> SessionFacts:
            return self._facts.session(session, sorted(every))

        made = _WatchedSession(LineWatch(read), every, self._clock())
        with self._lock:
            self._sessions[session] = made
        return made

    def _ask(self, contact: NodeContact) -> None:
        """Ask one node how it is, and have connections to it ready."""
        try:
            status, milliseconds = self.connections.probe(contact)
            found = Measurement(milliseconds, status.active_orders, audit_wei_per_token=status.audit_wei_per_token)
            self.connections.fill(contact, max(1, min(self._ready, READY_AT_MOST // max(1, len(self._asked)))))
        except PeerError:
            found = Measurement(0.0, online=False)
        with self._lock:
            self._measured[contact] = found

    def _as_measured(self, node: ShardNode) -> ShardNode:
        found = self._measured.get(contact_of(node))
        if found is None or not found.online:
            return replace(node, online=False)
        return node.measured(replace(found, reputation=node.reputation))

    def _lost(self, contact: NodeContact) -> None:
        """A node broke a connection: nobody is sent there until it answers again."""
        with self._lock:
            self._measured[contact] = Measurement(0.0, online=False)

    def _count_read(self) -> None:
        with self._lock:
            self.reads += 1
