"""Who serves each segment of an answer now, and what is on its way there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nexus_chain.wire.errors import PeerError
from nexus_chain.wire.peer import NodeContact, RowArray, ShardPeer, SignedReceipt, SignedVoucher


class Reserve(Protocol):
    """Where spares come from."""

    def spare(self, segment: int, failed: Sequence[str]) -> NodeContact | None:
        """The next node to try for ``segment`` that is not in ``failed``, or None."""

    def fund(self, node: NodeContact, wei: int) -> None:
        """Make sure the session's cap for ``node`` allows ``wei`` more; may send a transaction."""


@dataclass(frozen=True)
class FailoverEvent:
    """A node was replaced. The spare replays ``position`` positions and must give the same bits for them.

    ``spare`` is ``failed`` itself when nobody else serves the segment and it is tried again.
    """

    segment: int
    failed: str
    spare: str
    position: int
    reason: str


@dataclass(eq=False)
class Segment:
    """The node that serves segment ``number`` now.

    ``billed``: positions that its receipts cover, or ``credit``, which is what the node that it replaced signed last.
    ``signed``: chunks that it signed for this user since it last failed to. ``aside``: nodes whose replay differs from
    another node's, and nobody knows which is right. ``sent``: positions whose rows it was sent, and may have computed.
    ``ahead``: it holds rows beyond those that count, of wrong drafts.
    ``voucher``: prepays the chunk, and is not handed over yet. ``last_use``: when it was last needed, in monotonic
    seconds.
    """

    number: int
    contact: NodeContact
    peer: ShardPeer | None = None
    billed: int = 0
    sent: int = 0
    ahead: bool = False
    voucher: SignedVoucher | None = None
    last_use: float = 0.0
    failed: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    credit: SignedReceipt | None = None
    signed: int = 0

    @property
    def replays(self) -> bool:
        """Whether it has signed nothing on top of ``credit``: it tells no row before it has all that are covered."""
        return self.credit is not None and self.billed == self.credit[0].to_position


@dataclass
class Round:
    """Position ``start`` and a draft of what follows it, on their way through the segments.

    ``rows``: what the next segment gets. ``outputs``: of the segments that are through. ``answer`` waits for that of
    the segment at work, None where none is. ``failure``: who ended the round, and how.
    """

    start: int
    draft: Sequence[int]
    rows: RowArray
    outputs: list[RowArray] = field(default_factory=list)
    answer: Callable[[], RowArray] | None = None
    failure: tuple[Segment, PeerError] | None = None
