"""Double entry: money never appears and never vanishes, it moves between accounts.

A transaction is a set of entries, one for each account that it touches, whose wei sum to 0. It has a key, and happens
at most once. An account's balance is the sum of its entries. Balances are never negative, except those of money that is
outside of the gateway: what came from there is theirs, negated.

    user:ADDRESS      what a caller may spend
    reserved:ADDRESS  what is kept of it for answers under way
    refunds:ADDRESS   what a caller asked back of a deposit, and cannot spend any more
    nodes, vault, publishers, gas, fees   what answers cost, by who got it
    losses            what sessions paid for answers beyond what callers paid; the operator bears it
    deposits:CONTRACT  outside: what a deposit contract holds
    payments          outside: tokens that came with requests
    unfetched         outside: what nodes earned and had not fetched when their session was settled
    operator          outside: the operator's own money: credit that it gives, and what it pays for its callers
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from nexus_chain.errors import NexusError
from node.gateway.ledger.tables import ACCOUNTS, LEDGER_ENTRIES, RESERVATIONS, TRANSACTIONS

NODES, VAULT, PUBLISHERS, GAS, FEES = "nodes", "vault", "publishers", "gas", "fees"
"""What answers cost, by who got it."""
LOSSES = "losses"
"""What sessions paid for answers that no caller pays: with ``nodes``, ``vault`` and ``publishers``, all that
sessions paid."""
PAYMENTS_IN, OPERATOR, UNFETCHED = "payments", "operator", "unfetched"
"""Money outside of the gateway; so is what ``deposits`` names."""

_OUTSIDE = ("deposits", PAYMENTS_IN, OPERATOR, UNFETCHED)
_ROWS_AT_ONCE = 1_000
# Statements of every answer are built once: building one takes longer than running it.
_LOCKED = (
    select(ACCOUNTS.c.name, ACCOUNTS.c.balance)
    .where(ACCOUNTS.c.name.in_(bindparam("names", expanding=True)))
    .order_by(ACCOUNTS.c.name)  # one order for all: no two transactions wait for each other
    .with_for_update()
)
_BALANCE = select(ACCOUNTS.c.balance).where(ACCOUNTS.c.name == bindparam("account"))
_NUMBER = select(TRANSACTIONS.c.id).where(TRANSACTIONS.c.key == bindparam("transaction_key"))
_ADD_TRANSACTION = insert(TRANSACTIONS).returning(TRANSACTIONS.c.id)
_ADD_ENTRIES = insert(LEDGER_ENTRIES)
_SET_BALANCE = update(ACCOUNTS).where(ACCOUNTS.c.name == bindparam("account")).values(balance=bindparam("new_balance"))
_MOST_WEI = 2**256 - 1


def user(account: str) -> str:
    """The account of what ``account`` may spend."""
    return f"user:{account}"


def reserved(account: str) -> str:
    """The account of what is kept for answers of ``account``."""
    return f"reserved:{account}"


def refunds(account: str) -> str:
    """The account of what ``account`` asked back."""
    return f"refunds:{account}"


def deposits(contract: str) -> str:
    """The account of what a deposit contract holds."""
    return f"deposits:{contract}"


def _is_outside(account: str) -> bool:
    return account.partition(":")[0] in _OUTSIDE


class BooksError(NexusError):
    """Raised for a transaction that does not balance, or whose key names another one: a fault of this program."""


class OverdrawnError(NexusError):
    """Raised when an account has less than a transaction takes; ``has`` and ``needs`` in wei. Nothing was booked."""

    def __init__(self, account: str, has: int, needs: int) -> None:
        super().__init__(f"{account} has {has} wei and {needs} wei are needed", advice="Add credit.")
        self.has, self.needs = has, needs


def post(connection: Connection, key: str, kind: str, moves: Mapping[str, int], *, is_new: bool = False) -> bool:
    """Book a transaction: ``moves`` are wei by account. Returns False where it is booked already, and changes nothing.

    ``is_new``: the caller has seen, under a lock, that it is not booked. Raises BooksError and OverdrawnError.
    """
    entries = {account: wei for account, wei in moves.items() if wei}
    if sum(entries.values()) != 0 or any(abs(wei) > _MOST_WEI for wei in entries.values()):
        raise BooksError(f"the transaction {key} does not balance", advice="Report this: nothing was booked.")
    balances = _locked_balances(connection, entries)
    if not is_new and (booked := entries_of(connection, key)) is not None:
        if booked != entries:
            raise BooksError(f"{key} names another transaction", advice="Report this: nothing was booked.")
        return False
    for account, wei in entries.items():
        if not _is_outside(account) and balances[account] + wei < 0:
            raise OverdrawnError(account, balances[account], -wei)
    number = connection.scalar(_ADD_TRANSACTION, {"key": key, "kind": kind, "created": int(time.time())})
    if entries:
        rows = [{"transaction_id": number, "account": account, "wei": wei} for account, wei in entries.items()]
        connection.execute(_ADD_ENTRIES, rows)
        changes = [{"account": account, "new_balance": balances[account] + wei} for account, wei in entries.items()]
        connection.execute(_SET_BALANCE, changes)
    return True


def _locked_balances(connection: Connection, accounts: Mapping[str, int]) -> dict[str, int]:
    """Balances that stay as they are until this transaction ends; accounts are made where they are missing."""
    names = list(accounts)
    found = {name: int(balance) for name, balance in connection.execute(_LOCKED, {"names": names})}
    if missing := [name for name in names if name not in found]:
        rows = [{"name": name, "outside": int(_is_outside(name)), "balance": 0} for name in sorted(missing)]
        connection.execute(insert_new(connection, ACCOUNTS), rows)
        found = {name: int(balance) for name, balance in connection.execute(_LOCKED, {"names": names})}
    return found


def insert_new(connection: Connection, table: Any) -> Any:
    """An INSERT that leaves a row alone which is there already."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()


