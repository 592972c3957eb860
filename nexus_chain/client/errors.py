"""What can go wrong while asking, paying and verifying.

NexusError
├── PeerError (of the wire)          one node's fault: another node may do better
│   ├── NodeUnfitError               its line is closed or its stake is leaving: nothing binds it to what it signs
│   └── ReplayMismatchError          a spare computed other bits than the node it replaces
└── ClientError
    ├── AnswerWrongError             text that was shown rests on rows that a node made up
    ├── DisagreementError            nodes differ, and nobody is left to tell who is right
    ├── NoSpareError                 every node that could serve a segment has failed
    ├── PriceLimitError              the quote is above what the user allows
    ├── CapTooLowError               the session does not lock enough for this order
    ├── OrderDeadlineError           the order's or the session's time is over
    ├── SessionStateError            no such session here, or not in the right state
    └── ClientStoreError             the local database cannot be used
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus_chain.errors import NexusError
from nexus_chain.wire.errors import BadReceiptError as BadReceiptError
from nexus_chain.wire.errors import PeerError

if TYPE_CHECKING:
    from nexus_chain.wire.peer import RowArray  # with numpy, and an error tree has to be light


class ClientError(NexusError):
    """Asking, paying or verifying failed."""


class ReplayMismatchError(PeerError):
    """A spare, fed with the same input rows, gave another ``row`` for ``position`` than the node it replaces.

    ``row`` is i32[width], or the sampled token i32[]. Which of the two is right is not known.
    """

    def __init__(self, message: str, *, advice: str, position: int, row: RowArray) -> None:
        super().__init__(message, advice=advice)
        self.position, self.row = position, row


class AnswerWrongError(ClientError):
    """The answer cannot go on: a row that a node gave was wrong, or stands against another node's.

    ``token``: number of the first token of the answer that rests on it. ``told``: whether it was shown.
    """

    def __init__(self, message: str, *, advice: str, token: int, told: bool) -> None:
        super().__init__(message, advice=advice)
        self.token, self.told = token, told


class DisagreementError(ClientError):
    """Nodes gave different rows for the same input, and nobody is left who could decide."""


class NodeUnfitError(PeerError):
    """The node closed its line of the session, or was convicted, or takes its stake out."""


class NoSpareError(ClientError):
    """Every node that could serve a segment has failed."""


class CapTooLowError(ClientError):
    """The session's caps cannot pay for this order."""


class SessionStateError(ClientError):
    """The session is unknown on this machine, or its state forbids the operation."""


class ClientStoreError(ClientError):
    """The local database is damaged or cannot be written."""
