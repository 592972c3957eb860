"""A process that answers a line with a line: one serves many questions, and silence of each kind is told apart."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexus_chain.distillation.judge.line_worker import LineWorker, Silence

WORKER = """
import os, time
from nexus_chain.distillation.judge.line_worker import answer_lines

def answer(question):
    if question["do"] == "sleep":
        time.sleep(600)
    if question["do"] == "die":
        os._exit(1)
    if question["do"] == "fill":
        question["it"] = len(bytes(1 << 40))
    return {"it": question["it"], "process": os.getpid()}

answer_lines(answer)
"""
MEMORY, SECONDS = 1 << 30, 120.0


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LineWorker]:
    (tmp_path / "answering.py").write_text(WORKER)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    made = LineWorker("answering")
    yield made
    made.close()


def say(worker: LineWorker, it: str) -> int:
    """The process that answered rightly."""
    answer = worker.ask({"do": "say", "it": it}, MEMORY, SECONDS)
    assert not isinstance(answer, Silence)
    assert answer["it"] == it
    return int(answer["process"])


def test_one_process_serves_many_questions(worker: LineWorker) -> None:
    assert len({say(worker, it) for it in ("a", "é\n", "x" * 200_000)}) == 1


def test_a_late_answer_is_never_read_for_the_next_question(worker: LineWorker) -> None:
    first = say(worker, "a")
    assert worker.ask({"do": "sleep"}, MEMORY, 0.01) is Silence.LATE
    assert say(worker, "b") != first
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


@pytest.mark.parametrize("do", ["die", "fill"])
def test_a_process_that_dies_over_an_answer_starts_again(worker: LineWorker, do: str) -> None:
    assert worker.ask({"do": do}, MEMORY, SECONDS) is Silence.DIED
    say(worker, "after")


def test_a_process_that_somebody_killed_starts_again(worker: LineWorker) -> None:
    os.kill(say(worker, "a"), signal.SIGKILL)
    answer = worker.ask({"do": "say", "it": "b"}, MEMORY, SECONDS)
    assert answer in (Silence.ENDED, Silence.DIED)
    say(worker, "c")


def test_it_lives_on_when_the_thread_that_asked_first_has_ended(worker: LineWorker) -> None:
    """The kernel kills a child with its parent, and by that it means a thread."""
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(say, worker, "a").result()
    assert say(worker, "b") == first


def test_threads_are_served_one_after_the_other(worker: LineWorker) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda number: say(worker, str(number)), range(80)))) == 1


def test_a_closed_worker_starts_again(worker: LineWorker) -> None:
    first = say(worker, "a")
    worker.close()
    worker.close()
    assert say(worker, "b") != first
