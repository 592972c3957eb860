"""Connections to nodes that outlive an answer: lent for one answer, taken back whole, dropped when anything broke.

Knows the wire's peers and no chain: who is worth a connection is decided elsewhere (``client.directory``).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from nexus_chain.wire.errors import NodeRefusedError, NodeUnreachableError, PeerError
from nexus_chain.wire.peer import (
    Dial,
    NodeContact,
    PeerStatus,
    RowArray,
    ShardPeer,
    SignDigest,
    SignedAudit,
    SignedFeed,
    SignedOrder,
    SignedReceipt,
    SignedVoucher,
)

STRANGER_SECONDS = 15.0
"""How long a connection that served no answer yet may be quiet: nodes hang up on strangers after 20 s."""
OWNER_SECONDS = 200.0
"""The same for one that did: nodes wait 300 s for a session's owner."""
MOST_IDLE = 32
"""Idle connections that are kept per node."""

Result = TypeVar("Result")


@dataclass
class KeptConnection:
    """One that may be lent. ``served``: an order was opened over it. ``used``: monotonic seconds of its last call."""

    peer: ShardPeer
    served: bool
    used: float

    def quiet_for(self, now: float) -> float:
        return now - self.used

    def is_stale(self, now: float) -> bool:
        """Whether its node may have hung up by now."""
        return self.quiet_for(now) > (OWNER_SECONDS if self.served else STRANGER_SECONDS)


class KeptConnections:
    """A pool of connections by node. Threads may call all of it at once; ``close`` it in the end."""

    def __init__(self, dial: Dial, lost: Callable[[NodeContact], None] = lambda contact: None) -> None:
        """``lost`` is told of each node that could not be reached, or hung up in the middle."""
        self._dial, self.lost = dial, lost
        self._lock = threading.Lock()
        self._idle: dict[NodeContact, deque[KeptConnection]] = {}
        self._closed = False
        self.dials = 0
        """Connections made because somebody wanted one and none was idle."""

    def lease(self, contact: NodeContact) -> LeasedPeer:
        """A connection for one answer; its ``close`` gives it back. Raises as ``Dial``."""
        kept = self._take(contact)
        return LeasedPeer(self, kept or KeptConnection(self.dial(contact), False, time.monotonic()), kept is not None)

    def dial(self, contact: NodeContact) -> ShardPeer:
        """A new connection that somebody waits for. Raises as ``Dial``."""
        with self._lock:
            self.dials += 1
        return self._connect(contact)

    def give_back(self, kept: KeptConnection) -> None:
        """Keep a connection that is in order for whoever comes next."""
        kept.used = time.monotonic()
        with self._lock:
            idle = self._idle.setdefault(kept.peer.contact, deque())
            if not self._closed and len(idle) < MOST_IDLE:
                idle.append(kept)
                return
        kept.peer.close()

    def probe(self, contact: NodeContact) -> tuple[PeerStatus, float]:
        """What the node says of itself, and milliseconds until it did; over an idle connection where there is one.

        Raises PeerError.
        """
        kept = self._take(contact, oldest=True)
        if kept is not None:
            with suppress(NodeUnreachableError):
                return self._described(kept)
        kept = KeptConnection(self._connect(contact), False, time.monotonic())
        self._described(kept, keep=False)  # the first call also pays for the connection
        return self._described(kept)

    def fill(self, contact: NodeContact, least: int) -> None:
        """Make sure that ``least`` connections are idle, and none of them about to be hung up on. Raises PeerError."""
        self._refresh_quiet(contact)
        while self.idle(contact) < min(least, MOST_IDLE) and not self._closed:
            self.give_back(KeptConnection(self._connect(contact), False, time.monotonic()))

    def idle(self, contact: NodeContact) -> int:
        """How many connections to a node wait to be lent."""
        with self._lock:
            return len(self._idle.get(contact, ()))

    def retain(self, contacts: Collection[NodeContact]) -> None:
        """Hang up on nodes that are not among ``contacts``: they left, or moved, or changed their keys."""
        with self._lock:
            gone = [contact for contact in self._idle if contact not in contacts]
            dropped = [kept for contact in gone for kept in self._idle.pop(contact)]
        for kept in dropped:
            kept.peer.close()

    def close(self) -> None:
        """Hang up on all nodes. What is lent is closed when it comes back."""
        self._closed = True
        self.retain(())

    def _connect(self, contact: NodeContact) -> ShardPeer:
        try:
            return self._dial(contact)
        except PeerError:
            self.lost(contact)
            raise

    def _take(self, contact: NodeContact, oldest: bool = False) -> KeptConnection | None:
        """An idle connection: the one used last, or the ``oldest``; stale ones are dropped on the way."""
        while True:
            with self._lock:
                idle = self._idle.get(contact)
                if not idle:
                    return None
                kept = idle.popleft() if oldest else idle.pop()
            if not kept.is_stale(time.monotonic()):
                return kept
            kept.peer.close()

    def _described(self, kept: KeptConnection, keep: bool = True) -> tuple[PeerStatus, float]:
        """Ask over a connection; it goes back only when that went well, and when it is to be kept."""
        started = time.monotonic()
        try:
            status = kept.peer.describe()
        except BaseException:
            kept.peer.close()
            raise
        if keep:
            self.give_back(kept)
        return status, 1000 * (time.monotonic() - started)

    def _refresh_quiet(self, contact: NodeContact) -> None:
        """Say something over each idle connection that is half-way to being hung up on."""
        for _ in range(self.idle(contact)):
            kept = self._take(contact, oldest=True)
            if kept is None:
                return
            limit = OWNER_SECONDS if kept.served else STRANGER_SECONDS
            if kept.quiet_for(time.monotonic()) > limit / 2:
                with suppress(PeerError):
                    self._described(kept)
            else:
                with self._lock:
                    self._idle.setdefault(contact, deque()).append(kept)


