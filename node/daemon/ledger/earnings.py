"""What this node's receipts bill, an entry an answer."""

from __future__ import annotations

from nexus_chain.market.documents import Receipt
from nexus_chain.market.settlement import ComputeTransaction, compute_transaction
from node.daemon.ledger.state import NodeState, OrderState


def earned_in(state: NodeState, session: bytes) -> list[ComputeTransaction]:
    """The answers of one session that have receipts."""
    return _entries(state, [order for order in state.orders.values() if order.session == session])


def earned_last(state: NodeState, most: int) -> list[ComputeTransaction]:
    """The ``most`` answers whose receipts are the newest, the newest last."""
    billed = [order for order in state.orders.values() if order.receipts]
    return _entries(state, sorted(billed, key=lambda order: order.receipts[-1].number)[-most:])


def _entries(state: NodeState, orders: list[OrderState]) -> list[ComputeTransaction]:
    return [_entry(state, order) for order in orders if order.receipts]


def _entry(state: NodeState, order: OrderState) -> ComputeTransaction:
    session = state.session(order.session)
    receipts = [Receipt.from_json(one.json) for one in order.receipts]
    return compute_transaction(receipts, session.signer, session.active_at)
