"""Posting the receipt log's root on the chain: whoever holds a receipt can then see that it was logged."""

from __future__ import annotations

from nexus_chain.chain.contracts import Contracts
from nexus_chain.commitments.receipt_log import ReceiptLog


def post_root(contracts: Contracts, address: str, receipts: ReceiptLog) -> str | None:
    """Commit the log if it grew since the last time; what was done, in words."""
    size = len(receipts)
    if size <= contracts.market.receipt_log_of(address).count:
        return None
    root = receipts.root(size)
    contracts.market.commit_receipts(root, size)
    return f"committed root 0x{root.hex()} of {size} receipts"
