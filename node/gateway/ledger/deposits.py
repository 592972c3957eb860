"""Deposits on the chain and the books: what the contract's events say is booked, once, and compared with its state.

Events count once enough blocks are on top of them. A transaction's place among blocks may change until then, and the
books do not see it. Should a block vanish all the same that was booked already, everything is read again from the
start: what is booked stays booked, what is new is added, and the comparison says by how much books and chain differ.
Money is never corrected by a program that was surprised: a person decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select

from nexus_chain.chain.bound import PAGE, ChainEvent, in_ranges
from nexus_chain.chain.credit_deposits import CreditDeposits, DepositAccount
from nexus_chain.chain.errors import ChainError, RpcLaggingError
from nexus_chain.chain.web3_errors import chain_errors
from nexus_chain.errors import NexusError, SettingsError
from node.gateway.ledger.books import (
    OPERATOR,
    BooksError,
    OverdrawnError,
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
MOST_UNDER_WAY, CLAIMS_UNDER_WAY = 16, 8
"""Transactions without confirmations that leave room for an answer with nothing to claim, and for a claim. Each waits
for those before it, and servers keep 16 of a wallet whatever happens."""
ANSWER_GAS = 100_000
"""What an answer to a refund takes, about."""
_NOTHING = DepositAccount(0, 0, 0, 0)
_Reached = tuple[int, str]  # a block and its hash


@dataclass(frozen=True)
class Reconciled:
    """Up to which block the books follow the chain, and what is wrong, one sentence each.

    ``difference_wei``: what the contract holds less what the books say that it holds.
    """

    block: int
    difference_wei: int
    alarms: tuple[str, ...] = ()


class _Booked(NamedTuple):
    """Wei of an account in the books: what it may spend, what is kept for its answers, what it asked back."""

    free: int
    reserved: int
    frozen: int


class _Standing(NamedTuple):
    """An account in the contract, ``now`` and ``then``, up to where the books follow it; and in the books."""

    now: DepositAccount
    then: DepositAccount
    booked: _Booked

    @property
    def held(self) -> int:
        """Wei that are there still, of deposits that are booked.

        INVARIANT: a deposit that is not confirmed is not taken for one that was spent.
        """
        return max(0, self.then.deposited - self.now.claimed - self.now.refunded)

    @property
    def spent(self) -> int:
        """Wei of them that the account can neither spend nor get back: credit from elsewhere is spent first."""
        return self.held - min(self.held, sum(self.booked))

    @property
    def unfrozen(self) -> int:
        """Wei of them that the account could still spend, where it asks for them."""
        return max(0, min(self.booked.free, self.held - self.booked.frozen))


class _RefundAnswer(NamedTuple):
    """``claimed``: wei that the answer claims; the account gets back the rest."""

    account: str
    now: DepositAccount
    claimed: int


class DepositBooks:
    """Follows one contract. One gateway's job at a time is enough; several do no harm."""

    def __init__(self, database: Database, contract: CreditDeposits, first_block: int, confirmations: int) -> None:
        """``first_block``: where the contract was created. ``confirmations``: blocks, its own included, of an event."""
        self._database, self._contract = database, contract
        self._first, self._confirmations = first_block, max(1, confirmations)
        # Who asked for a refund. Not by their balances: an account that spent all of its deposit has none to freeze.
        self._asking: set[str] = set()
        self.has_more_to_claim = False

    @property
    def contract(self) -> CreditDeposits:
        """The contract that it follows."""
        return self._contract

    def follow(self) -> Reconciled:
        """Book what is new, and compare. Raises ChainError and UnavailableError: it goes on there the next time."""
        with chain_errors(self._contract.web3):
            last = int(self._contract.web3.eth.block_number) - self._confirmations + 1
        start, replaced, alarms = self._start()
        if last >= start:
            query = partial(self._contract.events_of, _EVENTS)
            for block, events in in_ranges(query, start, last):
                accounts = sorted({str(event.arguments["account"]) for event in events})
                found = dict(zip(accounts, self._contract.accounts_of(accounts, last), strict=True))
                # INVARIANT: where all is read again, the books go on knowing of what is in them until that is done.
                reached = (block, self._hash_of(block)) if block == last or not alarms else None
                work = partial(self._book, events=events, found=found, reached=reached, replaced=replaced)
                self._database.write(work)
                self._asking.update(_asked_back(events))
        return self._compared(max(last, start - 1), alarms)

    def _start(self) -> tuple[int, _Reached | None, list[str]]:
        """The first block that is not booked; and the block that the books follow, where the chain has it no more.

        Raises ChainError, also where the server does not know that block yet: another gateway's may be ahead of it.
        """
        query = select(CHAIN_PROGRESS).where(CHAIN_PROGRESS.c.contract == self._contract.address)
        known = self._database.read(lambda connection: connection.execute(query).first())
        if known is None:
            return self._first, None, []
        found = self._hash_of(known.block)
        if not found:
            # INVARIANT: what one server does not know yet is not taken for what the chain has no more.
            raise RpcLaggingError(
                f"the books follow the chain up to block {known.block}, and its server knows less",
                advice="It is asked again; where this goes on, ask the server's operator, or use another --rpc.",
            )
        if found == known.block_hash:
            return known.block + 1, None, []
        alarm = f"block {known.block} was replaced after its deposits had been booked: all of them are read again"
        log.error("%s", alarm)
        return self._first, (known.block, known.block_hash), [alarm]

    def _hash_of(self, block: int) -> str:
        """Empty where the chain has not come to such a block."""
        web3 = self._contract.web3
        with chain_errors(web3):
            if block > int(web3.eth.block_number):
                return ""
            return str(web3.eth.get_block(block)["hash"].to_0x_hex())

    def _book(
        self,
        connection: Connection,
        events: Sequence[ChainEvent],
        found: Mapping[str, DepositAccount],
        reached: _Reached | None,
        replaced: _Reached | None,
    ) -> None:
        """``reached``: up to which block the books follow the chain by that; None: no farther. ``replaced``: by what
        the chain has no more."""
        for key, event in zip(_keys(self._contract.address, events), events, strict=True):
            if entries_of(connection, key) is None:
                post(connection, key, event.name, self._moves(connection, event, found))
        if reached is not None:
            self._advance(connection, reached, replaced)

    def _advance(self, connection: Connection, reached: _Reached, replaced: _Reached | None) -> None:
        mine = CHAIN_PROGRESS.c.contract == self._contract.address
        known = connection.execute(select(CHAIN_PROGRESS).where(mine).with_for_update()).first()
        # INVARIANT: the books never seem to follow the chain less far than they do. Of two gateways on a database the
        # slower one writes last; with a deposit that is booked and not counted, what was spent would be given back.
        if known is not None and known.block > reached[0] and (known.block, known.block_hash) != replaced:
            return
        row = {"contract": self._contract.address, "block": reached[0], "block_hash": reached[1]}
        connection.execute(delete(CHAIN_PROGRESS).where(mine))
        connection.execute(insert(CHAIN_PROGRESS).values(row))

    def _moves(self, connection: Connection, event: ChainEvent, found: Mapping[str, DepositAccount]) -> dict[str, int]:
        """What an event means for the books. ``found``: accounts in the contract, in the last block that counts."""
        account, said, outside = str(event.arguments["account"]), event.arguments, deposits(self._contract.address)
        waiting = booked_balance(connection, refunds(account))
        if event.name == "Deposited":
            # INVARIANT: what is deposited while a request stands is not spent: a notice may be over without an answer.
            kind = refunds if found[account].refund_from else user
            return {outside: -said["amount"], kind(account): said["amount"]}
        if event.name == "Claimed":  # it was booked when it was spent; now the operator has the money
            return {outside: said["amount"], OPERATOR: -said["amount"]}
        if event.name == "RefundRequested":
            # INVARIANT: what a caller may take out of the contract is not spent meanwhile.
            free = booked_balance(connection, user(account))
            frozen = min(free, max(0, found[account].held - waiting)) if said["from"] else -waiting
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
        followed, booked = self._database.read(partial(_followed, contract=self._contract.address))
        if not alarms:  # another gateway on the database may have gone further meanwhile
            block = max(block, followed)
        held = self._contract.held_at(block) if block >= self._first else 0
        if held != booked:
            alarms = [*alarms, f"the deposit contract holds {held} wei, and {booked} wei by the books"]
            log.error("%s", alarms[-1])
        return Reconciled(block, held - booked, tuple(alarms))

    # ------------------------------------------------------------------ claims

    def answer_refunds(self) -> int:
        """Hand in what gives accounts back what they asked for; returns for how many. Waits for no confirmation.

        The books learn from the contract's events what came of it. An account with answers under way waits for them,
        but not beyond its last seconds. Raises ChainError and UnavailableError. Only the contract's operator may.
        """
        room = MOST_UNDER_WAY - self._contract.look_after(self._contract.under_way())
        waiting = self._database.read(partial(_with_balance, prefix=refunds("")))
        found = sorted(self._answers(sorted(self._asking.union(waiting))), key=lambda one: -one.claimed)
        worth = ANSWER_GAS * self._contract.connection.gas_price()
        count = 0
        for one in found:
            # INVARIANT: requests with nothing to gain hold up none that would take out what was spent. Whoever makes
            # many with less to gain each than an answer's gas has paid more for making them.
            if one.claimed < worth and room <= 0:
                break
            total = one.now.claimed + one.claimed
            send = partial(self._contract.answer_refund, one.account, total, one.now.refund_from)
            if self._is_handed_in(one.account, send):
                count, room = count + 1, room - 1
        return count

    def _answers(self, accounts: Sequence[str]) -> Iterator[_RefundAnswer]:
        """What is due to those of ``accounts`` that ask; what goes wrong for one keeps no other from it."""
        time, last = self._now(), min(LAST_SECONDS, self._contract.notice() // 2)
        for account, standing in self._standings(accounts):
            if not standing.now.refund_from:
                if not standing.then.refund_from:  # else a block that vanishes would bring the request back
                    self._asking.discard(account)
                continue
            try:
                standing = self._with_credit_frozen(account, standing)
            except NexusError as error:
                log.warning("the credit of %s could not be frozen: %s", account, error)
                continue
            left = standing.now.refund_from - time
            if left > last and (standing.booked.reserved or standing.unfrozen):
                continue
            if left > 0:
                # INVARIANT: only what cannot be spent any more is given back. The rest, with what is kept for answers
                # under way, is claimed before the notice is over; what they do not cost stays credit.
                yield _RefundAnswer(account, standing.now, standing.held - min(standing.held, standing.booked.frozen))

    def _with_credit_frozen(self, account: str, standing: _Standing) -> _Standing:
        """How the account stands once nothing of what it asks for can be spent. Raises ChainError, UnavailableError."""
        if not standing.unfrozen:
            return standing
        try:
            self._database.write(partial(self._freeze, account=account, standing=standing))
        except (OverdrawnError, BooksError) as error:  # it is being spent just now
            log.warning("the credit of %s could not be frozen: %s", account, error)
        ((_, standing),) = self._standings([account])
        return standing

    def _freeze(self, connection: Connection, account: str, standing: _Standing) -> None:
        """INVARIANT: what came free since the request, of answers that were under way, is not spent either."""
        waiting, free = (booked_balance(connection, kind(account)) for kind in (refunds, user))
        more = min(free, standing.held - waiting)
        if more > 0:
            key = f"freeze:{self._contract.address}:{account}:{standing.now.refund_from}:{waiting}"
            post(connection, key, "freeze", {user(account): -more, refunds(account): more})

    def claim(self, least: int) -> int:
        """Hand in claims of what accounts have spent, ``least`` wei or more of each; returns the wei.

        The largest first, and a few at a time: ``has_more_to_claim`` says whether that left any. As ``answer_refunds``.
        """
        due: list[tuple[int, str, int]] = []
        for account, standing in self._standings(self._database.read(_depositors)):
            if standing.now.refund_from:
                self._asking.add(account)  # also those that asked before this gateway was started
            elif standing.spent >= max(1, least):
                due.append((standing.spent, account, standing.now.claimed + standing.spent))
        claimed, room = 0, CLAIMS_UNDER_WAY - len(self._contract.under_way())
        self.has_more_to_claim = len(due) > max(0, room)
        for wei, account, total in sorted(due, reverse=True):
            if room <= 0:
                break
            if self._is_handed_in(account, partial(self._contract.claim, account, total)):
                claimed, room = claimed + wei, room - 1
        return claimed

    def _is_handed_in(self, account: str, send: Callable[[], bool]) -> bool:
        """INVARIANT: what the chain says against one account's transaction keeps no other from its own."""
        try:
            return send()
        except ChainError as error:
            log.warning("what is due of the deposit of %s could not be sent: %s", account, error)
            return False

    def _standings(self, accounts: Sequence[str]) -> Iterator[tuple[str, _Standing]]:
        """How each account stands. Raises ChainError and UnavailableError."""
        for start in range(0, len(accounts), PAGE):
            some = accounts[start : start + PAGE]
            block, booked = self._database.read(partial(_booked_of, contract=self._contract.address, accounts=some))
            now = self._contract.accounts_of(some)
            then = [_NOTHING] * len(some) if block is None else self._contract.accounts_of(some, block)
            yield from zip(some, map(_Standing, now, then, booked), strict=True)

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


def _booked_of(connection: Connection, contract: str, accounts: Sequence[str]) -> tuple[int | None, list[_Booked]]:
    """Up to which block the books follow the contract, and what they say of accounts.

    INVARIANT: all of it is one statement's, so of one state: an answer that ends between two would seem to have cost
    all that was kept for it, and a deposit that is booked between two would seem to be spent.
    """
    names = [kind(account) for account in accounts for kind in (user, reserved, refunds)]
    block = select(CHAIN_PROGRESS.c.block).where(CHAIN_PROGRESS.c.contract == contract).scalar_subquery()
    query = select(ACCOUNTS.c.name, ACCOUNTS.c.balance, block.label("block")).where(ACCOUNTS.c.name.in_(names))
    rows = connection.execute(query).all()
    found = {row.name: int(row.balance) for row in rows}
    balances = [_Booked(*(found.get(kind(account), 0) for kind in (user, reserved, refunds))) for account in accounts]
    return (rows[0].block if rows else None), balances


def _followed(connection: Connection, contract: str) -> tuple[int, int]:
    """Up to which block the books follow the contract, -1 for none; and how many wei it holds by them."""
    block = connection.scalar(select(CHAIN_PROGRESS.c.block).where(CHAIN_PROGRESS.c.contract == contract))
    return -1 if block is None else int(block), -booked_balance(connection, deposits(contract))


def _depositors(connection: Connection) -> list[str]:
    """Accounts that may have deposits."""
    owners = _with_balance(connection, user(""), zero=True)
    return [account for account in owners if account.startswith("0x")]


def require_no_other_deposits(database: Database, contract: str) -> None:
    """Raise SettingsError where the books hold deposits of a contract other than ``contract``; empty: of any.

    Raises UnavailableError.
    """
    others = database.read(partial(_with_balance, prefix=deposits("")))
    # INVARIANT: credit is spent only where the contract that holds its money is followed: there it could be taken back.
    for other in others:
        if other != contract:
            raise SettingsError(
                f"the books hold deposits of the contract {other}, whose callers could spend them and take them back",
                advice=f"Start with --deposits {other} and its --deposits-block until all of it is claimed or given "
                "back. For another contract meanwhile, start another gateway with another --database.",
            )


def _asked_back(events: Sequence[ChainEvent]) -> set[str]:
    """Accounts that ask for a refund."""
    return {str(one.arguments["account"]) for one in events if one.name == "RefundRequested" and one.arguments["from"]}


def _with_balance(connection: Connection, prefix: str, zero: bool = False) -> list[str]:
    """Owners of accounts that begin with ``prefix``; those with nothing in them, too, where ``zero``."""
    query = select(ACCOUNTS.c.name, ACCOUNTS.c.balance).where(ACCOUNTS.c.name.startswith(prefix, autoescape=True))
    return [name.removeprefix(prefix) for name, balance in connection.execute(query) if balance or zero]
