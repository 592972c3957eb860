"""Sixteen answers at once from real nodes: the same bits as one after the other, and nobody waits for chain or dial."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nexus_chain.chain.earnings import sum_settlements
from nexus_chain.client.order import AskOptions
from nexus_chain.client.pool import PoolPolicy
from nexus_chain.workflows.connected import AsyncNetwork, Network, connect_network
from tests.support.live_network import LiveNetwork, live_network

COUNT, TOKENS = 16, 40
PROMPTS = [f"def f{number}(n):" for number in range(COUNT)]
OPTIONS = AskOptions(max_tokens=TOKENS, audit_rate=0.0)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    with live_network(tmp_path_factory.mktemp("live")) as made:
        yield made


@pytest.fixture(scope="module")
def network(live: LiveNetwork) -> Iterator[Network]:
    with connect_network(
        rpc=live.net.chain.rpc_url,
        deployment=live.net.deployment_path,
        home=live.folder / "pool",
        model_dir=live.folder / "model",
        wallet=live.user,
        version=live.version.hex(),
        policy=PoolPolicy(tokens=8_192, low=0.1),
        answers=COUNT,
    ) as made:
        yield made


@pytest.fixture(scope="module")
def alone(live: LiveNetwork) -> list[list[int]]:
    """What the program itself answers."""
    return [live.expected(prompt, TOKENS) for prompt in PROMPTS]


class RequestsOfAnswers:
    """Counts what threads that work on answers ask of the chain."""

    def __init__(self, network: Network) -> None:
        self.count = 0
        provider: Any = network.client.contracts.connection.provider
        provider._post = self._counted(provider._post)

    def _counted(self, request: Callable[..., Any]) -> Callable[..., Any]:
        def count(*words: Any, **more: Any) -> Any:
            self.count += threading.current_thread().name.startswith("nexus-answer")
            return request(*words, **more)

        return count


async def tokens_of(network: AsyncNetwork, prompt: str) -> list[int]:
    return list((await network.ask(prompt, OPTIONS)).tokens)


async def all_at_once(network: AsyncNetwork) -> list[list[int]]:
    return await asyncio.gather(*(tokens_of(network, prompt) for prompt in PROMPTS))


def test_the_same_bits_at_once_without_a_dial_or_a_read(network: Network, alone: list[list[int]]) -> None:
    async def one_after_the_other() -> list[list[int]]:
        return [await tokens_of(network.aio, prompt) for prompt in PROMPTS[:4]]

    assert asyncio.run(one_after_the_other()) == alone[:4]
    network.directory.refresh()
    requests = RequestsOfAnswers(network)
    before = network.directory.reads, network.directory.connections.dials
    assert asyncio.run(all_at_once(network.aio)) == alone
    assert (network.directory.reads, network.directory.connections.dials) == before
    assert requests.count == 0
    assert len(network.pool.sessions) == 1


def test_a_node_killed_in_between_costs_no_answer(live: LiveNetwork, network: Network, alone: list[list[int]]) -> None:
    (session,) = network.pool.sessions
    lines = network.client.store.lines(session.id)
    victim = next(node for node in live.nodes[1] if node.address in lines)
    begun = threading.Semaphore(0)

    async def ask(prompt: str) -> list[int]:
        answer = network.aio.ask(prompt, OPTIONS)
        async for _ in answer:
            begun.release()
        return list((await answer.result()).tokens)

    async def with_a_kill() -> list[list[int]]:
        tasks = [asyncio.ensure_future(ask(prompt)) for prompt in PROMPTS]
        await asyncio.to_thread(lambda: [begun.acquire() for _ in range(COUNT)])
        victim.kill()
        return await asyncio.gather(*tasks)

    assert asyncio.run(with_a_kill()) == alone
    live.start(victim)
    network.directory.refresh()


def test_half_of_them_cancelled_and_every_wei_is_accounted_for(
    live: LiveNetwork, network: Network, alone: list[list[int]]
) -> None:
    async def with_half_cancelled() -> list[list[int] | BaseException]:
        tasks = [asyncio.ensure_future(tokens_of(network.aio, prompt)) for prompt in PROMPTS]
        await asyncio.sleep(0.2)
        for task in tasks[::2]:
            task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(with_half_cancelled())
    assert found[1::2] == alone[1::2]
    for number in range(0, COUNT, 2):  # cancelled, or done before that
        assert isinstance(found[number], asyncio.CancelledError) or found[number] == alone[number]

    sessions, store, contracts = network.pool.sessions, network.client.store, network.client.contracts
    locked = billed_in_all = 0
    for session in sessions:
        orders = [store.order(digest) for digest in store.order_digests(session.id)]
        for record in orders:
            prompt = record.tokens[: record.prompt_length]
            expected = alone[PROMPTS.index(live.files.codec.decode(prompt))]
            assert list(record.tokens[record.prompt_length :]) == expected[: len(record.tokens) - record.prompt_length]
        for node, line in store.lines(session.id).items():
            billed = sum(receipt.price for record in orders for receipt, _ in record.receipts if receipt.node == node)
            assert billed <= line.used <= line.promised < line.cap
            locked, billed_in_all = locked + line.cap, billed_in_all + billed
    promised = sum(line.promised for session in sessions for line in store.lines(session.id).values())
    for session in sessions:
        session.close()
    for node in (node for group in live.nodes for node in group):
        assert node.run("withdraw").returncode == 0  # posts what it was promised
    live.net.chain.advance(61)
    for session in sessions:
        session.settle()
    sums = [sum_settlements(contracts, session=session.id) for session in sessions]
    paid = sum(one.to_nodes + one.to_vault for one in sums)
    assert paid + sum(one.to_users for one in sums) == locked
    assert 0 < billed_in_all <= paid == promised
    assert network.withdraw()[0] == sum(one.to_users for one in sums)
