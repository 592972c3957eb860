"""What the client needs from a shard node, and what the chain says about one.

``ShardPeer`` is the client's side of ``nexus_chain/wire/shard.proto`` in plain types; the connection
that implements it is ``nexus_chain.wire.tls_peer``, so that this package knows no transport.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from nexus_chain.market.documents import AuditOrder, Order, Receipt, TokenFeed, Voucher

if TYPE_CHECKING:
    import numpy as np  # not while running: whoever only asks nodes what they are meets no rows
    from numpy.typing import NDArray

SignedOrder = tuple[Order, bytes]
SignedVoucher = tuple[Voucher, bytes]
SignedReceipt = tuple[Receipt, bytes]
SignedFeed = tuple[TokenFeed, bytes]
SignedAudit = tuple[AuditOrder, bytes]
SignDigest = Callable[[bytes], bytes]
RowArray: TypeAlias = "NDArray[np.int32]"
"""Token ids i32[t], or rows i32[t, width]."""


@dataclass(frozen=True)
class NodeContact:
    """One node's on-chain record and announcement for one model version.

    ``address`` identifies it and is paid, ``receipt_key`` signs its receipts, ``tls_key_hash`` is
    SHA-256 of its certificate's public key, layers are [layer_start, layer_end).
    """

    address: str
    endpoint: str
    tls_key_hash: bytes
    receipt_key: str
    layer_start: int
    layer_end: int
    wei_per_token: int


@dataclass(frozen=True)
class PeerStatus:
    """A node's own, signed description: longest sequence, orders it works on now, price of an audit (0: none sold)."""

    context: int
    active_orders: int
    audit_wei_per_token: int = 0


class ShardPeer(Protocol):
    """One connection to one node. Every method raises a NodeError when the node fails."""

    contact: NodeContact

    def describe(self) -> PeerStatus:
        """Ask who answers there and check the signature against the registered receipt key."""

    def open_order(
        self,
        order: SignedOrder,
        segment: int,
        prompt_length: int,
        prompt: Sequence[int],
        voucher: SignedVoucher,
        sign_digest: SignDigest,
        *,
        prompt_tree: bytes,
        credit: SignedReceipt | None = None,
    ) -> int:
        """Hand over the order; returns how many positions the node already holds for it.

        ``prompt_tree``: root of the tree over the prompt's tokens, 32 bytes. ``credit``: the receipt of the node that
        this one replaces; what it covers is replayed and not billed. ``sign_digest`` signs with the session key that
        later calls come from the session's owner: every node of an answer knows the order.
        """

    def open_audit(
        self,
        order: SignedOrder,
        audit: SignedAudit,
        prompt_length: int,
        prompt: Sequence[int],
        voucher: SignedVoucher,
        sign_digest: SignDigest,
        *,
        prompt_tree: bytes,
    ) -> int:
        """As ``open_order``, for an audit; its rows and its chunk are then named by the audit's digest."""

    def begin_forward(
        self,
        order_digest: bytes,
        start: int,
        rows: RowArray,
        *,
        discard: bool = False,
        voucher: SignedVoucher | None = None,
    ) -> Callable[[], RowArray]:
        """Rows i32[t] or i32[t, width] of positions [start, start + t) in; the node's rows or tokens out.

        ``discard``: the node drops what it holds from ``start`` on and has signed no receipt for. ``voucher`` is a
        newer one, which the node takes before the rows.

        The node is at work when this returns; what is returned waits for its answer, which has to be taken before
        this peer is asked anything else, or it is lost.
        """

    def begin_close_chunk(
        self, order_digest: bytes, start: int, stop: int, predecessors: Sequence[SignedReceipt | SignedFeed]
    ) -> Callable[[], SignedReceipt]:
        """End the chunk [start, stop); what is returned waits for the node's receipt and does not check it."""

    def hang_up(self) -> None:
        """Break the connection: whoever waits for an answer gets a NodeUnreachableError.

        Any thread may. Never raises.
        """

    def close(self) -> None:
        """Drop the connection. Never raises."""


Dial = Callable[[NodeContact], ShardPeer]
"""Connects to a node; raises NodeUnreachableError or TlsKeyMismatchError."""
