"""What is due for the books now and then: nothing that waits for the chain keeps reservations from being extended."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from node.gateway.access.ledger_accounts import RESERVED_SECONDS, LedgerAccounts
from node.gateway.accounts import ANSWER, Caller
from node.gateway.errors import UnavailableError
from node.gateway.ledger.books import OPERATOR, post, user
from node.gateway.ledger.database import Database, sqlite_url
from node.gateway.ledger.deposits import Reconciled
from node.gateway.ledger.reservations import release_overdue
from node.gateway.metrics import GatewayMetrics
from node.gateway.money import AUDIT_ROUNDS, DEPOSIT_LOOKS, Money
from tests.support.access_app import START, Clock

pytestmark = pytest.mark.fast


class StuckPayments:
    """Waits for a transaction that nobody mines."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def keep_up(self) -> None:
        self.go_on.wait(60)


def test_reservations_are_extended_while_a_transaction_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.gateway.money.BOOKS_ROUND_SECONDS", 0.01)
    database, clock, stuck = Database(sqlite_url(tmp_path / "g.sqlite")), Clock(), StuckPayments()
    database.write(partial(post, key="credit", kind="test", moves={OPERATOR: -10, user("A"): 10}))
    accounts = LedgerAccounts(database, clock)
    money = Money(accounts, GatewayMetrics(), payments=cast(Any, stuck))

    async def work() -> None:
        await accounts.reserve(Caller("A", frozenset({ANSWER})), "answer", 10)
        rounds = asyncio.create_task(money.keep_up())
        clock.now = START + RESERVED_SECONDS - 1
        extended = threading.Event()
        real = accounts.keep_up

        def noted() -> list[str]:
            released = real()
            extended.set()
            return released

        monkeypatch.setattr(accounts, "keep_up", noted)
        assert await asyncio.to_thread(extended.wait, 60)
        stuck.go_on.set()
        rounds.cancel()
        await asyncio.gather(rounds, return_exceptions=True)

    asyncio.run(work())
    later = START + RESERVED_SECONDS + 1
    assert not database.write(partial(release_overdue, answer="answer", now=later))
    accounts.close()
    database.close()


def test_refunds_are_answered_before_all_else_and_while_claims_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a refund waited for every claim of the hour, each with its confirmations."""
    monkeypatch.setattr("node.gateway.money.BOOKS_ROUND_SECONDS", 0.01)
    database, stuck = Database(sqlite_url(tmp_path / "g.sqlite")), threading.Event()
    answered: list[bool] = []
    calls: list[str] = []
    accounts, again = LedgerAccounts(database, Clock()), threading.Event()

    def answer_refunds() -> int:
        answered.append(stuck.is_set())
        calls.append("refunds")
        if len(answered) > 2:
            again.set()
        return 0

    deposits = SimpleNamespace(
        follow=lambda: None, answer_refunds=answer_refunds, claim=lambda least: stuck.wait(60), has_more_to_claim=False
    )
    payments = SimpleNamespace(keep_up=lambda: calls.append("payments"))
    money = Money(accounts, GatewayMetrics(), deposits=cast(Any, deposits), payments=cast(Any, payments))

    async def work() -> None:
        rounds = asyncio.create_task(money.keep_up())
        assert await asyncio.to_thread(again.wait, 60)
        stuck.set()
        rounds.cancel()
        await asyncio.gather(rounds, return_exceptions=True)

    asyncio.run(work())
    assert (answered[:3], calls[:2]) == ([False] * 3, ["refunds", "payments"])
    accounts.close()
    database.close()


def test_a_deposit_is_booked_before_the_round_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has paid waited for up to a minute: deposits were looked for once a round."""
    monkeypatch.setattr("node.gateway.money.BOOKS_ROUND_SECONDS", 0.01)
    database, looks, again, rounds = Database(sqlite_url(tmp_path / "g.sqlite")), 0, threading.Event(), []
    accounts, meanwhile = LedgerAccounts(database, Clock()), list[int]()

    def follow() -> Reconciled:
        nonlocal looks
        looks += 1
        if looks == DEPOSIT_LOOKS:
            meanwhile.extend(rounds)
            again.set()
        return Reconciled(looks, difference_wei=0, alarms=("one",))

    deposits = SimpleNamespace(follow=follow, answer_refunds=lambda: 0, claim=lambda least: 0, has_more_to_claim=False)
    sessions = SimpleNamespace(compare=lambda: rounds.append(looks))
    metrics = GatewayMetrics()
    money = Money(accounts, metrics, deposits=cast(Any, deposits), sessions=cast(Any, sessions))

    async def work() -> None:
        task = asyncio.create_task(money.keep_up())
        assert await asyncio.to_thread(again.wait, 60)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(work())
    assert meanwhile == [1]  # one round so far, and many looks
    assert metrics.ledger_alarms._value.get() == 1
    accounts.close()
    database.close()


def test_an_alarm_of_one_look_is_shown_for_a_round_and_a_failed_look_ends_none(tmp_path: Path) -> None:
    """Regression: a block that was replaced was shown for five seconds, until the next look; whoever collects metrics
    comes four times a minute, or less often."""
    database, metrics = Database(sqlite_url(tmp_path / "g.sqlite")), GatewayMetrics()
    accounts = LedgerAccounts(database, Clock())
    said: list[Reconciled | None] = [Reconciled(1, difference_wei=0, alarms=("one",))]
    said += [Reconciled(1, difference_wei=0)] * (DEPOSIT_LOOKS - 1) + [None] * DEPOSIT_LOOKS
    said.append(Reconciled(1, difference_wei=0))

    def follow() -> Reconciled:
        if (found := said.pop(0)) is None:
            raise UnavailableError("the chain does not answer", advice="Wait.")
        return found

    deposits = SimpleNamespace(follow=follow, answer_refunds=lambda: 0, claim=lambda least: 0, has_more_to_claim=False)
    compared: list[list[str] | None] = [["two"], None, []]

    def compare() -> list[str]:
        if (found := compared.pop(0) if compared else []) is None:
            raise UnavailableError("the database does not answer", advice="Wait.")
        return found

    money = Money(accounts, metrics, deposits=cast(Any, deposits), sessions=cast(Any, SimpleNamespace(compare=compare)))
    shown = []
    while said:
        money.once(accounts)
        shown.append(metrics.ledger_alarms._value.get())
    assert shown == [2, 2] + [1] * (2 * DEPOSIT_LOOKS - 2) + [0]
    accounts.close()
    database.close()


def test_claims_are_looked_for_now_and_then_and_as_long_as_some_are_left(tmp_path: Path) -> None:
    database, claims = Database(sqlite_url(tmp_path / "g.sqlite")), 0
    accounts = LedgerAccounts(database, Clock())

    def claim(least: int) -> int:
        nonlocal claims
        claims += 1
        if claims == 1:
            raise UnavailableError("the database is away", advice="Wait.")
        deposits.has_more_to_claim = claims < 4
        return 1

    deposits = SimpleNamespace(claim=claim, has_more_to_claim=False)
    money = Money(accounts, GatewayMetrics(), deposits=cast(Any, deposits))
    for expected in (1, 2, 3, 4, 4):
        money.claim(cast(Any, deposits))
        assert claims == expected
    money.claim_rounds = AUDIT_ROUNDS
    money.claim(cast(Any, deposits))
    assert claims == 5
    accounts.close()
    database.close()
