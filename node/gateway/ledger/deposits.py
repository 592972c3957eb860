"""Deposits on the chain and the books: what the contract's events say is booked, once, and compared with its state.

Events count once enough blocks are on top of them. A transaction's place among blocks may change until then, and the
books do not see it. Should a block vanish all the same that was booked already, everything is read again from the
start: what is booked stays booked, what is new is added, and the comparison says by how much books and chain differ.
Money is never corrected by a program that was surprised: a person decides.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, delete, insert, select

from nexus_chain.chain.bound import ChainEvent, in_ranges
from nexus_chain.chain.credit_deposits import CreditDeposits, DepositAccount
from nexus_chain.chain.errors import ContractRevertedError
from nexus_chain.chain.transactions import chain_errors
from node.gateway.ledger.books import (
    OPERATOR,
    booked_balance,
    deposits,
    entries_of,
    post,
    refunds,
    reserved,
    user,
)
from node.gateway.ledger.database import Database
from node.gateway.ledger.tables import ACCOUNTS, CHAIN_PROGRESS

log = logging.getLogger(__name__)

_EVENTS = ("Deposited", "Claimed", "RefundRequested", "Refunded")
LAST_SECONDS = 600
"""So long before a notice is over, or half of a shorter one, a refund is answered whatever is under way."""


@dataclass(frozen=True)
class Reconciled:
    """Up to which block the books follow the chain, and what is wrong, one sentence each.

    ``difference_wei``: what the contract holds less what the books say that it holds.
    """

    block: int
    difference_wei: int
    alarms: tuple[str, ...] = ()


class DepositBooks:
    """Follows one contract. One gateway's job at a time is enough; several do no harm."""

    def __init__(self, database: Database, contract: CreditDeposits, first_block: int, confirmations: int) -> None:
        """``first_block``: where the contract was created. ``confirmations``: blocks, its own included, of an event."""
        self._database, self._contract = database, contract
        self._first, self._confirmations = first_block, max(1, confirmations)
        # Who asked for a refund. Not by their balances: an account that spent all of its deposit has none to freeze.
        self._asking: set[str] = set()

    def follow(self) -> Reconciled:
        """Book what is new, and compare. Raises ChainError and UnavailableError: it goes on there the next time."""
        with chain_errors(self._contract.web3):
            last = int(self._contract.web3.eth.block_number) - self._confirmations + 1
        start, alarms = self._start()
        if last >= start:
            query = partial(self._contract.events_of, _EVENTS)
            for block, events in in_ranges(query, start, last):
                held = {name: self._contract.account_of(name).held for name in _asked_back(events)}
                name = self._hash_of(block)
                self._database.write(partial(self._book, events=events, held=held, block=block, block_hash=name))
                self._asking.update(held)
        return self._compared(max(last, start - 1), alarms)

    def _start(self) -> tuple[int, list[str]]:
        """The first block that is not booked."""
        query = select(CHAIN_PROGRESS).where(CHAIN_PROGRESS.c.contract == self._contract.address)
        known = self._database.read(lambda connection: connection.execute(query).first())
        if known is None:
            return self._first, []
        if self._hash_of(known.block) == known.block_hash:
            return known.block + 1, []
        alarm = f"block {known.block} was replaced after its deposits had been booked: all of them are read again"
        log.error("%s", alarm)
        return self._first, [alarm]

    def _hash_of(self, block: int) -> str:
        """Empty where the chain has no such block (any more)."""
        web3 = self._contract.web3
        with chain_errors(web3):
            if block > int(web3.eth.block_number):
                return ""
            return str(web3.eth.get_block(block)["hash"].to_0x_hex())

    def _book(
        self, connection: Connection, events: Sequence[ChainEvent], held: dict[str, int], block: int, block_hash: str
    ) -> None:
        for key, event in zip(_keys(self._contract.address, events), events, strict=True):
            if entries_of(connection, key) is None:
                post(connection, key, event.name, self._moves(connection, event, held))
        connection.execute(delete(CHAIN_PROGRESS).where(CHAIN_PROGRESS.c.contract == self._contract.address))
        connection.execute(
            insert(CHAIN_PROGRESS).values(contract=self._contract.address, block=block, block_hash=block_hash)
        )

    def _moves(self, connection: Connection, event: ChainEvent, held: dict[str, int]) -> dict[str, int]:
        """What an event means for the books. ``held``: wei in the contract, of accounts that ask for them."""
        account, said, outside = str(event.arguments["account"]), event.arguments, deposits(self._contract.address)
        waiting = booked_balance(connection, refunds(account))
        if event.name == "Deposited":
            return {outside: -said["amount"], user(account): said["amount"]}
        if event.name == "Claimed":  # it was booked when it was spent; now the operator has the money
            return {outside: said["amount"], OPERATOR: -said["amount"]}
        if event.name == "RefundRequested":
            # INVARIANT: what a caller may take out of the contract is not spent meanwhile.
            free = booked_balance(connection, user(account))
            frozen = min(free, held[account]) if said["from"] else -waiting
            return {user(account): -frozen, refunds(account): frozen}
        # What is given back beyond what the account has left was spent and not claimed in time: the operator's loss.
        amount = said["amount"]
        frozen = min(waiting, amount)
        free = min(booked_balance(connection, user(account)), amount - frozen)
        return {
            outside: amount,
            refunds(account): -waiting,
            user(account): waiting - frozen - free,
            OPERATOR: frozen + free - amount,
        }

    def _compared(self, block: int, alarms: list[str]) -> Reconciled:
        held = self._contract.held_at(block) if block >= self._first else 0
        booked = -self._database.read(partial(booked_balance, account=deposits(self._contract.address)))
        if held != booked:
            alarms = [*alarms, f"the deposit contract holds {held} wei, and {booked} wei by the books"]
            log.error("%s", alarms[-1])
        return Reconciled(block, held - booked, tuple(alarms))

    # ------------------------------------------------------------------ claims

    def answer_refunds(self) -> int:
        """Give back at once what accounts asked for, where nothing is under way for them; returns for how many.

        Raises ChainError and UnavailableError. Only the contract's operator may.
        """
        waiting = self._database.read(partial(_with_balance, prefix=refunds("")))
        return sum(self._answer(account) for account in sorted(self._asking.union(waiting)))

    def _answer(self, account: str) -> bool:
        found = self._contract.account_of(account)
        if not found.refund_from:
            self._asking.discard(account)
            return False
        self._database.write(partial(self._freeze, account=account, found=found))
        left = found.refund_from - self._now()
        # INVARIANT: what was spent is claimed before the notice is over, also of a caller who asks without end.
        if left <= 0 or (left > min(LAST_SECONDS, self._contract.notice() // 2) and self._balance(reserved(account))):
            return False
        try:
            self._contract.answer_refund(account, found.claimed + found.held - self._unspent(account, found.held))
        except ContractRevertedError as error:  # taken back just now; others do not wait for this account
            log.warning("the refund of %s could not be answered: %s", account, error)
            return False
        self._asking.discard(account)
        return True

    def _freeze(self, connection: Connection, account: str, found: DepositAccount) -> None:
        """INVARIANT: what came free since the request, of answers that were under way, is not spent either."""
        waiting, free = (booked_balance(connection, kind(account)) for kind in (refunds, user))
        more = min(free, found.held - waiting)
        if more > 0:
            key = f"freeze:{self._contract.address}:{account}:{found.refund_from}:{waiting}"
            post(connection, key, "freeze", {user(account): -more, refunds(account): more})

    def claim(self, least: int) -> int:
        """Claim what accounts have spent, ``least`` wei or more of each; returns the wei. As ``answer_refunds``."""
        claimed = 0
        for account in self._database.read(partial(_with_balance, prefix=user(""), zero=True)):
            if not account.startswith("0x"):
                continue
            found = self._contract.account_of(account)
            if found.refund_from:
                self._asking.add(account)  # also those that asked before this gateway was started
            due = found.held - self._unspent(account, found.held)
            over = found.refund_from and found.refund_from <= self._now()
            if due >= max(1, least) and not over:
                self._contract.claim(account, found.claimed + due)
                claimed += due
        return claimed

    def _unspent(self, account: str, held: int) -> int:
        """Wei of ``held`` that the account can still spend or get back: credit from elsewhere is spent first."""
        return min(held, sum(self._balance(kind(account)) for kind in (user, reserved, refunds)))

    def _balance(self, account: str) -> int:
        return self._database.read(partial(booked_balance, account=account))

    def _now(self) -> int:
        with chain_errors(self._contract.web3):
            return int(self._contract.web3.eth.get_block("latest")["timestamp"])


def _keys(contract: str, events: Sequence[ChainEvent]) -> list[str]:
    """A name for each event that no new place of its transaction changes: its number among those of the transaction."""
    seen: dict[str, int] = {}
    names = []
    for event in events:
        number = seen[event.transaction] = seen.get(event.transaction, -1) + 1
        names.append(f"chain:{contract}:{event.transaction}:{number}")
    return names


def _asked_back(events: Sequence[ChainEvent]) -> set[str]:
    """Accounts that ask for a refund."""
    return {str(one.arguments["account"]) for one in events if one.name == "RefundRequested" and one.arguments["from"]}


def _with_balance(connection: Connection, prefix: str, zero: bool = False) -> list[str]:
    """Owners of accounts that begin with ``prefix``; those with nothing in them, too, where ``zero``."""
    query = select(ACCOUNTS.c.name, ACCOUNTS.c.balance).where(ACCOUNTS.c.name.startswith(prefix, autoescape=True))
    return [name.removeprefix(prefix) for name, balance in connection.execute(query) if balance or zero]
