"""An answer's connections: opening the order at a node, bringing the node to where the answer is, hanging up."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial

import numpy as np
from coincurve import PrivateKey

from nexus_chain.client.answer_state import AnswerState
from nexus_chain.client.prepayment import Prepayment
from nexus_chain.client.prompt_turns import PromptTurn
from nexus_chain.client.segment import Segment
from nexus_chain.commitments.tensor import tensor_tree
from nexus_chain.market.documents import sign_digest
from nexus_chain.wire.peer import Dial, ShardPeer

MESSAGE_BYTES = 2 << 20
"""Rows per message stay below this, half of what a message may have."""

QUIET_SECONDS = 200.0
"""A connection that was quiet for longer, as nobody asked for the next token, is made anew: nodes hang up on it."""


class NodeConnections:
    """Connects the nodes of one answer's segments. One thread at a time uses it; any may call ``hang_up``."""

    def __init__(
        self, state: AnswerState, prepayment: Prepayment, dial: Dial, key: PrivateKey, turn: PromptTurn
    ) -> None:
        """``key``: the session's, which shows nodes that calls come from the session's owner."""
        self._state, self._prepayment, self._dial, self._key, self._turn = state, prepayment, dial, key, turn
        self._block = max(1, MESSAGE_BYTES // (4 * state.seen.width))  # rows of a message
        prompt = state.seen.tokens[: state.prompt_length]
        self._prompt_tree = tensor_tree(np.array(prompt, np.int32)).root()

    def peer(self, segment: Segment) -> ShardPeer:
        """The segment's node, connected. Raises PeerError, CapTooLowError."""
        self._state.require_patience()
        if not self.is_connected(segment):
            self.drop(segment)
        peer = segment.peer or self._attach(segment)
        segment.last_use = time.monotonic()
        return peer

    def is_connected(self, segment: Segment) -> bool:
        """Whether there is a connection that its node has not hung up on for quiet."""
        return segment.peer is not None and time.monotonic() - segment.last_use <= QUIET_SECONDS

    def drop(self, segment: Segment) -> None:
        """End the segment's connection, if there is one."""
        if segment.peer is not None:
            segment.peer.close()
            segment.peer = None

    def hang_up(self) -> None:
        """Break all connections for good, so that whoever waits for a node stops waiting. Any thread may."""
        self._state.abandoned.set()
        for segment in self._state.segments:
            peer = segment.peer
            if peer is not None:
                with suppress(Exception):
                    peer.hang_up()

    def feed(self, segment: Segment, peer: ShardPeer, start: int, stop: int, take: bool = True) -> None:
        """Positions [start, stop) into one segment, in messages of bounded size; ``take``: accept the answers.

        Raises PeerError.
        """
        seen = self._state.seen
        for begin in range(start, stop, self._block):
            end = min(begin + self._block, stop)
            # A prompt is never dropped: it stays the same.
            new = seen.prompt_length <= begin == seen.received(segment.number)
            rows = seen.inputs(segment.number, begin, end)
            segment.sent = max(segment.sent, end)
            discard = new and segment.ahead
            out = peer.begin_forward(self._state.digest, begin, rows, discard=discard, voucher=segment.voucher)()
            segment.voucher = None
            segment.ahead = segment.ahead and not new
            if take:
                seen.accept(segment.number, begin, end - begin, out, segment.contact.address)

    def _attach(self, segment: Segment) -> ShardPeer:
        """Connect the segment's node, open the order there and bring it to where the answer is."""
        peer = self._dial(segment.contact)
        segment.peer = peer  # from now on another thread may hang up
        segment.ahead, segment.voucher = False, None  # the order comes with a voucher of its own
        try:
            self._state.require_patience()
            with self._turn.hold(self._state.require_patience):
                self._catch_up(segment, peer, self._open(segment, peer))
        except BaseException:
            self.drop(segment)
            raise
        return peer

    def _open(self, segment: Segment, peer: ShardPeer) -> int:
        """Open the order; how many positions the node holds of it."""
        seen = self._state.seen
        prompt = seen.tokens[: seen.prompt_length]
        return peer.open_order(
            self._state.signed_order,
            segment.number,
            len(prompt),
            prompt if segment.number in (0, len(self._state.segments) - 1) else (),
            self._prepayment.pay_again(segment),
            partial(sign_digest, key=self._key),
            prompt_tree=self._prompt_tree,
            credit=segment.credit,
        )

    def _catch_up(self, segment: Segment, peer: ShardPeer, held: int) -> None:
        """Feed a node that holds ``held`` positions what the answer has."""
        seen = self._state.seen
        start, received = min(held, segment.billed), seen.received(segment.number)
        if segment.replays:
            if segment.billed > self._block:  # all of the credit first; what it gave is told and compared then
                self.feed(segment, peer, start, segment.billed, take=False)
            start = 0
        self.feed(segment, peer, start, received)
        segment.ahead = held > max(received, seen.prompt_length)
