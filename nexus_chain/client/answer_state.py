"""Where an answer is: its rows, its segments, its papers, its chunk. All that its parts share, and nothing they do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nexus_chain.client.boundary_rows import BoundaryRows
from nexus_chain.client.papers import Papers
from nexus_chain.client.referee import Disagreement
from nexus_chain.client.segment import FailoverEvent, Segment
from nexus_chain.client.store import ClientStore
from nexus_chain.market.documents import Order
from nexus_chain.wire.peer import SignedOrder


class AnswerCancelled(Exception):
    """Somebody wants no more of the answer. Never leaves the pipeline."""


class AnswerRewound(Exception):
    """Rows were forgotten, and the answer goes on from before them. Never leaves the pipeline."""


@dataclass(eq=False)
class AnswerState:
    """One answer under way.

    ``seen``: every row at every boundary. ``chunk_stop``: positions that are prepaid; ``closed``: those that a receipt
    of every segment covers. ``wasted``: rows of drafts that were wrong. ``written``: tokens that are in the store;
    ``shown``: sampled tokens that the reader has. ``draft``: a guess made ahead, and the position it follows.
    ``put_off``: what is to be written down while a node is at work. ``cancelled``: the reader wants no more of it, and
    ``abandoned``: nor does anybody wait for the receipts of what was computed.
    """

    signed_order: SignedOrder
    digest: bytes
    seen: BoundaryRows
    papers: Papers
    segments: list[Segment]
    store: ClientStore
    chunk_stop: int
    closed: int = 0
    wasted: int = 0
    written: int = 0
    shown: int = 0
    draft: tuple[int, list[int]] | None = None
    put_off: list[Callable[[], None]] = field(default_factory=list)
    failovers: list[FailoverEvent] = field(default_factory=list)
    disagreements: list[Disagreement] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    abandoned: threading.Event = field(default_factory=threading.Event)

    @property
    def order(self) -> Order:
        return self.signed_order[0]

    @property
    def prompt_length(self) -> int:
        return self.seen.prompt_length

    @property
    def sampled(self) -> Sequence[int]:
        """The tokens after the prompt."""
        return self.seen.tokens[self.prompt_length :]

    @property
    def tokens_left(self) -> int:
        """How many more the order allows."""
        return self.order.max_tokens - (len(self.seen.tokens) - self.prompt_length)

    @property
    def fed(self) -> int:
        """Positions that have passed every segment."""
        return self.seen.received(len(self.segments) - 1)

    def is_complete(self, end_tokens: frozenset[int]) -> bool:
        """Whether nothing more is to be sampled."""
        sampled = self.sampled
        return self.tokens_left <= 0 or (bool(sampled) and sampled[-1] in end_tokens)

    def price(self, segment: int, positions: int) -> int:
        """Wei for positions of a segment."""
        return self.order.asks[segment].wei_per_token * positions

    def require_wanted(self) -> None:
        """Raise AnswerCancelled where the answer was cancelled."""
        if self.cancelled.is_set():
            raise AnswerCancelled

    def require_patience(self) -> None:
        """Raise AnswerCancelled where nobody waits for nodes any more."""
        if self.abandoned.is_set():
            raise AnswerCancelled

    def write_tokens(self) -> None:
        """Write down the tokens that are not in the store yet."""
        if fresh := self.seen.tokens[self.written :]:
            self.store.add_tokens(self.digest, self.written, fresh)
            self.written += len(fresh)

    def catch_up(self) -> None:
        """Write down what was put off until a node is at work. Harmless when it is cut off and done again."""
        while self.put_off:
            self.put_off[0]()
            del self.put_off[0]
