"""What a cumulative voucher is worth to a node: amounts only ever rise, so merging is by maximum.

Pure: what the node holds and what the chain caps come from the caller.
"""

from __future__ import annotations

from nexus_chain.market.documents import MAX_LINES, Voucher, checksum
from nexus_chain.market.errors import LowerVoucherError, ReplayedVoucherError, VoucherLineError, VoucherOverCapError


def amount_in(voucher: Voucher, node: str) -> int:
    """Cumulative wei of ``node``'s only line. Raises VoucherLineError (none, two, or too many lines)."""
    # INVARIANT: no voucher has more lines than a session can have: it would cost more to post than it pays.
    if len(voucher.lines) > MAX_LINES:
        raise VoucherLineError(
            f"the voucher has {len(voucher.lines)} lines, a session at most {MAX_LINES}",
            advice="Sign one line per node of the session.",
        )
    found = [line.cumulative for line in voucher.lines if line.node == checksum(node)]
    if len(found) != 1:
        raise VoucherLineError(
            f"the voucher has {len(found)} lines for {checksum(node)}", advice="Sign exactly one line per node."
        )
    return found[0]


def require_rise(amount: int, *, held: int, cap: int) -> None:
    """Raise unless a promise of ``amount`` wei improves on ``held`` within the line's ``cap`` (all cumulative).

    Raises VoucherOverCapError, and for a voucher that pays nothing new ReplayedVoucherError or
    LowerVoucherError (both harmless: StaleVoucherError).
    """
    # INVARIANT: a promise above the cap is worth nothing on the chain, so it buys nothing here.
    if amount > cap:
        raise VoucherOverCapError(
            f"the voucher promises {amount} wei and the session holds {cap} wei for this node",
            advice="Raise the cap with `allot`, or sign a lower amount.",
        )
    if amount == held:
        raise ReplayedVoucherError(
            f"this node holds a voucher for {amount} wei already", advice="Nothing is lost; sign the next amount."
        )
    if amount < held:
        raise LowerVoucherError(
            f"the voucher is for {amount} wei, this node holds one for {held}",
            advice="Nothing is lost: the higher one counts; sign the next amount above it.",
        )
