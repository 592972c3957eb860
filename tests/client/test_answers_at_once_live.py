"""Four answers at once in one session of real nodes: the text of one after the other, and every wei accounted for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from nexus_chain.client.answer import Answer
from nexus_chain.client.order import AskOptions
from nexus_chain.client.session import Session
from nexus_chain.evidence.verify import verify_proof
from tests.support.live_network import PRICE, LiveNetwork, live_network

PROMPTS = ("def fib(n):", "return n", "n n n n", "def f(n):\n    return n\n")
TOKENS = 40
OPTIONS = AskOptions(TOKENS, audit_rate=0.0)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    with live_network(tmp_path_factory.mktemp("live")) as made:
        yield made


def asked_at_once(session: Session, prompts: Sequence[str]) -> list[Answer]:
    """The answers, begun together and read by a thread each."""
    gate = threading.Barrier(len(prompts))

    def ask(prompt: str) -> Answer:
        stream = session.start(prompt, OPTIONS)
        gate.wait()
        return stream.result()

    with ThreadPoolExecutor(len(prompts)) as pool:
        return list(pool.map(ask, prompts))


def test_four_at_once_equal_four_in_turn_and_what_is_receipted_is_what_is_billed(live: LiveNetwork) -> None:
    client = live.client()
    session, _ = client.open_session(live.version, live.files, tokens=1000)
    at_once = asked_at_once(session, PROMPTS)
    in_turn = [session.start(prompt, OPTIONS).result() for prompt in PROMPTS]
    for prompt, one, other in zip(PROMPTS, at_once, in_turn, strict=True):
        assert list(one.tokens) == live.expected(prompt, TOKENS)
        assert (one.tokens, one.text, one.cost_wei) == (other.tokens, other.text, other.cost_wei)
        assert verify_proof(one.proof, live.model).passed
        assert one.failovers == ()
    positions = sum(len(live.files.codec.encode(prompt)) + TOKENS - 1 for prompt in PROMPTS)
    lines = client.store.lines(session.id)
    assert sum(answer.cost_wei for answer in at_once) == 2 * PRICE * positions
    assert {line.used for line in lines.values()} == {2 * PRICE * positions}
    for node, line in lines.items():
        assert line.used <= line.promised < line.cap
        assert session.money.purse.commitment(node) == line.used


def test_one_is_cancelled_and_a_node_dies_while_others_run(live: LiveNetwork) -> None:
    client = live.client()
    session, _ = client.open_session(live.version, live.files, tokens=1000)
    streams = [session.start(prompt, OPTIONS) for prompt in PROMPTS]
    for stream in streams:
        next(stream)
    streams[0].cancel()
    victim = next(node for node in live.nodes[1] if node.address in client.store.lines(session.id))
    victim.kill()
    with ThreadPoolExecutor(len(streams)) as pool:
        answers = list(pool.map(lambda stream: stream.result(), streams))
    for prompt, answer in zip(PROMPTS[1:], answers[1:], strict=True):
        assert list(answer.tokens) == live.expected(prompt, TOKENS)
        assert [event.failed for event in answer.failovers] == [victim.address]
        assert verify_proof(answer.proof, live.model).passed
    assert list(answers[0].tokens) == live.expected(PROMPTS[0], TOKENS)[: len(answers[0].tokens)]
    assert len(answers[0].tokens) < TOKENS
    lines = client.store.lines(session.id)
    assert all(line.used <= line.promised < line.cap for line in lines.values())
    (spare,) = [line for node, line in lines.items() if node in {n.address for n in live.nodes[1]} - {victim.address}]
    orders = [client.store.order(digest) for digest in client.store.order_digests(session.id)]
    receipts = [receipt for order in orders for receipt, _ in order.receipts]
    assert spare.used == sum(receipt.price for receipt in receipts if receipt.node == spare.node)
    live.start_all()
    assert "".join(session.start(PROMPTS[0], AskOptions(3, audit_rate=0.0)))
