"""Sessions of a pool: opened when they are needed, shared, renewed, closed, settled, and found again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.chain.errors import UnfundedWalletError
from nexus_chain.client import pool as pool_module
from nexus_chain.client.client import Client
from nexus_chain.client.errors import CapTooLowError, SessionStateError
from nexus_chain.client.order import AskOptions
from nexus_chain.client.pool import PoolPolicy, SessionPool
from nexus_chain.client.store import CLOSED, SETTLED
from nexus_chain.routing.errors import NoNodeForLayersError
from tests.support.toy_market import USER, WINDOW, ToyWorld
from tests.support.toy_network import expected_tokens

PROMPT = "question"
OPTIONS = AskOptions(max_tokens=20, audit_rate=0.0)
POLICY = PoolPolicy(tokens=1_000, seconds=3_600, sessions=2, answers=4, low=0.2)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToyWorld:
    ToyWorld.stand_for_the_chain(monkeypatch)
    monkeypatch.setattr(pool_module, "UPKEEP_SECONDS", 3_600.0)  # when a test says so, or an answer waits
    return ToyWorld(tmp_path)


@pytest.fixture
def client(world: ToyWorld) -> Iterator[Client]:
    with world.client() as made:
        yield made


def pool_of(world: ToyWorld, client: Client, policy: PoolPolicy = POLICY) -> SessionPool:
    files: Any = world.files
    return SessionPool(client, world.version, files, policy)


def expected(count: int = 20) -> str:
    prompt = [ord(one) % 101 for one in PROMPT]
    return "".join(f"{token} " for token in expected_tokens(prompt, count, 2))


def test_money_is_locked_when_the_first_answer_needs_it(world: ToyWorld, client: Client) -> None:
    with pool_of(world, client) as pool:
        assert world.market.calls == []
        answer = pool.ask(PROMPT, OPTIONS)
        assert world.market.calls == []
        assert "".join(answer) == expected()
        assert world.market.calls == ["open"]
        assert "".join(pool.ask(PROMPT, OPTIONS)) == expected()
        assert world.market.calls == ["open"]
        assert answer.result().cost_wei == 2 * 10 * (len(PROMPT) + 19)


def test_answers_at_once_share_a_session_and_their_sum_is_billed(world: ToyWorld, client: Client) -> None:
    """All are under way before any of them ends."""
    together = threading.Barrier(4)
    met = threading.local()

    def meet() -> None:
        if not getattr(met, "once", False):
            met.once = True
            together.wait(60)

    with pool_of(world, client) as pool, ThreadPoolExecutor(4) as threads:
        pool.prepare()
        world.slow = meet
        answers = [pool.ask(PROMPT, OPTIONS) for _ in range(4)]
        texts = list(threads.map("".join, answers))
        assert texts == [expected()] * 4
        (session,) = pool.sessions
        for node, line in client.store.lines(session.id).items():
            billed = sum(r.price for one in answers for r, _ in one.result().proof.receipts if r.node == node)
            assert billed == line.used == world.ledgers(session.id)[node].computed
            assert world.ledgers(session.id)[node].paid == line.promised
            assert line.used <= line.promised < line.cap


def test_a_session_that_is_used_up_is_topped_up_before_answers_wait(world: ToyWorld, client: Client) -> None:
    with pool_of(world, client, PoolPolicy(tokens=100, low=0.5)) as pool:
        for _ in range(6):
            assert "".join(pool.ask(PROMPT, OPTIONS)) == expected()
            pool.maintain()
        assert set(world.market.calls) == {"open", "allot"}
        assert len(pool.sessions) == 1


def test_an_answer_larger_than_the_policy_gets_its_money(world: ToyWorld, client: Client) -> None:
    with pool_of(world, client, PoolPolicy(tokens=10, low=0.1)) as pool:
        assert "".join(pool.ask(PROMPT, AskOptions(max_tokens=80, audit_rate=0.0))) == expected(80)
        assert "".join(pool.ask(PROMPT, AskOptions(max_tokens=90, audit_rate=0.0))) == expected(90)


def test_who_waits_is_told_why_there_is_no_money(world: ToyWorld, client: Client) -> None:
    with pool_of(world, client) as pool:
        world.market.refuses = UnfundedWalletError(USER, 1, 2)
        with pytest.raises(UnfundedWalletError):
            list(pool.ask(PROMPT, OPTIONS))
        world.market.refuses = None
        assert "".join(pool.ask(PROMPT, OPTIONS)) == expected()


def test_nobody_opens_a_session_with_nodes_that_are_not_there(world: ToyWorld, client: Client) -> None:
    for node in world.facts.registered[2:]:
        node.dies_after = -1
    with pool_of(world, client) as pool, pytest.raises(NoNodeForLayersError):
        list(pool.ask(PROMPT, OPTIONS))
    assert world.market.calls == []


def test_a_full_session_makes_the_pool_open_another_up_to_its_limit(world: ToyWorld, client: Client) -> None:
    with pool_of(world, client, PoolPolicy(tokens=1_000, sessions=2, answers=1)) as pool:
        held = [iter(pool.ask(PROMPT, OPTIONS)) for _ in range(2)]
        assert [next(one) for one in held] == [expected().split()[0] + " "] * 2
        assert len(pool.sessions) == 2
        with ThreadPoolExecutor(1) as threads:
            third = threads.submit("".join, pool.ask(PROMPT, OPTIONS))
            assert wait([third], 0.2).not_done
            "".join(held[0])
            assert third.result(60) == expected()
        "".join(held[1])
        assert world.market.calls == ["open", "open"]


def test_an_old_session_is_replaced_closed_and_settled(world: ToyWorld, client: Client) -> None:
    with pool_of(world, client) as pool:
        pool.prepare()
        (old,) = pool.sessions
        under_way = iter(pool.ask(PROMPT, OPTIONS))
        first = next(under_way)
        world.market.ahead += POLICY.seconds - POLICY.last_seconds
        client.user.nodes.refresh()  # type: ignore[attr-defined]
        pool.maintain()
        assert world.market.calls == ["open", "open"]
        assert old not in pool.sessions
        assert first + "".join(under_way) == expected()  # what had begun is not disturbed
        pool.maintain()
        assert world.market.calls == ["open", "open", "close"]
        assert old.record.state == CLOSED
        pool.maintain()
        assert world.market.calls == ["open", "open", "close"]
        world.market.ahead += WINDOW + 1
        client.user.nodes.refresh()  # type: ignore[attr-defined]
        pool.maintain()
        assert world.market.calls == ["open", "open", "close", "settle"]
        assert old.record.state == SETTLED


def test_a_pool_that_starts_again_goes_on_with_its_sessions(world: ToyWorld) -> None:
    with world.client() as first, pool_of(world, first) as pool:
        "".join(pool.ask(PROMPT, OPTIONS))
        (session,) = pool.sessions
    with world.client() as second, pool_of(world, second) as pool:
        assert [one.id for one in pool.sessions] == [session.id]
        assert "".join(pool.ask(PROMPT, OPTIONS)) == expected()
        assert world.market.calls == ["open"]
        pool.close(end_sessions=True)
        assert world.market.calls == ["open", "close"]
    world.market.ahead += WINDOW + 1
    with world.client() as third, pool_of(world, third) as pool:
        pool.maintain()
        assert world.market.calls == ["open", "close", "settle"]
        assert pool.sessions == []


def test_a_session_that_another_program_closed_is_given_up(world: ToyWorld, client: Client) -> None:
    with pool_of(world, client) as pool:
        pool.prepare()
        (session,) = pool.sessions
        world.market.close(session.id)
        client.user.nodes.refresh()  # type: ignore[attr-defined]
        assert "".join(pool.ask(PROMPT, OPTIONS)) == expected()
        assert [one.id for one in pool.sessions] != [session.id]
        assert world.market.calls == ["open", "close", "open"]


def test_a_session_that_another_program_uses_is_left_to_it(world: ToyWorld) -> None:
    with world.client() as first, pool_of(world, first) as theirs:
        under_way = iter(theirs.ask(PROMPT, OPTIONS))
        shown = next(under_way)
        with world.client() as second, pool_of(world, second) as ours:
            assert "".join(ours.ask(PROMPT, OPTIONS)) == expected()
            ours.close(end_sessions=True)
        assert world.market.calls == ["open", "open", "close"]
        assert shown + "".join(under_way) == expected()


def test_a_killed_node_costs_no_answer(world: ToyWorld, client: Client) -> None:
    with pool_of(world, client) as pool:
        pool.prepare()
        (session,) = pool.sessions
        serving = client.store.lines(session.id)
        under_way = iter(pool.ask(PROMPT, AskOptions(max_tokens=90, audit_rate=0.0)))
        shown = next(under_way)
        next(node for node in world.facts.registered if node.address in serving).dies_after = -1
        assert shown + "".join(under_way) == expected(90)
        assert "".join(pool.ask(PROMPT, OPTIONS)) == expected()


def test_a_cancelled_answer_gives_its_place_back(world: ToyWorld, client: Client) -> None:
    with pool_of(world, client, PoolPolicy(tokens=1_000, answers=1, sessions=1)) as pool:
        answer = pool.ask(PROMPT, OPTIONS)
        pieces = iter(answer)
        first = next(pieces)
        answer.cancel()
        rest = "".join(pieces)
        assert expected().startswith(first + rest)
        assert len(answer.result().tokens) < 20
        assert "".join(pool.ask(PROMPT, OPTIONS)) == expected()
        never = pool.ask(PROMPT, OPTIONS)
        never.cancel()
        assert "".join(never) == ""


def test_an_answer_that_waits_for_a_place_can_be_cancelled(world: ToyWorld, client: Client) -> None:
    with (
        pool_of(world, client, PoolPolicy(tokens=1_000, answers=1, sessions=1)) as pool,
        ThreadPoolExecutor(1) as threads,
    ):
        held = iter(pool.ask(PROMPT, OPTIONS))
        shown = next(held)
        waiting = pool.ask(PROMPT, OPTIONS)
        done = threads.submit("".join, waiting)
        assert wait([done], 0.1).not_done
        waiting.cancel()
        assert done.result(60) == ""
        assert shown + "".join(held) == expected()


def test_a_closed_pool_starts_nothing(world: ToyWorld, client: Client) -> None:
    pool = pool_of(world, client)
    pool.close()
    with pytest.raises(SessionStateError, match="closed"):
        list(pool.ask(PROMPT, OPTIONS))
    with pytest.raises(SessionStateError, match="not begun"):
        pool.ask(PROMPT, OPTIONS).result()


def test_money_that_others_took_is_looked_for_elsewhere(
    world: ToyWorld, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pool_of(world, client) as pool:
        pool.prepare()
        (session,) = pool.sessions

        def refuse(*_: object) -> None:
            raise CapTooLowError("taken", advice="Wait.")

        monkeypatch.setattr(session, "start", refuse)
        with pytest.raises(CapTooLowError, match="no session has money"):
            list(pool.ask(PROMPT, OPTIONS))


def grow_old(world: ToyWorld, *clients: Client) -> None:
    """Let so much time pass that sessions are not asked in any more."""
    world.market.ahead += POLICY.seconds - POLICY.last_seconds
    for client in clients:
        client.user.nodes.refresh()  # type: ignore[attr-defined]


def test_a_session_is_not_closed_while_another_program_asks_in_it(world: ToyWorld) -> None:
    with world.client() as first, pool_of(world, first) as theirs:
        under_way = iter(theirs.ask(PROMPT, OPTIONS))
        shown = next(under_way)
        with world.client() as second, pool_of(world, second) as ours:
            grow_old(world, first, second)
            ours.maintain()
            ours.close(end_sessions=True)
        assert world.market.calls == ["open"]
        assert shown + "".join(under_way) == expected()
        theirs.maintain()
        assert world.market.calls == ["open", "close"]


def test_what_another_program_closed_is_not_closed_again_and_is_settled(world: ToyWorld, client: Client) -> None:
    with pool_of(world, client) as pool:
        pool.prepare()
        (session,) = pool.sessions
        world.market.close(session.id)
        grow_old(world, client)
        pool.maintain()
        assert world.market.calls == ["open", "close", "settle"]
        assert session.record.state == SETTLED


def test_whoever_waits_while_others_take_the_money_gets_more(world: ToyWorld, client: Client) -> None:
    """Each time that money is locked, it is enough for one or two of them."""
    count = 12
    with (
        pool_of(world, client, PoolPolicy(tokens=10, low=0.1, answers=32)) as pool,
        ThreadPoolExecutor(count) as threads,
    ):
        options = AskOptions(max_tokens=80, audit_rate=0.0)
        texts = list(threads.map(lambda _: "".join(pool.ask(PROMPT, options)), range(count)))
    assert texts == [expected(80)] * count


def test_token_ids_are_asked_as_they_are(world: ToyWorld, client: Client) -> None:
    with pool_of(world, client) as pool:
        tokens = [ord(one) % 101 for one in PROMPT]
        answer = pool.ask(tokens, OPTIONS)
        assert "".join(answer) == expected()
        assert list(answer.result().proof.tokens[: len(tokens)]) == tokens
