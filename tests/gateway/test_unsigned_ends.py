"""Answers whose end no node signs: whoever was given them pays, and the node that refused has a worse name for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from nexus_chain.client import answer_stream, replacement
from nexus_chain.client.answer_threads import AnswerThreads
from nexus_chain.routing.route import RoutePolicy
from nexus_chain.wire.errors import NodeRefusedError, NodeUnreachableError, PeerError
from node.gateway.accounts import ANSWER, READ, Caller
from node.gateway.app import build_app
from node.gateway.delivery import begun_pieces, whole_text
from node.gateway.deps import Deps
from node.gateway.errors import UnavailableError
from node.gateway.generation import GenerationRequest
from node.gateway.settings import GatewaySettings
from tests.support.gateway_server import served
from tests.support.toy_market import AnySessionPeer, ToyWorld
from tests.support.toy_network import ToyOrder, ToyPeer, expected_tokens
from tests.support.toy_service import KEY, MODEL, PRICE, ToyService, run_service, toy_service
from tests.support.waiting import wait_until

CALLER = Caller("0xAlice", frozenset({ANSWER, READ}))


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyService]:
    ToyWorld.stand_for_the_chain(monkeypatch)
    with toy_service(ToyWorld(tmp_path), tmp_path) as made:
        yield made


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

    run_service(toy, work)
    assert PRICE * 40 <= paid(toy) <= spent(toy)
    tracks = toy.network.pool.client.store.tracks()
    assert sum(track.failed for track in tracks.values()) >= 1, "the refusal was forgotten"


def test_a_caller_who_leaves_during_the_prompt_pays_it(toy: ToyService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Honest nodes that take longer than a leaving caller's answer waits for them: their work was asked for."""
    hung_up = hang_up_early(monkeypatch)
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
        running.note_leaving()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_service(toy, work)
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

    run_service(toy, work)
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

    tokens = run_service(toy, work)
    assert tokens > 32
    assert paid(toy) >= PRICE * (3 + tokens - 1)


def hang_up_early(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Callers who leave wait for no node; set once one has hung up on its nodes."""
    monkeypatch.setattr(answer_stream, "PATIENCE_SECONDS", 0.05)
    hung_up, honest = threading.Event(), answer_stream.AnswerStream._hang_up
    monkeypatch.setattr(answer_stream.AnswerStream, "_hang_up", lambda stream: (honest(stream), hung_up.set()))
    return hung_up


def before_rows(monkeypatch: pytest.MonkeyPatch, what: Callable[[ToyPeer, ToyOrder, int], PeerError | None]) -> None:
    """``what`` happens before a node gets rows from a position on, and may be the error that it answers."""
    honest = AnySessionPeer.begin_forward

    def begin_forward(peer: AnySessionPeer, digest: bytes, start: int, *rows: Any, **more: Any) -> Any:
        error = what(peer._peer, peer._peer.node.orders[digest], start)
        if error is None:
            return honest(peer, digest, start, *rows, **more)

        def fail() -> None:
            raise error

        return fail

    monkeypatch.setattr(AnySessionPeer, "begin_forward", begin_forward)


def gone() -> PeerError:
    return NodeUnreachableError("gone", advice="Use another.")


def test_one_outage_of_an_honest_node_does_not_exclude_it(toy: ToyService, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only node of its segment restarts while it serves eight answers."""
    monkeypatch.setattr(replacement, "RECONNECT_SECONDS", 0.0)
    del toy.world.facts.registered[3]
    toy.network.aio.threads = threads = AnswerThreads(8)
    down = threading.Event()

    def restart(peer: ToyPeer, order: ToyOrder, start: int) -> PeerError | None:
        if start >= 200:
            down.set()
        return gone() if down.is_set() and order.segment == 1 else None

    before_rows(monkeypatch, restart)

    async def one() -> None:
        running = await toy.service.generate(CALLER, ask(2, 300))
        with pytest.raises(UnavailableError):
            await whole_text(running)

    async def work() -> None:
        await asyncio.gather(*(one() for _ in range(8)))

    run_service(toy, work)
    threads.close()
    name = toy.network.pool.client.store.book().of(toy.world.facts.registered[2].address)
    assert name >= RoutePolicy().minimum_reputation


def test_a_whole_answer_costs_what_its_receipts_bill(toy: ToyService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a node was replaced, and the price in another session is higher than the order's."""
    toy.network.wei_per_token = lambda: 2 * PRICE
    died: set[str] = set()

    def die(peer: ToyPeer, order: ToyOrder, start: int) -> PeerError | None:
        if order.segment == 0 and start >= 100 and not died:
            died.add(peer.contact.address)
        return gone() if peer.contact.address in died else None

    before_rows(monkeypatch, die)

    async def work() -> Any:
        running = await toy.service.generate(CALLER, ask(40, 150))
        _ = [piece async for piece in await begun_pieces(running)]
        return running

    running = run_service(toy, work)
    assert running.answer.failovers
    assert spent(toy) > paid(toy), "nothing was written off, which a higher price would bill"
    assert paid(toy) == sum(receipt.price for receipt, _ in running.answer.proof.receipts)


def test_nothing_is_paid_without_evidence(toy: ToyService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller leaves while nodes compute the prompt: no receipt, and all the same a bill."""
    hung_up, reached = hang_up_early(monkeypatch), threading.Event()

    def hang(peer: ToyPeer, order: ToyOrder, start: int) -> PeerError | None:
        reached.set()
        hung_up.wait(20)
        return gone()

    before_rows(monkeypatch, hang)

    async def work() -> dict[str, Any]:
        running = await toy.service.generate(CALLER, ask(100, 200))
        task = asyncio.create_task(whole_text(running))
        await asyncio.to_thread(reached.wait, 20)
        running.note_leaving()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await running.aclose()
        return await toy.evidence.receipts(CALLER, running.id)

    kept = run_service(toy, work)
    assert (kept["receipts"], kept["cost_wei"]) == ([], str(paid(toy)))
    assert paid(toy) > 0


def test_a_part_that_the_gateway_ends_costs_its_receipts_alone(
    toy: ToyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One prompt of a request is refused, so the other is ended while nodes compute its prompt."""
    refused, ended = [1, 2, 3], list(range(4, 94))
    hung_up, reached = hang_up_early(monkeypatch), threading.Event()

    def refuse(peer: ToyPeer, order: ToyOrder, start: int) -> PeerError | None:
        if order.prompt == ended:
            reached.set()
            hung_up.wait(20)
            return gone()
        if order.prompt == refused and order.segment == 1 and start >= len(refused):
            reached.wait(20)
            return NodeRefusedError("no", advice="Use another.", error_name="OrderError")
        return None

    before_rows(monkeypatch, refuse)
    app = build_app(Deps(toy.service, toy.accounts, evidence=toy.evidence, metrics=toy.metrics), GatewaySettings())
    with served(app) as url:
        body = {"model": MODEL, "prompt": [refused, ended], "max_tokens": 100}
        headers = {"authorization": f"Bearer {KEY}"}
        assert httpx.post(f"{url}/v1/completions", json=body, headers=headers, timeout=60).status_code == 503
        wait_until(lambda: all(one.is_over for one in toy.accounts.reservations.values()))
    assert paid(toy) == 0
