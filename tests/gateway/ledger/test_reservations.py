"""Credit for answers: kept before, paid after, never twice and never below nothing."""

from __future__ import annotations

from functools import partial

import pytest

from node.gateway.accounts import Bill
from node.gateway.errors import ForbiddenError, LimitReachedError, PaymentRequiredError
from node.gateway.ledger.books import OPERATOR, audit_books, booked_balance, post, reserved, user
from node.gateway.ledger.database import Database
from node.gateway.ledger.reservations import (
    DAY_SECONDS,
    WantedCredit,
    day_of,
    extend,
    overdue,
    release,
    release_overdue,
    reserve,
    settle,
    spent_on,
)

DEPOSITS = "deposits:contract"

pytestmark = pytest.mark.fast

NOON = 20_000 * DAY_SECONDS + DAY_SECONDS / 2
LATER = NOON + 900


def fund(database: Database, account: str = "A", wei: int = 1_000) -> None:
    database.write(partial(post, key=f"fund {account}", kind="test", moves={DEPOSITS: -wei, user(account): wei}))


def keep(
    database: Database, answer: str, wei: int, *, key: str = "k", limit: int | None = None, now: float = NOON
) -> None:
    database.write(partial(reserve, wanted=WantedCredit("A", answer, wei, key, limit), now=now, deadline=now + 900))


def balances(database: Database, *accounts: str) -> list[int]:
    return [database.read(partial(booked_balance, account=account)) for account in accounts]


def test_the_maximum_is_kept_and_the_rest_comes_back(database: Database) -> None:
    fund(database)
    keep(database, "a", 600)
    assert balances(database, user("A"), reserved("A")) == [400, 600]
    assert database.write(partial(settle, answer="a", bill=Bill(nodes_wei=90, vault_wei=10, gas_wei=5, fee_wei=3)))
    assert balances(database, user("A"), reserved("A")) == [892, 0]
    assert balances(database, "nodes", "vault", "gas", "fees") == [90, 10, 5, 3]
    assert database.read(partial(spent_on, account="A", day=day_of(NOON))) == 108
    assert database.read(audit_books) == []


def test_what_was_not_computed_costs_nothing(database: Database) -> None:
    fund(database)
    keep(database, "a", 600)
    assert database.write(partial(release, answer="a"))
    assert balances(database, user("A"), reserved("A")) == [1_000, 0]
    assert database.read(partial(spent_on, account="A", day=day_of(NOON))) == 0


@pytest.mark.parametrize("first", ["settle", "release"])
def test_an_answer_is_closed_once(database: Database, first: str) -> None:
    fund(database)
    keep(database, "a", 600)
    ends = {"settle": partial(settle, answer="a", bill=Bill(100, 0)), "release": partial(release, answer="a")}
    assert database.write(ends[first])
    kept = balances(database, user("A"), "nodes")
    assert [database.write(end) for end in ends.values()] == [False, False]
    assert balances(database, user("A"), "nodes") == kept


def test_a_caller_never_pays_more_than_was_reserved(database: Database) -> None:
    fund(database)
    keep(database, "a", 100)
    database.write(partial(settle, answer="a", bill=Bill(110, 12)))
    assert balances(database, user("A"), "nodes", "vault", OPERATOR) == [900, 110, 12, -22]
    assert database.read(audit_books) == []


def test_credit_that_is_not_there_is_not_kept(database: Database) -> None:
    fund(database)
    keep(database, "a", 600)
    with pytest.raises(PaymentRequiredError, match="can cost 401 wei, and the account has 400 wei"):
        keep(database, "b", 401)
    keep(database, "c", 400)
    assert balances(database, user("A"), reserved("A")) == [0, 1_000]
    with pytest.raises(PaymentRequiredError):
        keep(database, "d", 1)


def test_the_same_reservation_again_keeps_nothing_more(database: Database) -> None:
    fund(database)
    keep(database, "a", 600)
    keep(database, "a", 600)
    assert balances(database, user("A"), reserved("A")) == [400, 600]
    with pytest.raises(ForbiddenError, match="used before"):
        keep(database, "a", 100)
    database.write(partial(release, answer="a"))
    with pytest.raises(ForbiddenError, match="used before"):
        keep(database, "a", 600)


def test_a_key_keeps_to_its_wei_a_day(database: Database) -> None:
    fund(database)
    keep(database, "a", 300, limit=500)
    with pytest.raises(LimitReachedError, match="may spend 200 wei more today") as caught:
        keep(database, "b", 201, limit=500)
    assert caught.value.retry_after == DAY_SECONDS / 2
    database.write(partial(settle, answer="a", bill=Bill(100, 0)))
    keep(database, "c", 400, limit=500)
    with pytest.raises(LimitReachedError, match="may spend 0 wei more today"):
        keep(database, "d", 1, limit=500)
    keep(database, "e", 100, key="other", limit=500)
    keep(database, "f", 200, limit=500, now=NOON + DAY_SECONDS)


def test_an_answer_over_midnight_counts_where_it_began(database: Database) -> None:
    fund(database)
    keep(database, "a", 300, limit=500)
    keep(database, "b", 500, limit=500, now=NOON + DAY_SECONDS)
    database.write(partial(settle, answer="a", bill=Bill(300, 0)))
    assert [database.read(partial(spent_on, account="A", day=day_of(NOON) + later)) for later in (0, 1)] == [300, 0]


def test_what_a_dead_gateway_kept_is_released_after_its_deadline(database: Database) -> None:
    fund(database)
    keep(database, "dead", 100)
    keep(database, "alive", 200)
    assert database.read(partial(overdue, now=LATER)) == []
    database.write(partial(extend, answers=["alive"], deadline=LATER + 900))
    assert database.read(partial(overdue, now=LATER + 1)) == ["dead"]
    assert not database.write(partial(release_overdue, answer="alive", now=LATER + 1))
    assert [database.write(partial(release_overdue, answer="dead", now=LATER + 1)) for _ in range(2)] == [True, False]
    assert balances(database, user("A"), reserved("A")) == [800, 200]
    assert not database.write(partial(settle, answer="dead", bill=Bill(1, 0)))
    assert database.read(audit_books) == []


def test_nothing_negative_is_kept_or_billed(database: Database) -> None:
    fund(database)
    with pytest.raises(ValueError, match="-1 wei cannot be kept"):
        keep(database, "a", -1)
    keep(database, "b", 100)
    with pytest.raises(ValueError, match="no negative part"):
        database.write(partial(settle, answer="b", bill=Bill(-5, 10)))
    assert balances(database, user("A"), reserved("A")) == [900, 100]


def test_an_answer_that_can_cost_nothing_needs_no_credit(database: Database) -> None:
    keep(database, "a", 0)
    assert database.write(partial(settle, answer="a", bill=Bill(0, 0)))
    assert not database.write(partial(release, answer="a"))
    assert database.read(audit_books) == []
