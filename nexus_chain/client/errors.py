"""What can go wrong while asking, paying and verifying.

NexusError
└── ClientError
    ├── NodeError                    one node's fault: another node may do better
    │   ├── NodeUnreachableError     no connection, connection lost, no answer in time
    │   ├── NodeRefusedError         the node answered, and said no
    │   ├── TlsKeyMismatchError      somebody else answers under the node's address
    │   ├── BadRowsError             rows of the wrong shape or position
    │   ├── BadReceiptError          a receipt that does not describe what the node sent
    │   ├── NodeUnfitError           its line is closed or its stake is leaving: nothing binds it to what it signs
    │   └── ReplayMismatchError      a spare computed other bits than the node it replaces
    ├── AnswerWrongError             text that was shown rests on rows that a node made up
    ├── DisagreementError            nodes differ, and nobody is left to tell who is right
    ├── NoSpareError                 every node that could serve a segment has failed
    ├── PromptTooLongError           prompt and answer do not fit the model's context
    ├── PriceLimitError              the quote is above what the user allows
    ├── CapTooLowError               the session does not lock enough for this order
    ├── OrderDeadlineError           the order's or the session's time is over
    ├── SessionStateError            no such session here, or not in the right state
    ├── ClientStoreError             the local database cannot be used
    ├── ModelFilesError              model or tokenizer files missing or not the registered ones
    ├── DraftTableError              a draft table that cannot be made, read or used
    ├── ProofFileError               an answer file that cannot be read
    └── ReputationFileError          the watcher's book about nodes cannot be read or written
"""

from __future__ import annotations

from torch import Tensor

from nexus_chain.errors import NexusError


class ClientError(NexusError):
    """Asking, paying or verifying failed."""


class NodeError(ClientError):
    """One node failed; the answer may continue on a spare."""

    @property
    def is_busy(self) -> bool:
        """Whether the node only has no room at the moment."""
        return False


class NodeUnreachableError(NodeError):
    """The node could not be reached, or the connection broke, or it did not answer in time."""


class NodeRefusedError(NodeError):
    """The node answered with an error of its own; ``error_name`` is that error's class name."""

    def __init__(self, message: str, *, advice: str, error_name: str = "") -> None:
        super().__init__(message, advice=advice)
        self.error_name = error_name

    @property
    def is_busy(self) -> bool:
        """See NodeError."""
        return self.error_name == "BusyError"


class TlsKeyMismatchError(NodeError):
    """The certificate's public key is not the one in the node registry."""


class BadRowsError(NodeError):
    """The node sent rows of another shape, count or position than asked for."""


class BadReceiptError(NodeError):
    """The receipt's signature, order, positions, roots or price are not what they have to be.

    ``is_evidence``: the node did sign it, for this order and segment.
    """

    def __init__(self, message: str, *, advice: str, is_evidence: bool = False) -> None:
        super().__init__(message, advice=advice)
        self.is_evidence = is_evidence


class ReplayMismatchError(NodeError):
    """A spare, fed with the same input rows, gave another ``row`` for ``position`` than the node it replaces.

    ``row`` is i32[width], or the sampled token i32[]. Which of the two is right is not known.
    """

    def __init__(self, message: str, *, advice: str, position: int, row: Tensor) -> None:
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


class NodeUnfitError(NodeError):
    """The node closed its line of the session, or was convicted, or takes its stake out."""


class NoSpareError(ClientError):
    """Every node that could serve a segment has failed."""


class PromptTooLongError(ClientError):
    """Prompt and answer together exceed the model's context."""


class CapTooLowError(ClientError):
    """The session's caps cannot pay for this order."""


class SessionStateError(ClientError):
    """The session is unknown on this machine, or its state forbids the operation."""


class ClientStoreError(ClientError):
    """The local database is damaged or cannot be written."""


class ModelFilesError(ClientError):
    """Model or tokenizer files are missing, or are not those the chain registers."""


class DraftTableError(ClientError):
    """A draft table cannot be made of this text, or its file is damaged or belongs to another model."""


class ProofFileError(ClientError):
    """An answer file is malformed."""


class ReputationFileError(ClientError):
    """The watcher's book about nodes is damaged, or cannot be written."""
