"""The accounts that the service uses: credit through keys, callers that leave, a database that goes and comes back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from node.gateway.access.ledger_accounts import RESERVED_SECONDS, LedgerAccounts
from node.gateway.accounts import ANSWER, READ, Bill, Caller, PaidEvidence
from node.gateway.error_shapes import error_response
from node.gateway.errors import ForbiddenError, LimitReachedError, PaymentRequiredError, UnavailableError
from node.gateway.evidence_store import EvidenceStore
from node.gateway.ledger.books import audit_books, booked_balance, post, reserved, user
from node.gateway.ledger.database import Database, sqlite_url
from tests.support.access_app import Clock

DEPOSITS = "deposits:contract"

pytestmark = pytest.mark.fast

CALLER = Caller("A", frozenset({ANSWER}), "key_1")


@pytest.fixture
def accounts(database: Database) -> Iterator[LedgerAccounts]:
    made = LedgerAccounts(database, Clock())
    fund(database)
    yield made
    made.close()


def fund(database: Database, wei: int = 1_000) -> None:
    database.write(partial(post, key="fund", kind="test", moves={DEPOSITS: -wei, user("A"): wei}))


def balances(database: Database, *names: str) -> list[int]:
    return [database.read(partial(booked_balance, account=name)) for name in names or (user("A"), reserved("A"))]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_an_answer_is_reserved_and_settled(accounts: LedgerAccounts) -> None:
    async def answer() -> None:
        reservation = await accounts.reserve(CALLER, "a", 600)
        assert balances(accounts.database) == [400, 600]
        await reservation.settle(Bill(90, 10))
        await reservation.settle(Bill(90, 10))
        await reservation.release()

    run(answer())
    assert balances(accounts.database) == [900, 0]


def test_an_answer_that_fails_is_released(accounts: LedgerAccounts) -> None:
    async def answer() -> None:
        await (await accounts.reserve(CALLER, "a", 600)).release()

    run(answer())
    assert balances(accounts.database) == [1_000, 0]


class LateEvidence:
    """Evidence that cannot be written down before ``found`` is there."""

    def __init__(self) -> None:
        self.found: PaidEvidence | None = None

    def add(self, connection: Any) -> None:
        if self.found is None:
            raise UnavailableError("no room", advice="Try again.", retry_after=1.0)
        self.found.add(connection)

    def keep(self) -> None:
        raise AssertionError("it is kept with the bill")


def test_a_bill_and_its_evidence_are_written_together_or_not_at_all(accounts: LedgerAccounts) -> None:
    store, evidence = EvidenceStore(accounts.database), LateEvidence()

    async def answer() -> None:
        await (await accounts.reserve(CALLER, "a", 600)).settle(Bill(90, 10), evidence)

    run(answer())
    assert balances(accounts.database) == [400, 600]
    assert store.find("a", "A") is None
    evidence.found = store.evidence("a", "A", {"of": "a"})
    accounts.keep_up()
    assert balances(accounts.database) == [900, 0]
    kept = store.find("a", "A")
    assert kept is not None
    assert kept.document == {"of": "a"}


@pytest.mark.parametrize(("limit", "credit"), [(1, 10_000), (16, 600)])
def test_an_account_is_refused_only_once_its_ended_answers_are_booked(
    database: Database, monkeypatch: pytest.MonkeyPatch, limit: int, credit: int
) -> None:
    """Its caller has the end of an answer before it is booked, and asks at once: for the place, or the credit."""
    fund(database, credit)
    accounts, held, written = LedgerAccounts(database, Clock(), open_answers=limit), threading.Event(), []
    honest = accounts._write_end

    def write_end(answer: str) -> None:
        held.wait(20)
        honest(answer)
        written.append(answer)

    monkeypatch.setattr(accounts, "_write_end", write_end)

    async def ask() -> None:
        first = await accounts.reserve(CALLER, "a", 600)
        ending = asyncio.ensure_future(first.settle(Bill(10, 0)))
        await asyncio.sleep(0)
        asking = asyncio.ensure_future(accounts.reserve(CALLER, "b", 590))
        await asyncio.sleep(0.05)
        assert not asking.done()
        held.set()
        second = await asking
        assert written == ["a"]
        await asyncio.gather(ending, second.release())
        assert not await accounts.settled("A")

    run(ask())
    accounts.close()
    assert balances(database) == [credit - 10, 0]


def test_what_a_caller_may_not(accounts: LedgerAccounts) -> None:
    reader = Caller("A", frozenset({READ}))
    limited = Caller("A", frozenset({ANSWER}), "key_2", wei_per_day=10)
    for caller, wei, error in [
        (CALLER, 1_001, PaymentRequiredError),
        (limited, 11, LimitReachedError),
        (reader, 1, ForbiddenError),
        (Caller("B", frozenset({ANSWER})), 1, PaymentRequiredError),
    ]:
        with pytest.raises(error):
            run(accounts.reserve(caller, f"a {wei}", wei))
    assert balances(accounts.database) == [1_000, 0]


def test_an_account_has_so_many_answers_under_way_and_no_more(database: Database) -> None:
    fund(database)
    database.write(partial(post, key="B's", kind="test", moves={DEPOSITS: -9, user("B"): 9}))
    accounts = LedgerAccounts(database, Clock(), open_answers=2)
    other_key, other = Caller("A", frozenset({ANSWER}), "key_2"), Caller("B", frozenset({ANSWER}))

    async def ask() -> None:
        tried = [accounts.reserve(CALLER if n % 2 else other_key, f"a{n}", 10) for n in range(5)]
        found = await asyncio.gather(*tried, return_exceptions=True)
        kept = [one for one in found if not isinstance(one, BaseException)]
        refused = [one for one in found if isinstance(one, LimitReachedError)]
        assert (len(kept), len(refused)) == (2, 3)  # over all keys of the account, also where they come at once
        assert {error.retry_after for error in refused} == {1.0}
        for path in ("/v1/chat/completions", "/v1/messages", "/api/chat"):
            response = error_response(path, refused[0])
            assert (response.status_code, response.headers["retry-after"]) == (429, "1")
            assert b"2 answers under way" in response.body
        await (await accounts.reserve(other, "b", 1)).release()
        await kept[0].settle(Bill(1, 0))
        await (await accounts.reserve(CALLER, "a5", 10)).release()
        with pytest.raises(PaymentRequiredError):
            await accounts.reserve(CALLER, "a6", 10_000)
        await (await accounts.reserve(CALLER, "a7", 10)).release()  # what is refused takes no place
        await kept[1].release()

    run(ask())
    accounts.close()
    assert balances(database) == [999, 0]


class HeldDatabase(Database):
    """Its writes wait until ``let_go`` is set, and then happen."""

    def __init__(self, url: str) -> None:
        self.let_go, self.begun = threading.Event(), threading.Event()
        self.let_go.set()
        super().__init__(url)

    def write(self, work: Any, *, durable: bool = True) -> Any:
        self.begun.set()
        assert self.let_go.wait(30)
        return super().write(work, durable=durable)


def test_a_caller_that_leaves_while_credit_is_reserved_gets_it_back(tmp_path: Path) -> None:
    database = HeldDatabase(sqlite_url(tmp_path / "gateway.sqlite"))
    fund(database)
    accounts = LedgerAccounts(database, Clock())

    async def leave() -> None:
        database.let_go.clear()
        database.begun.clear()
        task = asyncio.ensure_future(accounts.reserve(CALLER, "a", 600))
        await asyncio.to_thread(database.begun.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        database.let_go.set()

    run(leave())
    accounts.close()
    assert balances(database) == [1_000, 0]
    database.close()


def test_a_settlement_is_booked_although_its_task_is_cancelled(tmp_path: Path) -> None:
    database = HeldDatabase(sqlite_url(tmp_path / "gateway.sqlite"))
    fund(database)
    accounts = LedgerAccounts(database, Clock())

    async def cancelled() -> None:
        reservation = await accounts.reserve(CALLER, "a", 600)
        database.let_go.clear()
        database.begun.clear()
        task = asyncio.ensure_future(reservation.settle(Bill(100, 0)))
        await asyncio.to_thread(database.begun.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        database.let_go.set()

    run(cancelled())
    accounts.close()
    assert balances(database) == [900, 0]
    database.close()


def test_a_bill_waits_for_a_database_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sqlite"
    database = Database(sqlite_url(path))
    fund(database)
    accounts = LedgerAccounts(database, Clock())

    async def answer() -> None:
        served = await accounts.reserve(CALLER, "served", 600)
        moved = path.rename(tmp_path / "gone")
        with pytest.raises(UnavailableError) as caught:
            await accounts.reserve(CALLER, "refused", 100)
        assert caught.value.retry_after == 5.0
        with pytest.raises(UnavailableError):
            await accounts.authenticate("sk-nexus-any")
        await served.settle(Bill(100, 0))  # the answer was given: its caller sees no error
        await served.settle(Bill(200, 0))
        moved.rename(path)

    run(answer())
    assert balances(database) == [400, 600]
    assert accounts.keep_up() == []
    assert balances(database) == [900, 0]
    accounts.close()
    database.close()


def test_a_bill_is_written_at_the_latest_when_the_gateway_ends(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sqlite"
    database = Database(sqlite_url(path))
    fund(database)
    accounts = LedgerAccounts(database, Clock())

    async def answer() -> None:
        served = await accounts.reserve(CALLER, "served", 600)
        moved = path.rename(tmp_path / "gone")
        await served.settle(Bill(100, 0))
        moved.rename(path)

    run(answer())
    accounts.close()
    assert balances(database) == [900, 0]
    database.close()


def test_a_living_gateway_keeps_its_reservations_and_a_dead_one_s_are_released(database: Database) -> None:
    fund(database)
    clock = Clock()
    dead, alive = LedgerAccounts(database, clock), LedgerAccounts(database, clock)
    run(dead.reserve(CALLER, "dead", 100))
    run(alive.reserve(CALLER, "alive", 200))
    clock.now += RESERVED_SECONDS - 1
    assert alive.keep_up() == []
    clock.now += 2
    assert alive.keep_up() == ["dead"]
    assert balances(database) == [800, 200]
    assert alive.keep_up() == []
    assert database.read(audit_books) == []
    for accounts in (dead, alive):
        accounts.close()
