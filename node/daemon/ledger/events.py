"""What can happen to a node's state. The class names stand in the write-ahead log: they keep their bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SessionObserved:
    """The chain says this about a session and this node's line in it."""

    session: bytes
    signer: str
    expiry: int
    end: int
    closing: bool
    cap: int
    posted: int
    settled: bool
    session_end: int = 0


@dataclass(frozen=True)
class OrderReceived:
    """A signed order that passed every check that needs no state; with ``audit``, an AuditOrder about one."""

    digest: bytes
    session: bytes
    order: str
    signature: bytes
    segment: int
    prompt_length: int
    prompt: bytes
    wei_per_token: int
    limit: int
    credit: int = 0
    credit_receipt: str = ""
    credit_signature: bytes = b""
    audit: str = ""


@dataclass(frozen=True)
class VoucherReceived:
    """A voucher with the session key's signature; ``cumulative`` is this node's line."""

    session: bytes
    cumulative: int
    voucher: str
    signature: bytes
    at: int


@dataclass(frozen=True)
class RowsReceived:
    """``count`` new rows that continue an order at ``start``. Logged as the rows themselves."""

    order: bytes
    start: int
    count: int
    at: int


@dataclass(frozen=True)
class RowsDiscarded:
    """The client drops the rows from ``start`` on: guesses at what comes next that were wrong."""

    order: bytes
    start: int


@dataclass(frozen=True)
class RowsRecovered:
    """After a restart: so many rows of an order are on the disk."""

    order: bytes
    length: int


@dataclass(frozen=True)
class PredecessorKept:
    """What vouched for an order's rows in, up to ``to_position``: in logs of before, where it means nothing now."""

    order: bytes
    to_position: int
    json: str
    signature: bytes


@dataclass(frozen=True)
class ReceiptSigned:
    """A chunk was closed: its receipt, for positions up to ``to_position``."""

    order: bytes
    from_position: int
    to_position: int
    digest: bytes
    json: str
    signature: bytes


@dataclass(frozen=True)
class TimePassed:
    """It is ``now`` on the chain. Changes nothing; its effects say what is due."""

    now: int


@dataclass(frozen=True)
class SessionForgotten:
    """Nobody can dispute or pay anything of this session any more."""

    session: bytes


@dataclass(frozen=True)
class ReceiptForgotten:
    """A receipt was signed here, of a session that was forgotten since: it keeps its place in the receipt log."""


Event = (
    SessionObserved
    | OrderReceived
    | VoucherReceived
    | RowsReceived
    | RowsDiscarded
    | RowsRecovered
    | PredecessorKept
    | ReceiptSigned
    | TimePassed
    | SessionForgotten
    | ReceiptForgotten
)
