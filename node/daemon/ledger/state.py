"""The daemon's core: ``transition(state, event) -> (state, effects)``, pure.

Sessions, vouchers, orders, chunks and receipts live here; signatures, rows, tensors, sockets,
the chain and the clock do not: events carry what they found out. An event that must not happen
raises a ``ServingError`` and changes nothing, so a refusal is never logged. Effects are what the
shell around the core has to do next; each of them may be done twice without harm.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

from immutables import Map

from nexus_chain.market.documents import CHUNK_POSITIONS, DISCARDS_PER_POSITION
from nexus_chain.market.errors import StaleVoucherError
from nexus_chain.market.vouchers import require_rise
from node.daemon.errors import (
    BusyError,
    NotPrepaidError,
    OrderConflictError,
    PositionError,
    SessionNotOpenError,
    UnknownOrderError,
)

# ------------------------------------------------------------------------------ state


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
class SignedReceipt:
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
    receipts: tuple[SignedReceipt, ...] = ()

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

    def receipt_up_to(self, to_position: int) -> SignedReceipt | None:
        """The receipt that ends at ``to_position``, if there is one."""
        return next((receipt for receipt in self.receipts if receipt.to_position == to_position), None)


Changed = TypeVar("Changed", SessionState, OrderState)


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


# ----------------------------------------------------------------------------- events


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

# ---------------------------------------------------------------------------- effects


@dataclass(frozen=True)
class LogReceipt:
    """Append to the receipt log at place ``number``."""

    number: int
    json: str
    signature: bytes


@dataclass(frozen=True)
class PostVoucher:
    """Send the best voucher to the market."""

    session: bytes
    voucher: str
    signature: bytes


@dataclass(frozen=True)
class CloseLine:
    """Close this node's line: nothing more is expected of it."""

    session: bytes


@dataclass(frozen=True)
class SettleLine:
    """Have this node's line paid out."""

    session: bytes


@dataclass(frozen=True)
class ForgetSession:
    """Delete the rows of these orders, then report ``SessionForgotten``."""

    session: bytes
    orders: tuple[bytes, ...]


Effect = LogReceipt | PostVoucher | CloseLine | SettleLine | ForgetSession

# ------------------------------------------------------------------------- transition

Outcome = tuple[NodeState, tuple[Effect, ...]]


def transition(state: NodeState, event: Event) -> Outcome:
    """The state after ``event`` and what has to be done; raises ServingError and changes nothing."""
    match event:
        case SessionObserved():
            return _session_observed(state, event), ()
        case OrderReceived():
            return _order_received(state, event), ()
        case VoucherReceived():
            return _voucher_received(state, event), ()
        case RowsReceived():
            return _rows_received(state, event), ()
        case RowsDiscarded():
            return _rows_discarded(state, event), ()
        case RowsRecovered():
            return _rows_recovered(state, event), ()
        case PredecessorKept():
            return state, ()
        case ReceiptSigned():
            return _receipt_signed(state, event)
        case TimePassed():
            return state, tuple(due for session in _in_order(state) for due in _due(state, session, event.now))
        case SessionForgotten():
            return _session_forgotten(state, event), ()
        case ReceiptForgotten():
            return replace(state, receipts=state.receipts + 1), ()


def _in_order(state: NodeState) -> list[SessionState]:
    """The sessions, in the same order in every process: a map of these has another one each time."""
    return sorted(state.sessions.values(), key=lambda session: session.session)


def _with_session(state: NodeState, session: SessionState) -> NodeState:
    return NodeState(state.terms, state.sessions.set(session.session, session), state.orders, state.receipts)


def _with_order(state: NodeState, order: OrderState) -> NodeState:
    return NodeState(state.terms, state.sessions, state.orders.set(order.digest, order), state.receipts)


def _with_both(state: NodeState, session: SessionState, order: OrderState) -> NodeState:
    sessions, orders = state.sessions.set(session.session, session), state.orders.set(order.digest, order)
    return NodeState(state.terms, sessions, orders, state.receipts)


def _changed(one: Changed, **fields: int) -> Changed:
    """``one`` with other ``fields``: as ``dataclasses.replace``, in a fifth of its time, for what every round does."""
    changed = object.__new__(type(one))
    changed.__dict__.update(one.__dict__, **fields)
    return changed


