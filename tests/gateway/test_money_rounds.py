"""What is due for the books now and then: nothing that waits for the chain keeps reservations from being extended."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from node.gateway.access.ledger_accounts import RESERVED_SECONDS, LedgerAccounts
from node.gateway.accounts import ANSWER, Caller
from node.gateway.ledger.books import OPERATOR, post, user
from node.gateway.ledger.database import Database, sqlite_url
from node.gateway.ledger.reservations import release_overdue
from node.gateway.metrics import GatewayMetrics
from node.gateway.money import Money
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
