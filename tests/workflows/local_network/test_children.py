"""Processes that are kept running: by small programs that do as they are told."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nexus_chain.workflows.local_network.bounded_log import BoundedLog
from nexus_chain.workflows.local_network.children import Child, ChildPlan, Watch, delay_after
from tests.support.waiting import wait_until

SERVES = "import time; print('it serves now', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SERVES


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    made = Child(ChildPlan("tiny", ()), BoundedLog(tmp_path / "tiny.log"))
    yield made
    hurried = threading.Event()
    hurried.set()
    made.wait(hurried)


def plan(program: str, grace: float = 30.0) -> ChildPlan:
    return ChildPlan("tiny", (sys.executable, "-c", program), ready="serves now", grace=grace, threads=1)


def test_a_process_says_that_it_serves_and_ends_when_asked(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_NODE_WALLET", "/somebody's")
    child.plan = plan(
        "import os; print([n for n in os.environ if 'NEXUS' in n], os.getpgid(0) == os.getpid());" + SERVES
    )
    child.start()
    wait_until(child.is_ready)
    assert child.mark is not None
    assert child.log.path.read_text().splitlines()[0] == "[] True"
    child.ask_to_end()
    child.wait(threading.Event())
    assert not child.is_running()
    assert child.mark is None


def test_one_that_does_not_end_is_killed_at_once_when_somebody_is_in_a_hurry(child: Child) -> None:
    child.plan = plan(STUBBORN, grace=10_000)
    child.start()
    wait_until(child.is_ready)
    hurried = threading.Event()
    child.ask_to_end()
    hurried.set()
    child.wait(hurried)
    assert not child.is_running()


def test_one_that_does_not_end_is_killed_after_its_grace(child: Child) -> None:
    child.plan = plan(STUBBORN, grace=0.0)
    child.start()
    wait_until(child.is_ready)
    child.ask_to_end()
    child.wait(threading.Event())
    assert not child.is_running()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("print('no money', flush=True); raise SystemExit(3)", "ended with 3, saying: no money"),
        ("import os; os.kill(os.getpid(), 9)", "was ended by SIGKILL"),
    ],
)
def test_how_it_ended_is_said_in_words(child: Child, program: str, said: str) -> None:
    assert child.how_it_ended() == "was not started"
    child.plan = plan(program)
    child.start()
    wait_until(lambda: not child.is_running())
    assert child.how_it_ended() == said
    assert not child.is_ready()


def test_a_program_behind_a_script_is_ended_with_it(child: Child) -> None:
    inner = "import os, time; print(os.getpid(), 'serves now', flush=True); time.sleep(600)"
    child.plan = ChildPlan("tiny", ("/bin/sh", "-c", f'{sys.executable} -c "{inner}"; true'), ready="serves now")
    child.start()
    wait_until(child.is_ready)
    number = int(child.log.path.read_text().split()[0])
    child.ask_to_end()
    child.wait(threading.Event())
    wait_until(lambda: not Path(f"/proc/{number}").exists())


@dataclass
class Scripted:
    """A process as the watch sees one."""

    name: str
    running: bool = True
    starts: int = 0
    refuses: bool = False

    def start(self) -> None:
        self.starts += 1
        if self.refuses:
            raise OSError("no such program")
        self.running = True

    def is_running(self) -> bool:
        return self.running

    def how_it_ended(self) -> str:
        return f"was ended by {signal.SIGKILL.name}"


def test_what_ends_is_started_again_later_each_time() -> None:
    now, said = [0.0], list[str]()
    node, other = Scripted("node"), Scripted("other")
    watch = Watch([node, other], said.append, lambda: now[0])
    starts = []
    for _ in range(4):
        node.running = False
        assert not watch.look()
        before = now[0]
        while not watch.look():
            now[0] += 0.5
        starts.append(now[0] - before)
    assert starts == [1.0, 2.0, 4.0, 8.0]
    assert other.starts == 0
    assert said[:2] == ["node was ended by SIGKILL. It is started again in 1 s.", "node is started again."]
    now[0] += 60.0
    node.running = False
    watch.look()
    assert said[-1].endswith("in 1 s.")


def test_one_that_cannot_be_started_is_tried_again() -> None:
    now, said = [0.0], list[str]()
    node = Scripted("node", running=False, refuses=True)
    watch = Watch([node], said.append, lambda: now[0])
    for _ in range(20):
        watch.look()
        now[0] += 1.0
    assert node.starts > 2
    assert "node cannot be started: no such program" in said


def test_delays_are_bounded() -> None:
    assert [delay_after(failures) for failures in (0, 1, 2, 5, 6, 100_000)] == [1.0, 1.0, 2.0, 16.0, 30.0, 30.0]
