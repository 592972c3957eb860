"""CreditDeposits: money that callers of one gateway put in ahead."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nexus_chain.chain.batch import read_together, require_value
from nexus_chain.chain.bound import PAGE, PullPayments
from nexus_chain.chain.connection import BlockName
from nexus_chain.chain.deployer import Creator
from nexus_chain.chain.errors import ChainError
from nexus_chain.chain.journal import Intent
from nexus_chain.chain.transactions import Mined
from nexus_chain.market.documents import checksum

log = logging.getLogger(__name__)


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

    def claim(self, account: str, total: int) -> bool:
        """Hand in: take what ``account`` has spent, up to ``total`` wei since its first deposit. Only the operator.

        False where that is under way.
        """
        return self._hand_in("claim", checksum(account), total, wish=f"{self.address}:{checksum(account)}:{total}")

    def request_refund(self) -> Mined:
        """Ask for what the caller has not spent."""
        return self._send("requestRefund")

    def cancel_refund(self) -> Mined:
        """Take the request back."""
        return self._send("cancelRefund")

    def answer_refund(self, account: str, total: int, refund_from: int) -> bool:
        """Hand in: claim up to ``total`` and give back the rest at once. Only the operator.

        ``refund_from``: which request is answered. False where an answer to that is under way, of whatever total.
        """
        wish = f"{self.address}:{checksum(account)}:{refund_from}"
        return self._hand_in("answerRefund", checksum(account), total, wish=wish)

    def under_way(self) -> list[Intent]:
        """Claims and answers that were handed in and have no confirmed end."""
        found = self._sender_for("claim").handed_in("claim", "answerRefund")
        return [intent for intent in found if intent.key.startswith(f"{self.address}:")]

    def look_after(self, intents: Sequence[Intent]) -> int:
        """See to the end of ``intents``, as of ``under_way``; returns how many are under way still.

        What cannot be looked after now is under way, and keeps no other from it. Raises ChainError.

        INVARIANT: an answer is to the request that it was made for. Left behind, it would give an account that has
        taken its request back, spent more and asks again more than is its own.
        """
        asked = [intent.key.split(":")[1:] if intent.purpose == "answerRefund" else None for intent in intents]
        accounts = sorted({one[0] for one in asked if one is not None})
        now = dict(zip(accounts, self.accounts_of(accounts), strict=True))
        fits = [one is None or now[one[0]].refund_from == int(one[1]) for one in asked]
        return sum(self._is_under_way(intent, wanted) for intent, wanted in zip(intents, fits, strict=True))

    def _is_under_way(self, intent: Intent, wanted: bool) -> bool:
        try:
            return self._sender_for(intent.purpose).look_after(intent, wanted)
        except ChainError as error:
            log.warning("%s could not be looked after: %s", intent.hash, error)
            return True

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
        (found,) = self.accounts_of([account])
        return found

    def accounts_of(self, accounts: Sequence[str], name: BlockName = "latest") -> list[DepositAccount]:
        """What each account had after the block ``name``; many are read in one request."""
        found: list[DepositAccount] = []
        for start in range(0, len(accounts), PAGE):
            calls = [self.call("accountOf", checksum(account)) for account in accounts[start : start + PAGE]]
            read = read_together(self.connection, calls, name)
            found += [DepositAccount(*map(int, require_value(value))) for value in read.values]
        return found

    def held_at(self, block: int) -> int:
        """Wei held for all accounts together, after ``block``."""
        return int(self._read_at(block, "held"))


def create_credit_deposits(creator: Creator, operator: str, notice: int) -> tuple[str, int]:
    """Create the contract for one gateway; returns its address and block. ``notice``: seconds, at most 30 days.

    Raises the chain package's errors.
    """
    return creator.create("CreditDeposits", checksum(operator), notice)
