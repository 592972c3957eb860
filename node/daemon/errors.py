"""What goes wrong in a node daemon.

NexusError
└── NodeError
    ├── ConfigurationError        a flag, variable or TOML entry that is missing or malformed
    ├── PortInUseError            the address to listen on is taken
    ├── RegistrationError         the chain does not know this node as it is configured
    ├── ServingError              what a client is told
    │   ├── MalformedRequestError fields that no honest client sends
    │   ├── ModelNotServedError   another model version, segment or layer range
    │   ├── SessionNotOpenError   the session is unknown, closing, expired, or has no line for this node
    │   ├── ShareNotPaidError     the version's publisher gets a share, and the session was not opened for the version
    │   ├── PromptError           the prompt does not hash to promptRoot, or does not fit the context
    │   ├── UnknownOrderError     rows for an order that was never opened here
    │   ├── OrderConflictError    an open order is opened again, differently
    │   ├── NotPrepaidError       the voucher does not cover the positions sent
    │   ├── PositionError         rows or a chunk out of place
    │   ├── RowsConflictError     other rows for positions that were served
    │   ├── PredecessorError      a chunk whose input nobody vouches for
    │   ├── CreditError           a replay that is to be free, for a receipt that does not say so
    │   ├── AuditError            an audit that is not sold here, or about other rows than were sent
    │   ├── NotAuthorisedError    private rows, asked for without the session key
    │   └── BusyError             as many orders as this node takes
    ├── GameDataError             what a dispute's next move needs is not there
    └── StoppingError             the daemon is shutting down
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class NodeError(NexusError):
    """Base of everything the daemon raises."""


class ConfigurationError(NodeError):
    """Raised when a setting is missing, unknown or malformed."""


class PortInUseError(NodeError):
    """Raised when the address to listen on is taken."""


class RegistrationError(NodeError):
    """Raised when the registry's entry for this node is missing, inactive or differs from its keys."""


class ServingError(NodeError):
    """Base of what a client's request can be refused for."""


class MalformedRequestError(ServingError):
    """Raised when a request's fields cannot come from an honest client."""


class ModelNotServedError(ServingError):
    """Raised when an order wants another model version or layer range than this node serves."""


class SessionNotOpenError(ServingError):
    """Raised when the chain has no open session with a line for this node."""


class ShareNotPaidError(ServingError):
    """Raised when a version's publisher gets a share and the session was not opened for the version."""


class PromptError(ServingError):
    """Raised when the prompt is not the ordered one or does not fit."""


class UnknownOrderError(ServingError):
    """Raised when an order was never opened here, or was forgotten after its dispute period."""


class OrderConflictError(ServingError):
    """Raised when an order is opened again with another segment or prompt length."""


class NotPrepaidError(ServingError):
    """Raised before computing positions that no voucher covers."""


class PositionError(ServingError):
    """Raised when rows or chunks do not continue where the order stands."""


class RowsConflictError(ServingError):
    """Raised when rows are sent again with other contents."""


class PredecessorError(ServingError):
    """Raised when a chunk's input rows are not vouched for by an allotted predecessor."""


class CreditError(ServingError):
    """Raised when the receipt shown for a free replay is not another node's over the same rows."""


class AuditError(ServingError):
    """Raised when an audit is not sold here, or is about other rows than those sent."""


class NotAuthorisedError(ServingError):
    """Raised when private rows are asked for without the session key's signature."""


class BusyError(ServingError):
    """Raised when the node serves as many orders as it is configured for."""


class StoppingError(NodeError):
    """Raised when work arrives while the daemon shuts down."""


class GameDataError(NodeError):
    """Raised when a move of a dispute cannot be prepared: rows, receipts or the chain's events are missing."""
