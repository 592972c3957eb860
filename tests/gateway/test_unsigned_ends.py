"""Answers whose end no node signs: whoever was given them pays, and the node that refused has a worse name for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from nexus_chain.client import answer_stream
from nexus_chain.routing.route import RoutePolicy
from nexus_chain.wire.errors import NodeRefusedError
from node.gateway.accounts import ANSWER, READ, Caller
from node.gateway.app import build_app
from node.gateway.delivery import begun_pieces, whole_text
from node.gateway.deps import Deps
from node.gateway.errors import UnavailableError
from node.gateway.generation import GenerationRequest
from node.gateway.settings import GatewaySettings
from tests.support.gateway_server import served
from tests.support.toy_market import ToyWorld
from tests.support.toy_network import ToyPeer, expected_tokens
from tests.support.toy_service import KEY, MODEL, PRICE, ToyService, toy_service
from tests.support.waiting import wait_until

CALLER = Caller("0xAlice", frozenset({ANSWER, READ}))
Found = TypeVar("Found")


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyService]:
    ToyWorld.stand_for_the_chain(monkeypatch)
    with toy_service(ToyWorld(tmp_path), tmp_path) as made:
        yield made


def run(toy: ToyService, work: Callable[[], Awaitable[Found]]) -> Found:
    async def whole() -> Found:
        try:
            return await work()
        finally:
            await toy.service.close()
            await toy.evidence.close()

    return asyncio.run(whole())


def ask(prompt: int, tokens: int) -> GenerationRequest:
    return GenerationRequest(model=MODEL, prompt=tuple(range(prompt)), max_tokens=tokens)


def paid(toy: ToyService) -> int:
    return sum(one.bill.total_wei for one in toy.accounts.reservations.values() if one.bill is not None)


def spent(toy: ToyService) -> int:
    """Wei that nodes may bill, or wrote off, over all sessions."""
    store = toy.network.pool.client.store
    return sum(line.used for record in store.sessions() for line in store.lines(record.id).values())


def refuse_receipts(toy: ToyService) -> None:
    """Nodes of the first segment sign nothing."""
    for node in toy.world.facts.registered[:2]:
        node.signs = False


@pytest.mark.parametrize("read", [1, 3])
def test_a_reader_who_leaves_pays_though_the_node_signs_nothing(toy: ToyService, read: int) -> None:
    refuse_receipts(toy)

    async def work() -> None:
        running = await toy.service.generate(CALLER, ask(40, 200))
        pieces = await begun_pieces(running)
        for _ in range(read):
            await anext(pieces)
        await running.aclose()

    run(toy, work)
    assert PRICE * 40 <= paid(toy) <= spent(toy)
    tracks = toy.network.pool.client.store.tracks()
    assert sum(track.failed for track in tracks.values()) >= 1, "the refusal was forgotten"


def test_a_caller_who_leaves_during_the_prompt_pays_it(toy: ToyService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Honest nodes that take longer than a leaving caller's answer waits for them: their work was asked for."""
    monkeypatch.setattr(answer_stream, "PATIENCE_SECONDS", 0.05)
    hung_up = threading.Event()
    honest = answer_stream.AnswerStream._hang_up
    monkeypatch.setattr(answer_stream.AnswerStream, "_hang_up", lambda stream: (honest(stream), hung_up.set()))
    messages: list[int] = []
    reached = threading.Event()

    def hold() -> None:
        messages.append(1)
        if len(messages) == 2:  # the order, then the prompt's rows
            reached.set()
            hung_up.wait(20)

    async def work() -> None:
        running = await toy.service.generate(CALLER, ask(100, 200))
        toy.world.slow = hold

        async def read() -> None:
            async for _ in running:
                pass

        task = asyncio.create_task(read())
        await asyncio.to_thread(reached.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(toy, work)
    assert 0 < paid(toy) <= spent(toy)
    assert not any(track.failed for track in toy.network.pool.client.store.tracks().values()), "it was at work"


def test_an_answer_that_a_text_ends_is_paid_though_the_node_signs_nothing(toy: ToyService) -> None:
    refuse_receipts(toy)
    prompt = list(range(60))
    stop = f"{expected_tokens(prompt, 4, 2)[-1]} "
    body: dict[str, Any] = {"model": MODEL, "prompt": prompt, "max_tokens": 100, "stop": stop}
    app = build_app(Deps(toy.service, toy.accounts, evidence=toy.evidence, metrics=toy.metrics), GatewaySettings())
    with served(app) as url:
        headers = {"authorization": f"Bearer {KEY}"}
        response = httpx.post(f"{url}/v1/completions", json=body, headers=headers, timeout=60)
        assert response.status_code == 200
        assert response.json()["choices"][0]["finish_reason"] == "stop"
        wait_until(lambda: paid(toy) > 0)  # it is booked while its reader reads
        assert int(response.headers["x-nexus-cost-wei"]) == paid(toy) >= PRICE * 60


def test_a_node_that_ends_answers_when_it_likes_gets_no_more_of_them(
    toy: ToyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It signs what it is paid for, then says that it is busy: the caller, who wanted the whole, pays nothing."""
    honest = ToyPeer.forward

    def busy_later(peer: ToyPeer, digest: bytes, start: int, *rows: Any, **more: Any) -> Any:
        order = peer.node.orders[digest]
        if order.segment == 1 and start >= 130 and start == order.closed:
            raise NodeRefusedError("no room", advice="Use another.", error_name="BusyError")
        return honest(peer, digest, start, *rows, **more)

    monkeypatch.setattr(ToyPeer, "forward", busy_later)

    async def work() -> None:
        for _ in range(6):
            running = await toy.service.generate(CALLER, ask(2, 300))
            with pytest.raises(UnavailableError):
                await whole_text(running)

    run(toy, work)
    assert paid(toy) == 0
    store = toy.network.pool.client.store
    tracks = [store.track(node.address) for node in toy.world.facts.registered[2:]]
    signers = [track for track in tracks if track.verified]
    assert signers
    assert all(track.failed > track.verified for track in signers), tracks
    names = [store.book().of(node.address) for node in toy.world.facts.registered[2:]]
    assert min(names) < RoutePolicy().minimum_reputation, "it would get more orders"


def test_tokens_that_give_no_text_yet_are_paid_too(toy: ToyService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that fails, of a codec whose characters have three tokens each."""

    class ThreeTokens:
        def __init__(self) -> None:
            self.held: list[int] = []

        def push(self, token: int) -> str:
            self.held.append(token)
            return self.finish() if len(self.held) == 3 else ""

        def finish(self) -> str:
            text, self.held = "".join(f"{token} " for token in self.held), []
            return text

    monkeypatch.setattr(toy.world.files.codec, "stream", ThreeTokens)
    left = iter(range(150))

    def gone_later() -> None:
        if next(left, None) is None:
            for node in toy.world.facts.registered[2:]:
                node.dies_after = -1

    async def work() -> int:
        running = await toy.service.generate(CALLER, ask(3, 200))
        toy.world.slow = gone_later
        read = ""
        try:
            async for piece in await begun_pieces(running):
                read += piece
        except UnavailableError:
            return len(read.split())
        raise AssertionError("it did not fail")

    tokens = run(toy, work)
    assert tokens > 32
    assert paid(toy) >= PRICE * (3 + tokens - 1)
