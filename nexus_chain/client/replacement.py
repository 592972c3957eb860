"""When a node fails: a spare in its place, or the same node again; and who is right when their rows differ.

Integer programs make the bits the same. A spare replays for nothing what the node before it signed and was paid for.
Where its rows differ from those that were known, nobody is blamed before it is settled (``referee``); what rests on a
wrong row is forgotten and computed again, unless the reader has seen it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from nexus_chain.client.answer_state import AnswerRewound, AnswerState
from nexus_chain.client.chunks import chunk_positions
from nexus_chain.client.errors import ClientError, NoSpareError, ReplayMismatchError
from nexus_chain.client.headroom import wei_to_lock
from nexus_chain.client.node_connections import NodeConnections
from nexus_chain.client.prepayment import Prepayment
from nexus_chain.client.referee import Arbitration, Disagreement, Referee, answer_wrong_error, undecided_error
from nexus_chain.client.segment import FailoverEvent, Reserve, Segment
from nexus_chain.commitments.tensor import tensor_bytes
from nexus_chain.wire.errors import NodeUnreachableError, PeerError
from nexus_chain.wire.peer import NodeContact, ShardPeer

RECONNECTS = 2
"""How often a node is tried again when it cannot be reached or is busy, and nobody else serves its segment."""
RECONNECT_SECONDS = 1.0
HANGING_SECONDS = 60.0
"""A node that has kept a caller waiting for so long, and gave nothing, has failed where the caller hangs up."""

T = TypeVar("T")
BeforeChunk = Callable[[NodeContact], PeerError | None]
"""Says why a node must not get another chunk, or None."""


class Replacement:
    """Keeps every segment of one answer served."""

    def __init__(
        self,
        state: AnswerState,
        connections: NodeConnections,
        prepayment: Prepayment,
        reserve: Reserve,
        referee: Referee | None,
        before_chunk: BeforeChunk,
        on_failover: Callable[[FailoverEvent], None],
    ) -> None:
        self._state, self._connections, self._prepayment = state, connections, prepayment
        self._reserve, self._before_chunk, self._on_failover = reserve, before_chunk, on_failover
        self._arbitration = Arbitration(state.seen, referee)
        self._in_vain: dict[str, tuple[int, bool]] = {}  # chunks that a node signed before it failed; was it busy?

    def insist(self, segment: Segment, work: Callable[[ShardPeer], T]) -> T:
        """Do ``work`` with the segment's node; when the node fails, replace it and do it again."""
        while True:
            try:
                return work(self._connections.peer(segment))
            except PeerError as error:
                self.replace(segment, error)

    def replace_unfit(self) -> None:
        """Put spares in place of nodes that must not get another chunk."""
        for segment in self._state.segments:
            while (reason := self._before_chunk(segment.contact)) is not None:
                self.replace(segment, reason)

    def replace(self, segment: Segment, error: PeerError) -> None:
        """Put the next spare into ``segment``, or the same node again.

        Raises NoSpareError when neither is left, AnswerCancelled when nobody wants the answer any more.
        """
        self._connections.drop(segment)
        self._state.catch_up()
        if self._state.cancelled.is_set() and self._is_refusal(segment, error):
            segment.failed.append(segment.contact.address)
            self._count_failure(segment, error)
        self._state.require_wanted()
        self._state.draft = None  # it does not know what the failure wasted
        if isinstance(error, ReplayMismatchError) and not self._settle(segment, error):
            self._put_aside(segment, undecided_error(segment.number))
        else:
            self._fail(segment, error)

    def _fail(self, segment: Segment, error: PeerError) -> None:
        failed = segment.contact
        segment.failed.append(failed.address)
        spare = self._reserve.spare(segment.number, segment.failed + segment.aside)
        may_pass = isinstance(error, NodeUnreachableError) or error.is_busy
        again = may_pass and segment.failed.count(failed.address) <= RECONNECTS
        if spare is not None or not again:
            self._count_failure(segment, error)
        if spare is not None:
            self._prepayment.write_off(failed.address)
            self._seat(segment, spare)
        elif again:
            self._state.cancelled.wait(RECONNECT_SECONDS)
            self._fund(segment)
        else:
            self._count_end(segment)
            raise NoSpareError(
                f"segment {segment.number} has nobody left to serve it: {error.message}",
                advice="Ask again later: the tokens so far and their receipts are kept; see `nexus nodes`.",
            ) from error
        done = self._state.seen.received(segment.number)
        event = FailoverEvent(segment.number, failed.address, segment.contact.address, done, error.message)
        self._state.failovers.append(event)
        self._on_failover(event)

    def _count_failure(self, segment: Segment, error: PeerError) -> None:
        """Remember the failure, unless the node was busy before it gave anything of this answer."""
        node, state = segment.contact.address, self._state
        signed = sum(receipt.node == node for receipt, _ in state.papers.receipts)
        if signed or state.seen.gave(segment.number, segment.billed, node) or not error.is_busy:
            # Of several answers that one outage ended, its chunks count once.
            self._in_vain[node] = (min(signed, state.store.track(node).signed), error.is_busy)
            state.store.count_failure(node)

    def _count_end(self, segment: Segment) -> None:
        """INVARIANT: nobody earns by ending answers one after the other. What a node signed of an answer that ends with
        it came to nothing: it counts against it as much as it counted for it. So it does for one that was replaced
        because it was busy, though it held the answer; not for one that broke off before.
        """
        for node in set(segment.failed):
            signed, was_busy = self._in_vain.get(node, (0, False))
            if signed and (was_busy or node == segment.contact.address):
                self._state.store.count_failure(node, chunks=signed)

    def _is_refusal(self, segment: Segment, error: PeerError) -> bool:
        """Whether a node is to blame for what it did while its caller was leaving: before anybody hung up, or after
        more time than any rows take.
        """
        waited = time.monotonic() - segment.last_use
        is_own = not self._state.abandoned.is_set() or waited > HANGING_SECONDS
        # Whose rows were wrong is not known before it is settled.
        return is_own and segment.contact.address not in segment.failed and not isinstance(error, ReplayMismatchError)

    def _put_aside(self, segment: Segment, otherwise: ClientError) -> None:
        """Put a spare into ``segment`` for a node that may be right; raise ``otherwise`` where there is none."""
        segment.aside.append(segment.contact.address)
        spare = self._reserve.spare(segment.number, segment.failed + segment.aside)
        if spare is None:
            raise otherwise
        if segment.billed < segment.sent:
            self._prepayment.write_off(segment.contact.address)
        self._seat(segment, spare)

    def _seat(self, segment: Segment, spare: NodeContact) -> None:
        """``spare`` serves the segment from now on; it replays for nothing what the last receipt there covers."""
        state = self._state
        segment.contact, segment.credit = spare, state.papers.credit(segment.number, spare.address)
        segment.billed = segment.sent = segment.credit[0].to_position if segment.credit else 0
        segment.signed, segment.ahead, segment.voucher = state.store.track(spare.address).signed, False, None
        self._fund(segment)
        # Nobody gets a longer chunk than its record allows, but for what other segments have computed already.
        start = max(state.closed, state.prompt_length)
        received = (state.seen.received(one.number) for one in state.segments)
        longest = max(start + chunk_positions(segment.signed), *received)
        state.chunk_stop = min(state.chunk_stop, longest)

    def _fund(self, segment: Segment) -> None:
        # For the rest of the order at once: one transaction a replacement, not one a chunk.
        rest = self._state.prompt_length + self._state.order.max_tokens - 1 - segment.billed
        price = self._state.price(segment.number, 1)
        self._reserve.fund(segment.contact, wei_to_lock(price, rest) if price else 0)

    # -------------------------------------------------------------- disagreement

    def _settle(self, segment: Segment, error: ReplayMismatchError) -> bool:
        """Whether the segment's node is to blame for a replay that differs.

        Raises AnswerRewound where the known rows were wrong, AnswerWrongError where the reader has what rests on them.
        """
        ruling = self._arbitration.rule(segment.number, segment.contact.address, error)
        case, store = ruling.disagreement, self._state.store
        self._state.disagreements.append(case)
        rows = {case.later: bytes(tensor_bytes(case.later_row)), case.earlier: bytes(tensor_bytes(case.earlier_row))}
        store.add_disagreement(self._state.digest, case.segment, case.position, rows)
        for node in case.wrong:
            store.count_failure(node, invalid=True)
        if ruling.position is None:
            return ruling.settled
        self._rewind(segment, ruling.position, case)
        if case.later in case.wrong and segment.contact.address == case.later:
            self._fail(segment, error)
        raise AnswerRewound

    def _rewind(self, wrong: Segment, position: int, case: Disagreement) -> None:
        """Forget what rests on the row that ``wrong`` gave for ``position``."""
        state, seen = self._state, self._state.seen
        base, first = max(position, seen.prompt_length), max(position + 1, seen.prompt_length)
        if seen.prompt_length + state.shown > first:
            raise answer_wrong_error(first - seen.prompt_length, case, shown=True)
        stuck = [segment for segment in state.segments if self._is_stuck(segment, wrong, position)]
        state.wasted += max(0, *(segment.sent for segment in state.segments)) - base
        seen.cut(wrong.number, position)
        limits = [base if segment.number < wrong.number else position for segment in state.segments]
        state.store.cut(state.digest, first, [receipt for receipt, _ in state.papers.cut(limits)])
        state.written = min(state.written, len(seen.tokens))
        state.draft = None
        for segment in state.segments:
            segment.ahead = segment.sent > base
        for segment in stuck:
            self._connections.drop(segment)
            self._put_aside(segment, answer_wrong_error(first - seen.prompt_length, case, shown=False))

    def _is_stuck(self, segment: Segment, wrong: Segment, position: int) -> bool:
        """Whether a node has signed, or holds in its prompt, what rests on a row that was wrong: it takes no other."""
        base = max(position, self._state.prompt_length)
        if segment.number < wrong.number:
            return segment.billed > base
        if segment is wrong:
            return segment.billed > position
        return segment.sent > position and position < max(segment.billed, self._state.prompt_length)
