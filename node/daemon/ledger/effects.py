"""What the shell around a node's state has to do next. Each effect may be carried out twice without harm."""

from __future__ import annotations

from dataclasses import dataclass

from node.daemon.ledger.state import NodeState, SessionState


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


def due(state: NodeState, now: int) -> tuple[Effect, ...]:
    """What this node has to do at ``now``, chain time."""
    return tuple(effect for session in _in_order(state) for effect in _due(state, session, now))


def _due(state: NodeState, session: SessionState, now: int) -> tuple[Effect, ...]:
    """What this node has to do about one line now."""
    if now > session.end:
        return _due_after_end(state, session, now)
    worth_posting = session.cumulative > session.posted
    idle = session.cumulative > 0 and session.active_at + state.terms.close_idle_after <= now
    leaving = idle and not session.closing and now < session.expiry
    effects: list[Effect] = []
    # INVARIANT: a voucher held is posted as soon as the line's end is near, so that sleeping loses no money.
    if worth_posting and (session.closing or now >= session.expiry or leaving):
        effects.append(PostVoucher(session.session, session.voucher, session.voucher_signature))
    if leaving:
        effects.append(CloseLine(session.session))
    return tuple(effects)


def _due_after_end(state: NodeState, session: SessionState, now: int) -> tuple[Effect, ...]:
    effects: list[Effect] = []
    # INVARIANT: this node's clock may be ahead, and the contract alone knows what is late.
    if session.cumulative > session.posted and not session.settled and now <= session.end + state.terms.rows_kept:
        effects.append(PostVoucher(session.session, session.voucher, session.voucher_signature))
    if session.posted and not session.settled:
        effects.append(SettleLine(session.session))
    if effects:
        return tuple(effects)
    # INVARIANT: input rows are kept until nobody can dispute them, however early this node's own line ended.
    if session.session_end and now > session.session_end + state.terms.rows_kept:
        orders = tuple(sorted(order.digest for order in state.orders.values() if order.session == session.session))
        return (ForgetSession(session.session, orders),)
    return ()


def vouchers_to_post(state: NodeState) -> tuple[PostVoucher, ...]:
    """The vouchers worth more than what the market holds: what a node posts before it sleeps."""
    return tuple(
        PostVoucher(session.session, session.voucher, session.voucher_signature)
        for session in _in_order(state)
        if session.cumulative > session.posted and not session.settled
    )


def _in_order(state: NodeState) -> list[SessionState]:
    """The sessions by id: a map has another order in every process."""
    return sorted(state.sessions.values(), key=lambda session: session.session)
