"""What a restarted node has to know: sessions, orders, vouchers and receipts. Immutable, and only data.

Signatures, rows, tensors, sockets, the chain and the clock are not here. ``transition`` makes the next state.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from immutables import Map

from node.daemon.errors import PositionError, SessionNotOpenError, UnknownOrderError


@dataclass(frozen=True)
class Terms:
    """What a node decides for itself and what the contracts fix; times in seconds.

    ``rows_kept``: how long input rows outlive a session's end (the longest game).
    ``close_idle_after``: a line that earned something is closed after so long without a voucher.
    """

    rows_kept: int
    close_idle_after: int = 86_400


@dataclass(frozen=True)
class SessionState:
    """One session as far as this node's line is concerned. Amounts in wei, times are the chain's.

    ``end``: until then vouchers count; ``closing``: the line's end was brought forward. ``session_end``: until
    then games can be opened, also after the line's end; 0 while the chain was not asked (a log of before).
    ``cumulative`` with its ``voucher`` (JSON, signature) is the best one held, ``posted`` what the
    contract holds, ``computed`` the price of every position accepted so far.
    """

    session: bytes
    signer: str
    expiry: int
    end: int
    closing: bool
    cap: int
    posted: int = 0
    settled: bool = False
    cumulative: int = 0
    voucher: str = ""
    voucher_signature: bytes = b""
    active_at: int = 0
    computed: int = 0
    session_end: int = 0


@dataclass(frozen=True)
class IssuedReceipt:
    """A receipt given out: its document, EIP-712 digest and place in the node's log."""

    number: int
    to_position: int
    digest: bytes
    json: str
    signature: bytes


@dataclass(frozen=True)
class OrderState:
    """One order in this node's segment.

    ``length`` positions were accepted, the first ``closed`` of them have receipts; ``limit`` is the most it
    can have. ``discarded`` counts rows that were computed and dropped again since the node started.
    ``prompt`` holds the token ids (int32 little endian) where they are needed. The first ``credit`` positions are
    free: another node, which this one replaces, signed ``credit_receipt`` (JSON) for them and was paid. ``audit``: the
    AuditOrder (JSON) that bought this sequence, whose digest is then ``digest``; empty for an order itself.
    """

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
    length: int = 0
    discarded: int = 0
    receipts: tuple[IssuedReceipt, ...] = ()

    @property
    def closed(self) -> int:
        """Positions that receipts vouch for."""
        return self.receipts[-1].to_position if self.receipts else 0

    @property
    def billed(self) -> int:
        """Positions that were paid for with a receipt, this node's or the one that it was shown."""
        return self.closed or self.credit

    def price_of(self, start: int, stop: int) -> int:
        """Wei for positions [start, stop), the free ones left out."""
        return self.wei_per_token * max(0, stop - max(start, self.credit))

    def receipt_up_to(self, to_position: int) -> IssuedReceipt | None:
        """The receipt that ends at ``to_position``, if there is one."""
        return next((receipt for receipt in self.receipts if receipt.to_position == to_position), None)


@dataclass(frozen=True)
class NodeState:
    """Everything a restarted node has to know. ``receipts`` counts all it ever signed.

    The maps share what did not change with those of the state before: a step costs the same with a hundred
    thousand orders as with one.
    """

    terms: Terms
    sessions: Map[bytes, SessionState] = field(default_factory=Map)
    orders: Map[bytes, OrderState] = field(default_factory=Map)
    receipts: int = 0

    def session(self, session: bytes) -> SessionState:
        """A known session; SessionNotOpenError otherwise."""
        found = self.sessions.get(session)
        if found is None:
            raise SessionNotOpenError(
                f"session 0x{session.hex()} is not known here", advice="Open an order in it first."
            )
        return found

    def order(self, digest: bytes) -> OrderState:
        """A known order; UnknownOrderError otherwise."""
        found = self.orders.get(digest)
        if found is None:
            raise UnknownOrderError(
                f"order 0x{digest.hex()} is not known here", advice="Open the order at this node first."
            )
        return found


def check_chunk(order: OrderState, from_position: int, to_position: int) -> None:
    """Raise PositionError unless [from, to) is the next chunk of an order."""
    if from_position != order.billed:
        raise PositionError(
            f"the chunk starts at {from_position} and the last one ended at {order.billed}",
            advice=f"Close the chunk from {order.billed} on.",
        )
    if not order.billed < to_position <= order.length:
        raise PositionError(
            f"the chunk would end at {to_position} and positions {order.billed} to {order.length} are open",
            advice="Send the rows first, then close the chunk.",
        )
    if to_position < order.prompt_length:
        raise PositionError(
            f"the first chunk ends at {to_position}, inside the prompt of {order.prompt_length} tokens",
            advice="Send the whole prompt before closing the chunk.",
        )
