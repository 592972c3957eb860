"""An answer cancelled from another thread ends at its next step: what was received is kept, and paid for once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.client import answer_stream
from nexus_chain.client.answer_stream import AnswerStream
from nexus_chain.client.errors import SessionStateError
from nexus_chain.client.order import AskOptions
from nexus_chain.client.session import Session
from tests.client.test_pipeline import SESSION, Network
from tests.support.toy_network import DOMAIN, ToyPeer, expected_tokens
from tests.support.toy_session import toy_session

PROMPT, TOKENS = [4, 4], 60
OPTIONS = AskOptions(TOKENS, audit_rate=0.0)


def in_thread(work: Callable[[], Any]) -> None:
    """Do it in another thread, to its end."""
    worker = threading.Thread(target=work)
    worker.start()
    worker.join()


def after_messages(monkeypatch: pytest.MonkeyPatch, count: int, work: Callable[[], Any]) -> None:
    """Another thread does ``work`` while the ``count``-th message of rows is at a node."""
    honest, left = ToyPeer.forward, [count]

    def forward(peer: ToyPeer, *given: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            in_thread(work)
        return honest(peer, *given, **more)

    monkeypatch.setattr(ToyPeer, "forward", forward)


def assert_all_is_kept(network: Network, stream: AnswerStream) -> None:
    """The answer is what was received; everything computed is receipted, and nothing else is paid for."""
    answer = stream.result()
    assert list(answer.tokens) == expected_tokens(PROMPT, len(answer.tokens), 2)
    order = network.store.order(answer.order_digest)
    assert order.state == "done"
    assert answer.proof.order.digest(DOMAIN) == answer.order_digest
    assert len(order.tokens) - 2 >= len(answer.tokens)
    computed = max((receipt.to_position for receipt, _ in order.receipts), default=0)
    for node in network.nodes:
        assert network.store.lines(SESSION)[node.address].used == node.computed == computed * node.ask
        assert network.purse.commitment(node.address) == node.computed
    assert answer.failovers == ()
    assert network.store.track(network.nodes[0].address).failed == 0


def goes_on(session: Session) -> None:
    answer = session.start([1, 2], AskOptions(3, audit_rate=0.0)).result()
    assert list(answer.tokens) == expected_tokens([1, 2], 3, 2)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 20, 64, 66, 67, 90])
def test_cancelled_while_a_node_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    network = Network(tmp_path)
    session = toy_session(network, tmp_path)
    stream = session.start(PROMPT, OPTIONS)
    with monkeypatch.context() as patch:
        after_messages(patch, count, stream.cancel)
        pieces = list(stream)
    assert stream.is_cancelled
    assert len(pieces) - 1 <= count
    assert len(stream.answer.tokens) < TOKENS
    assert_all_is_kept(network, stream)
    goes_on(session)


def test_cancelled_between_two_pieces(tmp_path: Path) -> None:
    network = Network(tmp_path)
    session = toy_session(network, tmp_path)
    stream = session.start(PROMPT, OPTIONS)
    shown = [next(stream) for _ in range(7)]
    in_thread(stream.cancel)
    assert "".join(stream) == ""
    assert stream.answer.text == "".join(shown)
    assert_all_is_kept(network, stream)
    goes_on(session)


def test_cancelled_by_somebody_else_who_also_ends_it(tmp_path: Path) -> None:
    """Nobody reads any more: whoever closes it brings the end about."""
    network = Network(tmp_path)
    session = toy_session(network, tmp_path)
    stream = session.start(PROMPT, OPTIONS)
    for _ in range(7):
        next(stream)
    in_thread(stream.cancel)
    in_thread(stream.close)
    assert len(stream.answer.tokens) == 7
    assert_all_is_kept(network, stream)
    stream.close()
    goes_on(session)


def test_cancelled_before_it_began_signs_nothing(tmp_path: Path) -> None:
    network = Network(tmp_path)
    session = toy_session(network, tmp_path)
    stream = session.start(PROMPT, OPTIONS)
    stream.cancel()
    assert list(stream) == []
    with pytest.raises(SessionStateError, match="cancelled before it began"):
        stream.result()
    assert network.store.order_digests() == []
    assert network.store.last_voucher(SESSION) is None
    assert [node.dials for node in network.nodes] == [0, 0]
    goes_on(session)


def test_cancelled_when_it_is_over_changes_nothing(tmp_path: Path) -> None:
    network = Network(tmp_path)
    stream = toy_session(network, tmp_path).start(PROMPT, OPTIONS)
    answer = stream.result()
    stream.cancel()
    assert stream.result() == answer
    assert len(answer.tokens) == TOKENS


@pytest.mark.parametrize("segment", [0, 1])
@pytest.mark.parametrize("shown", [0, 5, 40])
def test_a_node_that_never_answers_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, segment: int, shown: int
) -> None:
    """What has no receipt is written off; what was received stays, with its evidence."""
    monkeypatch.setattr(answer_stream, "PATIENCE_SECONDS", 0.05)
    network = Network(tmp_path)
    session = toy_session(network, tmp_path)
    stream = session.start(PROMPT, AskOptions(TOKENS, drafting=False, audit_rate=0.0))
    received = [next(stream) for _ in range(shown)]
    network.nodes[segment].stuck = True
    reader = threading.Thread(target=lambda: received.extend(stream))
    reader.start()
    network.nodes[segment].awaited.wait()
    stream.cancel()
    reader.join()
    network.nodes[segment].stuck = False
    answer = stream.result()
    assert list(answer.tokens) == expected_tokens(PROMPT, len(answer.tokens), 2)
    assert answer.text == "".join(received)
    assert len(answer.tokens) >= shown
    receipts = [receipt.to_position for receipt, _ in answer.proof.receipts]
    assert receipts.count(34) == (2 if shown == 40 else 0)
    for node in network.nodes:
        line = network.store.lines(SESSION)[node.address]
        assert node.computed <= line.used <= line.promised
        assert network.purse.commitment(node.address) == line.used
    assert answer.failovers == ()
    goes_on(session)


def test_the_answers_beside_it_run_on(tmp_path: Path) -> None:
    network = Network(tmp_path)
    session = toy_session(network, tmp_path)
    cancelled, other = session.start(PROMPT, OPTIONS), session.start([7, 8, 9], OPTIONS)
    for _ in range(5):
        next(cancelled)
        next(other)
    cancelled.cancel()
    assert "".join(cancelled) == ""
    assert list(other.result().tokens) == expected_tokens([7, 8, 9], TOKENS, 2)
    for node in network.nodes:
        assert network.store.lines(SESSION)[node.address].used == node.computed


def test_it_ends_with_its_context(tmp_path: Path) -> None:
    network = Network(tmp_path)
    with toy_session(network, tmp_path).start(PROMPT, OPTIONS) as stream:
        next(stream)
    assert_all_is_kept(network, stream)
