"""Between chunks the client knows its lines: quick answers do not wait for the chain, old facts do not count."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from nexus_chain.chain.errors import RpcUnreachableError
from nexus_chain.chain.inference_market import LineRecord, SessionRecord
from nexus_chain.chain.line_facts import SessionFacts
from nexus_chain.chain.node_registry import NodeRecord
from nexus_chain.client import line_watch
from nexus_chain.client.errors import SessionStateError
from nexus_chain.client.line_watch import LineWatch
from nexus_chain.wire.peer import NodeContact

NODE = "0x" + "11" * 20
CONTACT = NodeContact(NODE, "host:1", bytes(32), NODE, 0, 1, 5)
FACTS = SessionFacts(
    1000,
    60,
    SessionRecord(NODE, NODE, 5000, 0, 1),
    {NODE: LineRecord(100, 0, 5060, False, False, False, 0)},
    {NODE: NodeRecord(NODE, 0, False, 10, 0, bytes(32), "host:1")},
)
CLOSED_LINE = replace(FACTS, lines={NODE: replace(FACTS.lines[NODE], closed_by_node=True)})


class Chain:
    """What the chain says, and how often it was asked; ``now`` is the watch's clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.facts, self.reads, self.now, self.reachable = FACTS, 0, 0.0, True
        self.read = threading.Semaphore(0)
        monkeypatch.setattr(line_watch.time, "monotonic", lambda: self.now)

    def __call__(self) -> SessionFacts:
        self.reads += 1
        self.read.release()
        if not self.reachable:
            raise RpcUnreachableError("nobody there", advice="Wait.")
        return self.facts


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> Chain:
    return Chain(monkeypatch)


def asked_aside(watch: LineWatch) -> None:
    assert watch._aside is not None
    watch._aside.join()


def test_quick_chunks_ask_nobody(chain: Chain) -> None:
    watch = LineWatch(chain)
    for tenth in range(25):
        chain.now = tenth / 10
        assert watch.before_chunk(CONTACT) is None
    assert chain.reads == 1


def test_facts_are_brought_up_to_date_aside_and_used_by_the_next_chunk(chain: Chain) -> None:
    watch = LineWatch(chain)
    chain.facts, chain.now = CLOSED_LINE, 3.0
    watch.before_chunk(CONTACT)
    asked_aside(watch)
    problem = watch.before_chunk(CONTACT)
    assert problem is not None
    assert f"node {NODE} closed its line" in str(problem)
    assert chain.reads == 2


def test_old_facts_never_let_a_chunk_begin(chain: Chain) -> None:
    watch = LineWatch(chain)
    chain.facts, chain.now = CLOSED_LINE, 10.1
    assert watch.before_chunk(CONTACT) is not None
    assert chain.reads == 2
    chain.now, chain.reachable = 20.3, False
    with pytest.raises(RpcUnreachableError):
        watch.before_chunk(CONTACT)


def test_a_short_challenge_window_asks_more_often(chain: Chain) -> None:
    chain.facts = replace(FACTS, window=8)
    watch = LineWatch(chain)
    chain.now = 2.1
    watch.before_chunk(CONTACT)
    assert chain.reads == 2


def test_a_failure_aside_is_forgiven_while_facts_are_young(chain: Chain) -> None:
    watch = LineWatch(chain)
    chain.now, chain.reachable = 4.0, False
    assert watch.before_chunk(CONTACT) is None
    asked_aside(watch)
    assert (watch.before_chunk(CONTACT), watch.facts) == (None, FACTS)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (replace(FACTS, session=replace(FACTS.session, end=1060)), "was closed while the answer was under way"),
        (replace(FACTS, now=5001), "expired 1 s ago"),
    ],
)
def test_a_session_that_is_over_ends_the_answer(chain: Chain, facts: SessionFacts, said: str) -> None:
    watch = LineWatch(chain)
    chain.facts, chain.now = facts, 11.0
    with pytest.raises(SessionStateError, match=said):
        watch.before_chunk(CONTACT)


def test_nobody_is_unfit_whom_nobody_asked_about(chain: Chain) -> None:
    chain.facts = CLOSED_LINE
    watch = LineWatch(chain)
    assert watch.unfit(NODE) is not None
    assert watch.unfit("0x" + "22" * 20) is None


def test_a_slow_answer_does_not_replace_a_newer_one(chain: Chain) -> None:
    """One read is under way while another one, asked later, finds the line closed."""
    watch, answers = LineWatch(chain), []

    def slow() -> SessionFacts:
        watch._read = lambda: CLOSED_LINE
        chain.now = 2.0
        watch.refresh()
        answers.append(watch.unfit(NODE))
        return FACTS

    watch._read = slow
    chain.now = 1.0
    watch.refresh()
    assert answers[0] is not None
    assert watch.unfit(NODE) is not None
