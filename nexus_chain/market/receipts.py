"""What a receipt must say to follow from its order and from its predecessor.

Whether the rows behind the roots are right is for recomputation; this is about the paper.
"""

from __future__ import annotations

from collections.abc import Sequence

from nexus_chain.market.documents import AuditOrder, Domain, Order, Receipt, TokenFeed, require_signer
from nexus_chain.market.errors import ReceiptError

_REPLACE = "Do not pay for it; continue with a spare node."


def check_receipt(
    receipt: Receipt,
    signature: bytes,
    domain: Domain,
    order: Order,
    *,
    receipt_key: str,
    prompt_length: int,
    audits: Sequence[AuditOrder] = (),
) -> None:
    """Raise ReceiptError or WrongSignerError unless ``receipt`` follows from ``order``.

    1 The node's receipt key signed it. 2 It is for this order. 3 Its segment exists. 4 Its positions are in the order.
    5 Its price is the ask times the positions that it bills. If it names one of ``audits``, its price is that audit's.
    """
    require_signer(receipt, signature, domain, receipt_key)
    if receipt.order_digest != order.digest(domain):
        raise ReceiptError("the receipt is for another order", advice=_REPLACE)
    if receipt.segment >= len(order.asks):
        raise ReceiptError(f"the order has no segment {receipt.segment}", advice=_REPLACE)
    last = prompt_length + order.max_tokens - 1
    if not receipt.from_position < receipt.to_position <= last or receipt.to_position < prompt_length:
        raise ReceiptError(
            f"positions {receipt.from_position}-{receipt.to_position} are not in an order of {last}", advice=_REPLACE
        )
    billed = receipt.to_position - receipt.from_position
    price = order.asks[receipt.segment].wei_per_token * billed
    for audit in audits:
        if receipt.predecessors == (audit.digest(domain),):
            check_audit(receipt, audit)
            price = audit.price
    if receipt.price != price:
        raise ReceiptError(f"{receipt.price} wei are billed for {billed} positions, not {price}", advice=_REPLACE)


def check_audit(receipt: Receipt, audit: AuditOrder) -> None:
    """Raise ReceiptError unless ``receipt`` is what ``audit`` bought: its node's, over its rows."""
    found = receipt.order_digest, receipt.node, receipt.segment, receipt.to_position, receipt.in_root
    if found != (audit.order_digest, audit.node, audit.segment, audit.to_position, audit.in_root):
        raise ReceiptError("the receipt is not what the audit order that it names has bought", advice=_REPLACE)


def check_prompt(receipt: Receipt, order: Order, prompt_length: int) -> None:
    """Raise ReceiptError unless ``receipt`` is segment 0's for the prompt: the order itself vouches for its rows."""
    if receipt.segment != 0 or receipt.to_position != prompt_length or receipt.in_root != order.prompt_root:
        raise ReceiptError("segment 0 did not work on the order's prompt", advice=_REPLACE)


def check_link(receipt: Receipt, predecessor: Receipt | TokenFeed, domain: Domain) -> None:
    """Raise ReceiptError unless ``receipt`` worked on the rows that ``predecessor`` vouches for."""
    if predecessor.digest(domain) not in receipt.predecessors:
        raise ReceiptError("the receipt does not name this predecessor", advice=_REPLACE)
    if isinstance(predecessor, TokenFeed):
        segment, root = 0, predecessor.root
    else:
        segment, root = predecessor.segment + 1, predecessor.out_root
    same = (receipt.order_digest, receipt.to_position) == (predecessor.order_digest, predecessor.to_position)
    if not same or receipt.segment != segment or receipt.in_root != root:
        raise ReceiptError(
            f"segment {receipt.segment} did not work on its predecessor's rows up to {receipt.to_position}",
            advice=_REPLACE,
        )
