"""What is kept of one order: from it an answer file is made."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_chain.market.documents import AuditOrder, Order, Receipt, TokenFeed


@dataclass(frozen=True)
class OrderRecord:
    """A signed order with its tokens (prompt, then sampled) and its evidence."""

    digest: bytes
    order: Order
    signature: bytes
    prompt_length: int
    state: str
    created: float
    tokens: tuple[int, ...]
    receipts: tuple[tuple[Receipt, bytes], ...]
    feeds: tuple[tuple[TokenFeed, bytes], ...]
    disputed: tuple[tuple[Receipt, bytes], ...] = ()
    audits: tuple[tuple[AuditOrder, bytes], ...] = ()
