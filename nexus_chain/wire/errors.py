"""What a node can do wrong on the wire: another node may do better.

NexusError
└── PeerError                    one node's fault
    ├── NodeUnreachableError     no connection, connection lost, no answer in time
    ├── NodeRefusedError         the node answered, and said no
    ├── TlsKeyMismatchError      somebody else answers under the node's address
    ├── BadRowsError             rows of the wrong shape or position
    └── BadReceiptError          a receipt that does not describe what the node sent
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class PeerError(NexusError):
    """One node failed; the answer may continue on a spare."""

    @property
    def is_busy(self) -> bool:
        """Whether the node only has no room at the moment."""
        return False


class NodeUnreachableError(PeerError):
    """The node could not be reached, or the connection broke, or it did not answer in time."""


class NodeRefusedError(PeerError):
    """The node answered with an error of its own; ``error_name`` is that error's class name."""

    def __init__(self, message: str, *, advice: str, error_name: str = "") -> None:
        super().__init__(message, advice=advice)
        self.error_name = error_name

    @property
    def is_busy(self) -> bool:
        """See PeerError."""
        return self.error_name == "BusyError"


class TlsKeyMismatchError(PeerError):
    """The certificate's public key is not the one in the node registry."""


class BadRowsError(PeerError):
    """The node sent rows of another shape, count or position than asked for."""


class BadReceiptError(PeerError):
    """The receipt's signature, order, positions, roots or price are not what they have to be.

    ``is_evidence``: the node did sign it, for this order and segment.
    """

    def __init__(self, message: str, *, advice: str, is_evidence: bool = False) -> None:
        super().__init__(message, advice=advice)
        self.is_evidence = is_evidence