def _session_observed(state: NodeState, event: SessionObserved) -> NodeState:
    known = state.sessions.get(event.session)
    names = ("expiry", "end", "closing", "cap", "posted", "settled", "session_end")
    facts = {name: getattr(event, name) for name in names}
    if known is None:
        return _with_session(state, SessionState(event.session, event.signer, **facts))
    # INVARIANT: vouchers held are worth nothing where a reorganisation let another session key take the id.
    if event.signer != known.signer:
        facts["closing"] = True
    observed = replace(known, **facts)
    return state if observed == known else _with_session(state, observed)


def _order_received(state: NodeState, event: OrderReceived) -> NodeState:
    session = state.session(event.session)
    known = state.orders.get(event.digest)
    if known is not None:
        if (known.segment, known.prompt_length) != (event.segment, event.prompt_length):
            raise OrderConflictError(
                f"this order is open as segment {known.segment} with a prompt of {known.prompt_length} tokens",
                advice="Open it the same way again, or sign a new order.",
            )
        # INVARIANT: one credit per order, given before anything is billed.
        if event.credit not in (0, known.credit):
            raise OrderConflictError(
                f"this order is open with {known.credit} free positions, not {event.credit}",
                advice="Open it the same way again, or sign a new order.",
            )
        return state
    # INVARIANT: no work is begun in a session that no longer pays.
    if session.closing or session.settled:
        raise SessionNotOpenError("the session is closing", advice="Open a new session.")
    fields = {name: getattr(event, name) for name in event.__dataclass_fields__}
    order = OrderState(**fields)
    # INVARIANT: an order takes room for months, so only a prepaid prompt opens one, or another node's receipt for it.
    # And of an audit, which is one prefill, all of it is prepaid.
    _require_prepaid(session, order, 0, order.limit if order.audit else order.prompt_length)
    return _with_order(state, order)


def _voucher_received(state: NodeState, event: VoucherReceived) -> NodeState:
    session = state.session(event.session)
    try:
        require_rise(event.cumulative, held=session.cumulative, cap=session.cap)
    except StaleVoucherError:
        # INVARIANT: vouchers merge by maximum; a lower or repeated one takes nothing away.
        return state
    better = replace(
        session,
        cumulative=event.cumulative,
        voucher=event.voucher,
        voucher_signature=event.signature,
        active_at=event.at,
    )
    return _with_session(state, better)


def _rows_received(state: NodeState, event: RowsReceived) -> NodeState:
    order = state.order(event.order)
    session = state.session(order.session)
    stop = event.start + event.count
    if event.start != order.length or event.count < 1:
        raise PositionError(
            f"{event.count} rows from position {event.start} do not continue the order at {order.length}",
            advice=f"Send rows from position {order.length} on.",
        )
    if stop > order.limit:
        raise PositionError(
            f"the order ends at position {order.limit}, not {stop}", advice="Sign a new order for more tokens."
        )
    if order.billed and stop > order.billed + CHUNK_POSITIONS:
        raise PositionError(
            f"position {stop} is beyond the chunk that began at {order.billed}",
            advice=f"Close the chunk first: it has at most {CHUNK_POSITIONS} positions.",
        )
    # INVARIANT: nothing is computed when the time to post a voucher for it may be running out.
    if session.closing or session.settled or event.at >= session.expiry:
        raise SessionNotOpenError("the session is closing or has expired", advice="Open a new session.")
    # INVARIANT: only what a voucher covers is computed; a node can lose the receipts of one chunk, never its pay.
    computed = _require_prepaid(session, order, event.start, stop)
    return _with_both(state, _changed(session, computed=computed), _changed(order, length=stop))


def _require_prepaid(session: SessionState, order: OrderState, start: int, stop: int) -> int:
    """The session's bill with [start, stop) on it; NotPrepaidError when the best voucher does not cover it."""
    computed = session.computed + order.price_of(start, stop)
    if computed > session.cumulative:
        raise NotPrepaidError(
            f"{stop - start} more positions need a voucher of {computed} wei and the best one held "
            f"is for {session.cumulative} wei",
            advice="Send a voucher that prepays the next chunk.",
        )
    return computed


