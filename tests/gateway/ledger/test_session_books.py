"""What nodes got of the gateway's sessions is what the books say: under way, ended, failed, killed, settled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.client.store import SETTLED
from node.gateway.access.ledger_accounts import LedgerAccounts
from node.gateway.accounts import ANSWER, Caller
from node.gateway.delivery import begun_pieces
from node.gateway.errors import UnavailableError
from node.gateway.generation import GenerationRequest
from node.gateway.ledger.books import (
    LOSSES,
    NODES,
    OPERATOR,
    PUBLISHERS,
    UNFETCHED,
    VAULT,
    audit_books,
    booked_balance,
    post,
    user,
)
from node.gateway.ledger.database import Database, sqlite_url
from node.gateway.ledger.session_books import SessionBooks
from node.gateway.metrics import GatewayMetrics
from node.gateway.money import Money
from tests.support.toy_market import ToyWorld
from tests.support.toy_service import MODEL, ToyService, toy_service

CALLER = Caller("A", frozenset({ANSWER}))


@dataclass
class Booked:
    """A toy service with a ledger, and what compares the two. ``forfeited``: nodes whose lines came back whole."""

    toy: ToyService
    accounts: LedgerAccounts
    books: SessionBooks
    forfeited: set[str]

    @property
    def store(self) -> Any:
        return self.toy.network.pool.client.store

    @property
    def session(self) -> bytes:
        (record,) = self.store.sessions()
        return bytes(record.id)

    def balance(self, *names: str) -> int:
        return sum(self.accounts.database.read(partial(booked_balance, account=name)) for name in names)

    def used(self) -> int:
        return sum(line.used for line in self.store.lines(self.session).values())

    def alarms(self) -> list[str]:
        """Of two looks in a row."""
        self.books.compare()
        return self.books.compare()

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        async def whole() -> None:
            try:
                await work()
            finally:
                await self.toy.service.close()

        asyncio.run(whole())

    async def read(self, tokens: int, most: int = 1_000) -> None:
        """An answer of so many tokens; its reader leaves after ``most`` pieces."""
        running = await self.toy.service.generate(CALLER, GenerationRequest(MODEL, (3, 14, 15), tokens))
        async for _ in await begun_pieces(running):
            most -= 1
            if not most:
                break
        await running.aclose()

    def prepay(self, node: str, wei: int) -> None:
        """A voucher lets the node bill so much that it never does."""
        (pooled,) = self.toy.network.pool._sessions
        account = pooled.session.money.purse.open_account({node: wei})
        account.prepay({node: wei})
        account.close()


@pytest.fixture
def booked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Booked]:
    ToyWorld.stand_for_the_chain(monkeypatch)
    with toy_service(ToyWorld(tmp_path), tmp_path) as toy:
        database = Database(sqlite_url(tmp_path / "gateway.sqlite"))
        database.write(partial(post, key="credit", kind="test", moves={OPERATOR: -(10**9), user("A"): 10**9}))
        toy.service._accounts = accounts = LedgerAccounts(database)
        client = toy.network.pool.client
        forfeited: set[str] = set()
        books = SessionBooks(
            database, client.store, toy.world.market, toy.service.spending_under_way, lambda session, nodes: forfeited
        )
        books.begin()
        yield Booked(toy, accounts, books, forfeited)
    accounts.close()
    database.close()


def failing_at(toy: ToyService, message: int) -> None:
    """Nodes of the last segment are gone from that message on."""
    left = iter(range(message))

    def count() -> None:
        if next(left, None) is None:
            for node in toy.world.facts.registered[2:]:
                node.dies_after = -1

    toy.world.slow = count


def test_whole_answers_left_ones_and_failed_ones_are_all_booked(booked: Booked) -> None:
    async def work() -> None:
        await asyncio.gather(booked.read(40), booked.read(60, most=5), booked.read(3))
        failing_at(booked.toy, 100)
        with pytest.raises(UnavailableError):
            await booked.read(200)

    booked.run(work)
    assert booked.alarms() == []
    assert booked.balance(NODES, VAULT, LOSSES) == booked.used() > 0
    assert booked.balance(LOSSES) > 0
    assert booked.accounts.database.read(audit_books) == []


def test_answers_under_way_are_no_difference(booked: Booked) -> None:
    async def work() -> None:
        running = await booked.toy.service.generate(CALLER, GenerationRequest(MODEL, (3, 14, 15), 200))
        pieces = aiter(await begun_pieces(running))
        for _ in range(60):
            await anext(pieces)
        while booked.toy.service.spending_under_way().get(booked.session, 0) != booked.used():
            await asyncio.sleep(0.01)
        assert booked.used() > booked.balance(NODES) == 0
        assert booked.alarms() == []
        await running.aclose()

    booked.run(work)
    assert booked.alarms() == []


def test_an_answer_that_was_not_booked_is_an_alarm(booked: Booked, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = GatewayMetrics()
    money = Money(booked.accounts, metrics, sessions=booked.books)
    booked.run(lambda: booked.read(5))

    def shown() -> float | None:
        money.once(booked.accounts)
        return metrics.registry.get_sample_value("nexus_gateway_ledger_alarms")

    assert [shown(), shown()] == [0, 0]
    node, line = next(iter(booked.store.lines(booked.session).items()))
    booked.store.set_used(booked.session, node, line.used + 7)
    assert [shown(), shown(), shown()] == [0, 1, 1]  # it may have been booked between two looks
    (said,) = booked.books.compare()
    assert f"{booked.used()} wei, and the books say {booked.used() - 7} wei" in said

    booked.books.begin()  # as at the next start
    assert booked.alarms() == []
    assert booked.balance(LOSSES) == 7
    assert booked.balance(NODES, VAULT, LOSSES) == booked.used()


def test_what_others_used_before_is_not_the_gateways(booked: Booked) -> None:
    booked.run(lambda: booked.read(5))
    other = Database(sqlite_url(booked.toy.world.files.folder / "other.sqlite"))
    books = SessionBooks(other, booked.store, booked.toy.world.market, dict, lambda session, nodes: ())
    books.begin()
    assert [books.compare(), books.compare()] == [[], []]
    assert other.read(partial(booked_balance, account=LOSSES)) == 0
    other.close()


@pytest.mark.parametrize("more", [-9, 0, 9])
def test_what_the_chain_paid_is_booked_once(booked: Booked, more: int) -> None:
    """Nodes fetched less than they earned, as much, or what a voucher had prepaid."""
    booked.run(lambda: booked.read(40, most=3))
    session, market = booked.session, booked.toy.world.market
    earned = [node for node, line in booked.store.lines(session).items() if line.used]
    booked.prepay(earned[0], max(0, more))
    lines = booked.store.lines(session)
    for node in earned:
        paid = lines[node].used + (more if node == earned[0] else 0)
        assert 0 < paid <= lines[node].promised
        market.lines[session][node] = replace(market.line_of(session, node), cumulative=paid, settled=True)
    before = booked.used()
    booked.store.set_session_state(session, SETTLED)
    assert booked.alarms() == []
    assert booked.balance(LOSSES) == max(0, more)
    assert booked.balance(UNFETCHED) == min(0, more)
    assert booked.balance(NODES, VAULT, LOSSES, UNFETCHED) == before + more
    assert booked.accounts.database.read(audit_books) == []


def test_of_what_nodes_fetched_beyond_the_answers_the_publishers_share_is_lost_too(booked: Booked) -> None:
    booked.toy.world.share = 1_000
    booked.run(lambda: booked.read(40, most=3))
    session, market = booked.session, booked.toy.world.market
    node = next(node for node, line in booked.store.lines(session).items() if line.used)
    billed = booked.balance(PUBLISHERS)
    assert billed == sum(line.used // 10 for line in booked.store.lines(session).values()) > 0
    booked.prepay(node, 30)
    paid = booked.store.lines(session)[node].used + 30
    for other, line in booked.store.lines(session).items():
        wei = paid if other == node else line.used
        market.lines[session][other] = replace(market.line_of(session, other), cumulative=wei, settled=True)
    booked.store.set_session_state(session, SETTLED)
    assert booked.alarms() == []
    assert (booked.balance(LOSSES), booked.balance(PUBLISHERS)) == (30 + 3, billed)
    assert booked.accounts.database.read(audit_books) == []


@pytest.mark.parametrize("share", [0, 1_000])
def test_what_a_convicted_node_had_earned_came_back_with_its_share(booked: Booked, share: int) -> None:
    booked.toy.world.share = share
    booked.run(lambda: booked.read(40, most=3))
    session, market, lines = booked.session, booked.toy.world.market, booked.store.lines(booked.session)
    for node, line in lines.items():
        market.lines[session][node] = replace(market.line_of(session, node), cumulative=line.used, settled=True)
    convicted = next(node for node, line in lines.items() if line.used)
    booked.forfeited.add(convicted)
    before, billed = booked.balance(NODES, VAULT), booked.balance(PUBLISHERS)
    booked.store.set_session_state(session, SETTLED)
    assert booked.alarms() == []
    back = lines[convicted].used + lines[convicted].used * share // 10_000
    assert (booked.balance(UNFETCHED), back > 0) == (-back, True)
    assert (booked.balance(NODES, VAULT), booked.balance(PUBLISHERS), booked.balance(LOSSES)) == (before, billed, 0)
    assert booked.accounts.database.read(audit_books) == []


def test_a_node_that_was_paid_beyond_every_voucher_is_an_alarm(booked: Booked) -> None:
    booked.run(lambda: booked.read(5))
    session, market = booked.session, booked.toy.world.market
    node, line = next((node, line) for node, line in booked.store.lines(session).items() if line.used)
    paid = replace(market.line_of(session, node), cumulative=line.promised + 1, settled=True)
    market.lines[session][node] = paid
    booked.store.set_session_state(session, SETTLED)
    (alarm,) = booked.alarms()  # it does not go away by itself
    assert f"was paid {line.promised + 1} wei, and promised {line.promised} wei" in alarm