def booked_balance(connection: Connection, account: str) -> int:
    """Wei of an account; 0 where it does not exist."""
    return int(connection.scalar(_BALANCE, {"account": account}) or 0)


def entries_of(connection: Connection, key: str) -> dict[str, int] | None:
    """Wei by account of the transaction ``key``; None where it is not booked."""
    number = connection.scalar(_NUMBER, {"transaction_key": key})
    if number is None:
        return None
    query = select(LEDGER_ENTRIES.c.account, LEDGER_ENTRIES.c.wei).where(LEDGER_ENTRIES.c.transaction_id == number)
    return {account: int(wei) for account, wei in connection.execute(query)}


def audit_books(connection: Connection) -> list[str]:
    """What is wrong with the whole of the books, one sentence each; nothing where all is well. Reads every entry."""
    return list(_differences(connection))


def _differences(connection: Connection) -> Iterator[str]:
    by_transaction: dict[int, int] = {}
    by_account: dict[str, int] = {}
    for row in _all(
        connection, select(LEDGER_ENTRIES.c.transaction_id, LEDGER_ENTRIES.c.account, LEDGER_ENTRIES.c.wei)
    ):
        by_transaction[row.transaction_id] = by_transaction.get(row.transaction_id, 0) + row.wei
        by_account[row.account] = by_account.get(row.account, 0) + row.wei
    for number, wei in by_transaction.items():
        if wei:
            yield f"transaction {number} sums to {wei} wei instead of 0"
    held: dict[str, int] = {}
    for row in _all(connection, select(RESERVATIONS).where(RESERVATIONS.c.state == "open")):
        held[reserved(row.account)] = held.get(reserved(row.account), 0) + row.wei
    balances = {row.name: row for row in _all(connection, select(ACCOUNTS))}
    for name, row in balances.items():
        entries = by_account.get(name, 0)
        if row.balance != entries:
            yield f"{name} has {row.balance} wei by its balance and {entries} wei by its entries"
        if row.balance < 0 and not _is_outside(name):
            yield f"{name} has {row.balance} wei"
    for name in sorted({*held, *(one for one in balances if one.startswith("reserved:"))}):
        booked = balances[name].balance if name in balances else 0
        if booked != held.get(name, 0):
            yield f"{name} has {booked} wei and its open reservations {held.get(name, 0)} wei"


def _all(connection: Connection, query: Any) -> Iterator[Row[Any]]:
    """Rows without holding all of them."""
    return iter(connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query))
