"""Answers with log-probabilities, and several of one request: nobody pays what could have been refused before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from nexus_chain.versions.errors import ModelFilesError
from node.gateway.accounts import Caller
from node.gateway.app import build_app
from node.gateway.delivery import PARTS_AT_ONCE
from node.gateway.deps import Deps
from node.gateway.errors import PaymentRequiredError
from node.gateway.generation import TokenScore
from node.gateway.settings import GatewaySettings
from tests.support.toy_market import ToyWorld
from tests.support.toy_service import KEY, MODEL, PRICE, ToyService, toy_service, toy_text

pytestmark = pytest.mark.fast

PROMPT = [3, 14, 15]
SCORED = {"max_tokens": 20, "logprobs": 1, "temperature": 0}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyService]:
    ToyWorld.stand_for_the_chain(monkeypatch)
    with toy_service(ToyWorld(tmp_path), tmp_path) as made:
        made.network.own_weights = SimpleNamespace(are_here=True, load=lambda: None, score=score_nothing)
        made.world.files.codec.tokenizer = SimpleNamespace(decode=lambda tokens, **_: str(tokens[0]))  # type: ignore[attr-defined]
        yield made


def score_nothing(tokens: Sequence[int], top: int) -> list[TokenScore]:
    return [TokenScore(token, None) for token in tokens]


def complete(toy: ToyService, prompt: Any, **words: Any) -> tuple[httpx.Response, list[httpx.Response]]:
    """The reply, and those at the addresses of its receipts."""
    headers = {"authorization": f"Bearer {KEY}"}
    app = build_app(Deps(toy.service, toy.accounts, evidence=toy.evidence, metrics=toy.metrics), GatewaySettings())

    async def send() -> tuple[httpx.Response, list[httpx.Response]]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            reply = await client.post(
                "/v1/completions", json={"model": MODEL, "prompt": prompt, **words}, headers=headers
            )
            kept = [path for path in reply.headers.get("x-nexus-receipts", "").split(", ") if path]
            found = [await client.get(path, headers=headers) for path in kept]
        await toy.service.close()
        await toy.evidence.close()
        return reply, found

    return asyncio.run(send())


def refuse(toy: ToyService, monkeypatch: pytest.MonkeyPatch, wei: int) -> None:
    """There is no credit for a reservation of that size."""
    honest = toy.accounts.reserve

    async def reserve(caller: Caller, answer: str, wanted: int) -> Any:
        if wanted == wei:
            raise PaymentRequiredError("no credit", advice="Deposit.")
        return await honest(caller, answer, wanted)

    monkeypatch.setattr(toy.accounts, "reserve", reserve)


def nothing_was_asked(toy: ToyService) -> bool:
    """Nobody pays, no reservation is left, and no node has worked."""
    over = all(one.is_over and one.bill is None for one in toy.accounts.reservations.values())
    return over and toy.world.market.calls == []


def test_an_answer_is_scored(toy: ToyService) -> None:
    asyncio.run(toy.service.refresh_prices())
    reply, (kept,) = complete(toy, PROMPT, **SCORED)
    (choice,) = reply.raise_for_status().json()["choices"]
    assert choice["text"] == toy_text(PROMPT, 20)
    assert len(choice["logprobs"]["tokens"]) == 20
    assert kept.status_code == 200
    assert all(one.is_over for one in toy.accounts.reservations.values())
    assert sorted(one.wei for one in toy.accounts.reservations.values()) == [PRICE * 22, PRICE * 23]


def test_scores_without_weights_are_refused_before_an_answer_is_paid(toy: ToyService) -> None:
    toy.network.own_weights = SimpleNamespace(are_here=False)
    reply, kept = complete(toy, PROMPT, **SCORED)
    assert (reply.status_code, reply.json()["error"]["param"], kept) == (400, "logprobs", [])
    assert nothing_was_asked(toy)


def test_scores_of_other_weights_are_refused_before_an_answer_is_paid(toy: ToyService) -> None:
    def load() -> None:
        raise ModelFilesError("they are not those registered on-chain", advice="Fetch them.")

    toy.network.own_weights.load = load
    reply, kept = complete(toy, PROMPT, **SCORED)
    assert (reply.is_error, kept) == (True, [])
    assert nothing_was_asked(toy)


def test_scores_without_credit_are_refused_before_an_answer_is_paid(
    toy: ToyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(toy.service.refresh_prices())
    refuse(toy, monkeypatch, PRICE * 23)
    reply, kept = complete(toy, PROMPT, **SCORED)
    assert (reply.status_code, kept) == (402, [])
    assert nothing_was_asked(toy)


@pytest.mark.parametrize("wrong", [[10_000], [], [1] * 500])
@pytest.mark.parametrize("more", [{}, {"logprobs": 1}])
def test_a_prompt_that_cannot_be_asked_is_refused_before_others_are_paid(
    toy: ToyService, wrong: list[int], more: dict[str, Any]
) -> None:
    many = [PROMPT] * PARTS_AT_ONCE
    reply, kept = complete(toy, [*many, *many, wrong], max_tokens=20, **more)
    assert (reply.status_code, kept) == (400, [])
    assert nothing_was_asked(toy)


def test_whole_answers_of_a_batch_that_fails_are_paid_and_their_evidence_is_named(
    toy: ToyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are whole: see ``answer_bills``. Their tokens are for their caller to fetch."""
    refuse(toy, monkeypatch, PRICE * 32)
    monkeypatch.setattr("node.gateway.routes.openai_completions.PARTS_AT_ONCE", 1)
    reply, kept = complete(toy, [PROMPT, list(range(13))], max_tokens=20)
    assert reply.status_code == 402
    (bill,) = [one.bill for one in toy.accounts.reservations.values() if one.bill is not None]
    (receipts,) = [one.json() for one in kept]
    assert receipts["cost_wei"] == str(bill.total_wei) == str(PRICE * 22)
    assert receipts["proof"]["tokens"][:3] == PROMPT
