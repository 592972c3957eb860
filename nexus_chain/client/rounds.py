"""Rows in, rows and tokens out: one position at a time through all segments, with guesses at what follows it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from nexus_chain.client.answer_state import AnswerState
from nexus_chain.client.node_connections import NodeConnections
from nexus_chain.client.replacement import Replacement
from nexus_chain.client.segment import Round
from nexus_chain.drafting.drafts import Drafts
from nexus_chain.market.documents import CHUNK_POSITIONS, DISCARDS_PER_POSITION
from nexus_chain.market.pricing import billed_positions
from nexus_chain.wire.errors import PeerError
from nexus_chain.wire.peer import RowArray


class TokenRounds:
    """Feeds one answer. ``drafts``: where guesses come from, None for none."""

    def __init__(
        self, state: AnswerState, connections: NodeConnections, replacement: Replacement, drafts: Drafts | None
    ) -> None:
        self._state, self._connections, self._replacement = state, connections, replacement
        self.drafts = drafts

    def feed(self, start: int, stop: int) -> None:
        """Positions [start, stop) through all segments."""
        for segment in self._state.segments:
            work = partial(self._connections.feed, segment, start=start, stop=stop)
            self._replacement.insist(segment, work)

    def begin(self) -> Round | None:
        """The last token and a draft of what follows, on their way to the first segment where it is connected.

        None where a node failed in the middle of feeding, and the segments before it are ahead of the others.
        """
        state, start = self._state, self._state.fed
        if any(state.seen.received(segment.number) != start for segment in state.segments):
            return None
        draft = self.draft(start, state.chunk_stop)
        begun = Round(start, draft, np.array([state.seen.tokens[start], *draft], np.int32))
        if self._connections.is_connected(state.segments[0]):
            self._send(begun)
        return begun

    def finish(self, begun: Round | None, end_tokens: frozenset[int]) -> None:
        """Take a round through all segments, and accept it as far as its draft was right.

        Nothing is accepted when a node failed: it is replaced, and the position is fed again.
        """
        if begun is None:
            return self.feed(self._state.fed, self._state.fed + 1)
        while begun.failure is None and len(begun.outputs) < len(self._state.segments):
            if begun.answer is None:
                self._send(begun)
            else:
                self._receive(begun, begun.answer)
        if begun.failure is not None:
            self._state.wasted += len(begun.draft) + 1
            return self._replacement.replace(*begun.failure)
        return self._judge(begun, end_tokens)

    def draft_ahead(self, stop: int) -> None:
        """Guess now what follows the last token, for a chunk that ends at ``stop``."""
        start = self._state.fed
        self._state.draft = start, self.draft(start, stop)

    def draft(self, start: int, chunk_stop: int) -> list[int]:
        """Guesses at the tokens after position ``start``, within the chunk and what nodes put up with."""
        state = self._state
        if state.draft is not None and state.draft[0] == start:
            return state.draft[1]
        waste = DISCARDS_PER_POSITION * billed_positions(state.prompt_length, state.order.max_tokens)
        most = min(chunk_stop - start - 1, waste - state.wasted - CHUNK_POSITIONS)
        if self.drafts is None or most < 1:
            return []
        return self.drafts.propose(state.seen.tokens, most)

    def _send(self, begun: Round) -> None:
        """Hand the rows of a round to the next segment."""
        segment = self._state.segments[len(begun.outputs)]
        try:
            peer = self._connections.peer(segment)
            segment.sent = max(segment.sent, begun.start + len(begun.rows))
            begun.answer = peer.begin_forward(
                self._state.digest, begun.start, begun.rows, discard=segment.ahead, voucher=segment.voucher
            )
            segment.voucher = None
            segment.ahead = True  # until it is known how many of them count
        except PeerError as error:
            begun.failure = segment, error

    def _receive(self, begun: Round, answer: Callable[[], RowArray]) -> None:
        """Take what the segment at work makes of the rows of a round."""
        segment = self._state.segments[len(begun.outputs)]
        try:
            out = answer()
            self._state.seen.check(segment.number, begun.start, len(begun.rows), out, segment.contact.address)
        except PeerError as error:
            begun.failure = segment, error
            return
        begun.outputs.append(out)
        begun.rows, begun.answer = out, None

    def _judge(self, begun: Round, end_tokens: frozenset[int]) -> None:
        """Accept the outputs of a round as far as its draft was right."""
        state, draft, sampled = self._state, begun.draft, begun.outputs[-1].tolist()
        right = 0
        while right < len(draft) and sampled[right] == draft[right] and sampled[right] not in end_tokens:
            right += 1
        if self.drafts is not None and draft:
            self.drafts.judge(len(draft), right)
        state.wasted += len(draft) - right
        for segment, out in zip(state.segments, begun.outputs, strict=True):
            state.seen.accept(segment.number, begun.start, right + 1, out[: right + 1], segment.contact.address)
            segment.ahead = right < len(draft)