class LeasedPeer:
    """A connection that was lent: a ShardPeer whose ``close`` gives it back where it is in order.

    It is in order when every answer was taken and nothing broke. A refusal breaks nothing.
    """

    def __init__(self, owner: KeptConnections, kept: KeptConnection, reused: bool) -> None:
        """``reused``: its node may have hung up since; then the first call is made over a new connection."""
        self._owner, self._kept, self._reused = owner, kept, reused
        self._lock = threading.Lock()
        self._open, self._sound, self._broken, self._waiting = True, True, False, 0
        self.contact = kept.peer.contact

    def describe(self) -> PeerStatus:
        """See ShardPeer."""
        return self._first(lambda peer: peer.describe())

    def open_order(
        self,
        order: SignedOrder,
        segment: int,
        prompt_length: int,
        prompt: Sequence[int],
        voucher: SignedVoucher,
        sign_digest: SignDigest,
        *,
        prompt_tree: bytes,
        credit: SignedReceipt | None = None,
    ) -> int:
        """See ShardPeer."""
        words = order, segment, prompt_length, prompt, voucher, sign_digest
        return self._first(lambda peer: peer.open_order(*words, prompt_tree=prompt_tree, credit=credit))

    def open_audit(
        self,
        order: SignedOrder,
        audit: SignedAudit,
        prompt_length: int,
        prompt: Sequence[int],
        voucher: SignedVoucher,
        sign_digest: SignDigest,
        *,
        prompt_tree: bytes,
    ) -> int:
        """See ShardPeer."""
        words = order, audit, prompt_length, prompt, voucher, sign_digest
        return self._first(lambda peer: peer.open_audit(*words, prompt_tree=prompt_tree))

    def begin_forward(
        self,
        order_digest: bytes,
        start: int,
        rows: RowArray,
        *,
        discard: bool = False,
        voucher: SignedVoucher | None = None,
    ) -> Callable[[], RowArray]:
        """See ShardPeer. It is the first call that shows the node a session's owner."""
        self._kept.served = True
        return self._begin(lambda peer: peer.begin_forward(order_digest, start, rows, discard=discard, voucher=voucher))

    def begin_close_chunk(
        self, order_digest: bytes, start: int, stop: int, predecessors: Sequence[SignedReceipt | SignedFeed]
    ) -> Callable[[], SignedReceipt]:
        """See ShardPeer."""
        return self._begin(lambda peer: peer.begin_close_chunk(order_digest, start, stop, predecessors))

    def hang_up(self) -> None:
        """See ShardPeer. The connection is lent to nobody again."""
        self._broken = True
        self._kept.peer.hang_up()

    def close(self) -> None:
        """Give the connection back, or hang up where it is not in order. Any thread may; twice does nothing."""
        with self._lock:
            was_open, self._open = self._open, False
        if not was_open:
            return
        if self._sound and not self._broken and not self._waiting:
            self._owner.give_back(self._kept)
        else:
            self._kept.peer.close()

    def _first(self, call: Callable[[ShardPeer], Result]) -> Result:
        """A call that may be made again over a new connection, where the one that was kept is gone."""
        reused, self._reused = self._reused, False
        try:
            return self._watched(partial(call, self._peer()))
        except NodeUnreachableError:
            if not reused or self._broken:
                raise
        self._connect_anew()
        return self._watched(partial(call, self._peer()))

    def _connect_anew(self) -> None:
        self._kept.peer.close()
        self._kept.peer, self._sound = self._owner.dial(self.contact), True
        if self._broken:  # who hung up meanwhile knew only the connection before
            self._kept.peer.hang_up()

    def _begin(self, call: Callable[[ShardPeer], Callable[[], Result]]) -> Callable[[], Result]:
        """As ``call``; the connection is in order again once what is returned was called."""
        # INVARIANT: an answer counts as on its way before it can be: an interrupt leaves no such connection to others.
        self._waiting += 1
        take = self._watched(partial(call, self._peer()))

        def taken() -> Result:
            self._peer()
            try:
                return self._watched(take)
            finally:
                self._waiting -= 1

        return taken

    def _peer(self) -> ShardPeer:
        if not self._open:
            raise NodeUnreachableError(
                f"the connection to node {self.contact.address} was given back", advice="Connect again."
            )
        return self._kept.peer

    def _watched(self, work: Callable[[], Result]) -> Result:
        """Do it; whatever else than a node's own refusal ends it makes the connection unfit to be lent again."""
        try:
            return work()
        except NodeRefusedError as error:
            self._sound = self._sound and bool(error.error_name)
            raise
        except BaseException as error:
            self._sound = False
            if isinstance(error, NodeUnreachableError):
                self._owner.lost(self.contact)
            raise
