"""What one caller asks does not run on without a reader, and does not keep others from the threads that they need."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nexus_chain.client.auditing import AuditResult
from node.gateway.accounts import ANSWER, OPEN_ANSWERS, READ, Bill, Caller
from node.gateway.answer_bills import bill_of
from node.gateway.delivery import PARTS_AT_ONCE, all_of
from node.gateway.errors import PaymentRequiredError
from node.gateway.generation import GenerationRequest, TokenScore
from node.gateway.settings import GatewaySettings
from tests.support.toy_market import ToyWorld
from tests.support.toy_service import MODEL, PRICE, ToyService, score_prompt, toy_service

pytestmark = pytest.mark.fast

CALLER = Caller("0xAlice", frozenset({ANSWER, READ}))


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyService]:
    ToyWorld.stand_for_the_chain(monkeypatch)
    with toy_service(ToyWorld(tmp_path), tmp_path) as made:
        yield made


def test_parts_of_a_request_are_done_some_at_a_time() -> None:
    under_way, most = 0, 0

    async def part(number: int) -> int:
        nonlocal under_way, most
        under_way, most = under_way + 1, max(most, under_way + 1)
        await asyncio.sleep(0)
        under_way -= 1
        return number

    assert asyncio.run(all_of(part(number) for number in range(64))) == list(range(64))
    assert most == PARTS_AT_ONCE < OPEN_ANSWERS


def test_after_one_that_fails_the_others_are_ended() -> None:
    ended: list[str] = []

    async def fails() -> None:
        raise PaymentRequiredError("no credit", advice="Deposit.")

    async def goes_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("the other")

    with pytest.raises(PaymentRequiredError):
        asyncio.run(all_of([goes_on(), fails()]))
    assert ended == ["the other"]


def test_scores_are_computed_one_at_a_time_also_for_callers_who_left(toy: ToyService) -> None:
    began, go_on, at_work, most = threading.Semaphore(0), threading.Event(), 0, 0

    def score(tokens: Sequence[int], top: int) -> list[Any]:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        began.release()
        go_on.wait(60)
        at_work -= 1
        return [TokenScore(token, None) for token in tokens]

    toy.network.own_weights = SimpleNamespace(are_here=True, load=lambda: None, score=score)

    async def work() -> None:
        for _ in range(3):
            task = asyncio.create_task(score_prompt(toy, CALLER, [1, 2]))
            if at_work == 0:
                await asyncio.to_thread(began.acquire, timeout=60)
            else:
                while len(toy.accounts.reservations) < 2:
                    await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        last = asyncio.create_task(score_prompt(toy, CALLER, [1, 2]))
        go_on.set()
        assert [one.token for one in await last] == [1, 2]
        await toy.service.close()

    asyncio.run(work())
    assert most == 1
    assert all(one.is_over and one.bill is None for one in toy.accounts.reservations.values())


def test_whoever_could_not_pay_an_answer_has_nothing_scored(toy: ToyService, monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[Any] = []
    toy.network.own_weights = SimpleNamespace(
        are_here=True, load=lambda: None, score=lambda *words: scored.append(words)
    )
    wanted: list[int] = []

    async def refuse(caller: Caller, answer: str, wei: int) -> Any:
        wanted.append(wei)
        raise PaymentRequiredError("no credit", advice="Deposit.")

    async def work() -> None:
        await toy.service.refresh_prices()
        with pytest.raises(PaymentRequiredError):
            await score_prompt(toy, CALLER, [1, 2, 3])
        await toy.service.close()

    monkeypatch.setattr(toy.accounts, "reserve", refuse)
    asyncio.run(work())
    assert (scored, wanted) == ([], [3 * PRICE])


def test_audits_that_were_bought_are_billed(toy: ToyService) -> None:
    async def work() -> Any:
        running = await toy.service.generate(CALLER, GenerationRequest(MODEL, (3, 14, 15), 20))
        _ = [piece async for piece in running]
        await toy.service.close()
        return running

    running, settings = asyncio.run(work()), GatewaySettings()
    before = bill_of(running, running.answer, PRICE, settings)
    audit = AuditResult(0, 5, "0xNode", "0xAuditor", 100, agreed=True)
    audited = replace(running.answer, audits=(audit,))
    assert bill_of(running, audited, PRICE, settings) == Bill(before.nodes_wei + 90, before.vault_wei + 10)
