"""The client's check of one receipt, in numbered steps, before it pays for the next chunk."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_chain.client.boundary_rows import BoundaryRows
from nexus_chain.market.documents import Domain, recover
from nexus_chain.market.errors import BadSignatureError
from nexus_chain.wire.errors import BadReceiptError
from nexus_chain.wire.peer import NodeContact, SignedReceipt


@dataclass(frozen=True)
class ExpectedReceipt:
    """What a receipt for the chunk [start, stop) of ``segment`` has to say, as far as the order fixes it."""

    order_digest: bytes
    segment: int
    start: int
    stop: int
    wei_per_token: int
    predecessors: tuple[bytes, ...]


def check_against_rows(
    signed: SignedReceipt, expected: ExpectedReceipt, contact: NodeContact, seen: BoundaryRows, domain: Domain
) -> None:
    """Raise BadReceiptError unless the receipt says exactly what happened.

    1. signed by the node's registered receipt key, in its name
    2. this order, this segment
    3. vouches for [0, stop) and bills [start, stop)
    4. ``in_root`` and ``out_root`` are those of the rows that the client itself saw
    5. names the predecessors it was given
    6. price = ask x positions
    """
    receipt, signature = signed

    def refuse(step: int, what: str) -> BadReceiptError:
        return BadReceiptError(
            f"the receipt of node {contact.address} for segment {expected.segment} fails step {step}: {what}",
            advice="Nothing more is paid to this node; another one takes over where there is one.",
            is_evidence=step > 2,
        )

    try:
        signer = recover(receipt, signature, domain)
    except BadSignatureError as error:
        raise refuse(1, error.message) from error
    if signer != contact.receipt_key or receipt.node != contact.address:
        raise refuse(1, f"signed by {signer} in the name of {receipt.node}")
    if (receipt.order_digest, receipt.segment) != (expected.order_digest, expected.segment):
        raise refuse(2, f"it is for order 0x{receipt.order_digest.hex()}, segment {receipt.segment}")
    if (receipt.from_position, receipt.to_position) != (expected.start, expected.stop):
        raise refuse(
            3,
            f"it bills [{receipt.from_position}, {receipt.to_position}) instead of [{expected.start}, {expected.stop})",
        )
    if receipt.in_root != seen.in_root(expected.segment, expected.stop):
        raise refuse(4, "its input root is not that of the rows it was sent")
    if receipt.out_root != seen.out_root(expected.segment, expected.stop):
        raise refuse(4, "its output root is not that of the rows it sent")
    if receipt.predecessors != expected.predecessors:
        raise refuse(5, "it names other predecessors than those handed over")
    if receipt.price != expected.wei_per_token * (expected.stop - expected.start):
        raise refuse(6, f"it bills {receipt.price} wei")
