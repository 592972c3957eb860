"""Who gets what when a line is settled, by the contract's arithmetic, and what each answer brought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nexus_chain.market.documents import Receipt
from nexus_chain.market.errors import PriceError, ReceiptError

#: The vault gets one in ten.
VAULT_DIVISOR = 10


def split_settlement(cumulative: int) -> tuple[int, int]:
    """(node, vault) of a settled amount in wei, as the contract splits it: vault = amount // 10."""
    if cumulative < 0:
        raise PriceError(f"{cumulative} wei cannot be split", advice="Give an amount of zero or more.")
    vault = cumulative // VAULT_DIVISOR
    return cumulative - vault, vault


@dataclass(frozen=True)
class ComputeTransaction:
    """What one node earned for one answer, and how it is split.

    A line is split as a whole, so the shares of its answers may sum to a few wei more for the node than it gets.
    """

    tx_id: str  # order digest, 0x hex
    user_id: str  # the session key's address
    node_id: str
    tokens_processed: int
    cost_wei: int
    node_share_wei: int  # 90 %
    vault_share_wei: int  # 10 %, rounded down
    timestamp: int  # chain time, Unix seconds


def compute_transaction(receipts: Sequence[Receipt], user: str, timestamp: int) -> ComputeTransaction:
    """What one node earned for one answer, from its receipts (at least one, all of one order and node)."""
    if len({(receipt.order_digest, receipt.node) for receipt in receipts}) != 1:
        raise ReceiptError(
            "these are not the receipts of one node for one order", advice="Group them by order and node first."
        )
    cost = sum(receipt.price for receipt in receipts)
    node_share, vault_share = split_settlement(cost)
    return ComputeTransaction(
        tx_id="0x" + receipts[0].order_digest.hex(),
        user_id=user,
        node_id=receipts[0].node,
        tokens_processed=sum(receipt.to_position - receipt.from_position for receipt in receipts),
        cost_wei=cost,
        node_share_wei=node_share,
        vault_share_wei=vault_share,
        timestamp=timestamp,
    )
