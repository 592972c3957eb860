"""Money moves and never appears: transactions balance, happen once, and cannot be changed."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import delete, insert, update

from node.gateway.errors import UnavailableError
from node.gateway.ledger.books import (
    DEPOSITS,
    FEES,
    BooksError,
    OverdrawnError,
    audit_books,
    booked_balance,
    entries_of,
    post,
    refunds,
    reserved,
    user,
)
from node.gateway.ledger.database import Database
from node.gateway.ledger.tables import ACCOUNTS, LEDGER_ENTRIES, RESERVATIONS, TRANSACTIONS

pytestmark = pytest.mark.fast

ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
MOST = 2**256 - 1


def book(database: Database, key: str, moves: dict[str, int]) -> bool:
    return database.write(partial(post, key=key, kind="test", moves=moves))


def balance(database: Database, account: str) -> int:
    return database.read(partial(booked_balance, account=account))


def test_accounts_are_named_by_what_they_hold() -> None:
    assert (user("A"), reserved("A"), refunds("A")) == ("user:A", "reserved:A", "refunds:A")


def test_a_transaction_moves_wei_between_accounts(database: Database) -> None:
    assert book(database, "one", {DEPOSITS: -100, user(ALICE): 100})
    assert book(database, "two", {user(ALICE): -30, FEES: 30})
    assert [balance(database, name) for name in (DEPOSITS, user(ALICE), FEES)] == [-100, 70, 30]
    assert database.read(audit_books) == []


def test_the_largest_amounts_are_exact(database: Database) -> None:
    book(database, "one", {DEPOSITS: -MOST, user(ALICE): MOST})
    assert balance(database, user(ALICE)) == MOST
    assert balance(database, DEPOSITS) == -MOST
    assert database.read(partial(entries_of, key="one")) == {DEPOSITS: -MOST, user(ALICE): MOST}
    book(database, "two", {user(ALICE): 1 - MOST, FEES: MOST - 1})
    assert balance(database, user(ALICE)) == 1
    assert database.read(audit_books) == []


def test_the_same_transaction_happens_once(database: Database) -> None:
    moves = {DEPOSITS: -5, user(ALICE): 5}
    assert [book(database, "one", moves) for _ in range(3)] == [True, False, False]
    assert balance(database, user(ALICE)) == 5


def test_a_key_names_one_transaction_only(database: Database) -> None:
    book(database, "one", {DEPOSITS: -5, user(ALICE): 5})
    with pytest.raises(BooksError, match="one names another transaction"):
        book(database, "one", {DEPOSITS: -6, user(ALICE): 6})
    assert balance(database, user(ALICE)) == 5


@pytest.mark.parametrize("moves", [{DEPOSITS: -5, user(ALICE): 6}, {FEES: 1}, {DEPOSITS: -MOST - 1, FEES: MOST + 1}])
def test_what_does_not_balance_is_not_booked(database: Database, moves: dict[str, int]) -> None:
    with pytest.raises(BooksError, match="does not balance"):
        book(database, "one", moves)
    assert database.read(partial(entries_of, key="one")) is None


def test_nobody_spends_more_than_they_have(database: Database) -> None:
    book(database, "one", {DEPOSITS: -5, user(ALICE): 5})
    with pytest.raises(OverdrawnError) as caught:
        book(database, "two", {user(ALICE): -6, FEES: 6})
    assert (caught.value.has, caught.value.needs) == (5, 6)
    assert [balance(database, user(ALICE)), balance(database, FEES)] == [5, 0]


def test_the_database_itself_refuses_a_negative_balance(database: Database) -> None:
    book(database, "one", {DEPOSITS: -5, user(ALICE): 5})
    broken = update(ACCOUNTS).where(ACCOUNTS.c.name == user(ALICE)).values(balance=-1)
    with pytest.raises(UnavailableError):
        database.write(lambda connection: connection.execute(broken))
    assert balance(database, user(ALICE)) == 5


@pytest.mark.parametrize(
    "change",
    [
        update(LEDGER_ENTRIES).values(wei=0),
        delete(LEDGER_ENTRIES),
        update(TRANSACTIONS).values(kind="x"),
        delete(TRANSACTIONS),
    ],
    ids=["update entries", "delete entries", "update transactions", "delete transactions"],
)
def test_what_was_booked_cannot_be_changed(database: Database, change: object) -> None:
    book(database, "one", {DEPOSITS: -5, user(ALICE): 5})
    with pytest.raises(UnavailableError):
        database.write(lambda connection: connection.execute(change))  # type: ignore[call-overload]
    assert database.read(partial(entries_of, key="one")) == {DEPOSITS: -5, user(ALICE): 5}


def test_an_audit_names_every_difference(database: Database) -> None:
    book(database, "one", {DEPOSITS: -5, user(ALICE): 5})
    database.write(
        lambda connection: (
            connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.name == user(ALICE)).values(balance=7)),
            connection.execute(insert(LEDGER_ENTRIES).values(transaction_id=1, account=FEES, wei=1))
            if connection.execute(insert(ACCOUNTS).values(name=FEES, outside=0, balance=1))
            else None,
            connection.execute(
                insert(RESERVATIONS).values(
                    answer="a", account=ALICE, api_key="", wei=3, day=0, deadline=0, state="open", paid=0
                )
            ),
        )
    )
    assert database.read(audit_books) == [
        "transaction 1 sums to 1 wei instead of 0",
        f"{user(ALICE)} has 7 wei by its balance and 5 wei by its entries",
        f"{reserved(ALICE)} has 0 wei and its open reservations 3 wei",
    ]
