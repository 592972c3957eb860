"""Cumulative vouchers, from both ends: what a node holds, what a client has promised.

Pure values: every change returns a new one, so a node can write it ahead and a client can
keep it beside its session. Amounts only ever rise; merging is by maximum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nexus_chain.market.documents import MAX_LINES, Domain, Line, Voucher, checksum, require_signer
from nexus_chain.market.errors import (
    LowerVoucherError,
    ReplayedVoucherError,
    VoucherLineError,
    VoucherOverCapError,
    VoucherSessionError,
    VoucherUnderpaysError,
)


@dataclass(frozen=True)
class HeldLine:
    """What a node holds of one session: its cap and the highest voucher it has seen. Wei."""

    session: bytes
    signer: str  # the session key, from the chain
    node: str
    cap: int
    cumulative: int = 0
    voucher: Voucher | None = None
    signature: bytes = b""

    def receive(self, voucher: Voucher, signature: bytes, domain: Domain) -> HeldLine:
        """Take a higher voucher, or raise and keep what is held.

        Raises VoucherSessionError, WrongSignerError, VoucherLineError, VoucherOverCapError, and for a voucher
        that pays nothing new ReplayedVoucherError or LowerVoucherError (both harmless: StaleVoucherError).
        """
        if voucher.session != self.session:
            raise VoucherSessionError("the voucher belongs to another session", advice="Sign one for this session.")
        require_signer(voucher, signature, domain, self.signer)
        amount = amount_in(voucher, self.node)
        # INVARIANT: the chain never pays more than the cap, so nothing above it is worth serving for.
        if amount > self.cap:
            raise VoucherOverCapError(
                f"the voucher promises {amount} wei, the session holds {self.cap} for {self.node}",
                advice="Raise the cap with `allot`, or open a new session.",
            )
        if amount == self.cumulative:
            raise ReplayedVoucherError(
                f"this node holds a voucher for {amount} wei already", advice="Nothing is lost; sign the next amount."
            )
        if amount < self.cumulative:
            raise LowerVoucherError(
                f"the voucher is for {amount} wei, this node holds one for {self.cumulative}",
                advice="Nothing is lost: the higher one counts; sign the next amount above it.",
            )
        return replace(self, cumulative=amount, voucher=voucher, signature=signature)

    def with_cap(self, cap: int) -> HeldLine:
        """The same line after ``allot``; caps never fall."""
        return replace(self, cap=max(self.cap, cap))

    def require_prepaid(self, billed: int, next_chunk: int) -> None:
        """Raise VoucherUnderpaysError unless what is held covers ``billed`` plus the next chunk."""
        if self.cumulative < billed + next_chunk:
            raise VoucherUnderpaysError(
                f"the voucher covers {self.cumulative} wei; {billed} are billed and the next chunk costs {next_chunk}",
                advice=f"Sign a voucher for at least {billed + next_chunk} wei.",
            )


def amount_in(voucher: Voucher, node: str) -> int:
    """Cumulative wei of ``node``'s only line. Raises VoucherLineError (none, two, or too many lines)."""
    # INVARIANT: a voucher longer than a session is long costs more gas to post than it pays, or fits no block.
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


@dataclass(frozen=True)
class Promised:
    """What a client has promised in one session: caps and cumulative amounts by node, wei."""

    session: bytes
    caps: Mapping[str, int]
    amounts: Mapping[str, int] = field(default_factory=dict)

    def pay(self, node: str, wei: int) -> Promised:
        """Promise ``wei`` more to ``node``. Raises VoucherLineError (no cap) and VoucherOverCapError."""
        if node not in self.caps:
            raise VoucherLineError(f"the session has no line for {node}", advice="Add it with `allot` first.")
        total = self.amounts.get(node, 0) + wei
        if wei < 0 or total > self.caps[node]:
            raise VoucherOverCapError(
                f"{node} would be promised {total} wei, the session holds {self.caps[node]} for it",
                advice="Raise the cap with `allot`, or open a new session.",
            )
        return replace(self, amounts={**self.amounts, node: total})

    def allotted(self, node: str, cap: int) -> Promised:
        """The same promises after ``allot``; caps never fall."""
        return replace(self, caps={**self.caps, node: max(cap, self.caps.get(node, 0))})

    def voucher(self) -> Voucher:
        """The document to sign: one line per node promised anything, in address order."""
        return Voucher(self.session, tuple(Line(node, wei) for node, wei in sorted(self.amounts.items()) if wei))

    @property
    def total_wei(self) -> int:
        """Everything promised so far."""
        return sum(self.amounts.values())