def _rows_discarded(state: NodeState, event: RowsDiscarded) -> NodeState:
    order = state.order(event.order)
    session = state.session(order.session)
    count = order.length - event.start
    if count <= 0:
        return state
    # INVARIANT: what a receipt vouches for stays, and so does the prompt that opened the order.
    if event.start < max(order.billed, order.prompt_length):
        raise PositionError(
            f"positions from {event.start} on cannot be dropped: receipts or the prompt cover the first "
            f"{max(order.billed, order.prompt_length)}",
            advice="Open a new order for other rows.",
        )
    # INVARIANT: dropped rows were computed without pay, so an order gets only so many of them.
    discarded = order.discarded + count
    if discarded > DISCARDS_PER_POSITION * order.limit:
        raise BusyError(
            f"{discarded} rows of this order would be dropped, more than {DISCARDS_PER_POSITION} for each of its "
            f"{order.limit} positions",
            advice="Send only rows that are certain.",
        )
    unpaid = _changed(session, computed=session.computed - order.price_of(event.start, order.length))
    return _with_both(state, unpaid, _changed(order, length=event.start, discarded=discarded))


def _rows_recovered(state: NodeState, event: RowsRecovered) -> NodeState:
    """Set the length to what the disk holds, and the session's bill with it."""
    order = state.order(event.order)
    session = state.session(order.session)
    more = order.price_of(0, event.length) - order.price_of(0, order.length)
    return _with_both(state, replace(session, computed=session.computed + more), replace(order, length=event.length))


def _receipt_signed(state: NodeState, event: ReceiptSigned) -> Outcome:
    order = state.order(event.order)
    # Rows are logged beside this log, so a replay learns a chunk's length from its receipt.
    if order.length < event.to_position:
        state = _rows_recovered(state, RowsRecovered(event.order, event.to_position))
        order = state.order(event.order)
    receipt = SignedReceipt(state.receipts, event.to_position, event.digest, event.json, event.signature)
    state = _with_order(state, replace(order, receipts=(*order.receipts, receipt)))
    state = replace(state, receipts=state.receipts + 1)
    return state, (LogReceipt(receipt.number, receipt.json, receipt.signature),)


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


def _due(state: NodeState, session: SessionState, now: int) -> tuple[Effect, ...]:
    """What this node has to do about one line now."""
    if now > session.end:
        return _due_after_end(state, session, now)
    unposted = session.cumulative > session.posted
    idle = session.cumulative > 0 and session.active_at + state.terms.close_idle_after <= now
    leaving = idle and not session.closing and now < session.expiry
    due: list[Effect] = []
    # INVARIANT: a voucher held is posted as soon as the line's end is near, so that sleeping loses no money.
    if unposted and (session.closing or now >= session.expiry or leaving):
        due.append(PostVoucher(session.session, session.voucher, session.voucher_signature))
    if leaving:
        due.append(CloseLine(session.session))
    return tuple(due)


def _due_after_end(state: NodeState, session: SessionState, now: int) -> tuple[Effect, ...]:
    due: list[Effect] = []
    # INVARIANT: this node's clock may be ahead, and the contract alone knows what is late.
    if session.cumulative > session.posted and not session.settled and now <= session.end + state.terms.rows_kept:
        due.append(PostVoucher(session.session, session.voucher, session.voucher_signature))
    if session.posted and not session.settled:
        due.append(SettleLine(session.session))
    if due:
        return tuple(due)
    # INVARIANT: input rows are kept until nobody can dispute them, however early this node's own line ended.
    if session.session_end and now > session.session_end + state.terms.rows_kept:
        orders = tuple(sorted(order.digest for order in state.orders.values() if order.session == session.session))
        return (ForgetSession(session.session, orders),)
    return ()


def unposted(state: NodeState) -> tuple[PostVoucher, ...]:
    """The vouchers worth more than what the market holds: what a node posts before it sleeps."""
    return tuple(
        PostVoucher(session.session, session.voucher, session.voucher_signature)
        for session in _in_order(state)
        if session.cumulative > session.posted and not session.settled
    )


def _session_forgotten(state: NodeState, event: SessionForgotten) -> NodeState:
    sessions, orders = state.sessions, state.orders
    if event.session in sessions:
        sessions = sessions.delete(event.session)
    for order in state.orders.values():
        if order.session == event.session:
            orders = orders.delete(order.digest)
    return replace(state, sessions=sessions, orders=orders)
