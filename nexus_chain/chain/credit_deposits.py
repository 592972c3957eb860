"""CreditDeposits: money that callers of one gateway put in ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nexus_chain.chain.bound import PullPayments
from nexus_chain.chain.deployer import Creator
from nexus_chain.chain.transactions import Mined
from nexus_chain.market.documents import checksum


@dataclass(frozen=True)
class DepositAccount:
    """Wei that were put in for an account, claimed by the operator and given back, so far.

    ``refund_from``: Unix seconds from which on what is left is the account's own; 0: no refund was asked for.
    """

    deposited: int
    claimed: int
    refunded: int
    refund_from: int

    @property
    def held(self) -> int:
        """Wei that are there still."""
        return self.deposited - self.claimed - self.refunded


class CreditDeposits(PullPayments):
    """Typed access; methods are the contract's, in snake case."""

    CONTRACT: ClassVar[str] = "CreditDeposits"

    def deposit(self, account: str, wei: int) -> Mined:
        """Put in ``wei`` for ``account``. Anyone may."""
        return self._send("deposit", checksum(account), value=wei)

    def claim(self, account: str, total: int) -> Mined:
        """Take what ``account`` has spent, up to ``total`` wei since its first deposit. Only the operator."""
        return self._send("claim", checksum(account), total)

    def request_refund(self) -> Mined:
        """Ask for what the caller has not spent."""
        return self._send("requestRefund")

    def cancel_refund(self) -> Mined:
        """Take the request back."""
        return self._send("cancelRefund")

    def answer_refund(self, account: str, total: int) -> Mined:
        """Claim up to ``total`` and give back the rest at once. Only the operator."""
        return self._send("answerRefund", checksum(account), total)

    def refund(self) -> Mined:
        """Have the caller given all that is left, after the notice; ``withdraw`` fetches it."""
        return self._send("refund")

    def operator(self) -> str:
        return str(self._read("operator"))

    def notice(self) -> int:
        """Seconds that the operator has after a request."""
        return int(self._read("notice"))

    def account_of(self, account: str) -> DepositAccount:
        """What an account has now."""
        return DepositAccount(*map(int, self._read("accountOf", checksum(account))))

    def held_at(self, block: int) -> int:
        """Wei held for all accounts together, after ``block``."""
        return int(self._read_at(block, "held"))


def create_credit_deposits(creator: Creator, operator: str, notice: int) -> tuple[str, int]:
    """Create the contract for one gateway; returns its address and block. ``notice``: seconds, at most 30 days.

    Raises the chain package's errors.
    """
    return creator.create("CreditDeposits", checksum(operator), notice)
