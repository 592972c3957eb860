"""Processes that are started, listened to, started again when they die, and stopped in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from nexus_chain.workflows.local_network.bounded_log import BoundedLog
from nexus_chain.workflows.local_network.process_marks import ProcessMark, mark_of

LONGEST_DELAY = 30.0
STEADY_SECONDS = 60.0
"""A process that ran so long starts again without the delays of its earlier ends."""
_KEPT_LINES = 20


@dataclass(frozen=True)
class ChildPlan:
    """What is run. ``ready``: words of the line by which it says that it serves. ``grace``: seconds to end in.

    ``threads``: that its libraries may compute with; 0: as many as they like.
    """

    name: str
    command: tuple[str, ...]
    ready: str = ""
    grace: float = 30.0
    threads: int = 0


class Child:
    """One process of ``plan``, which may be replaced between two starts. What it prints goes to its log."""

    def __init__(self, plan: ChildPlan, log: BoundedLog) -> None:
        self.plan, self.log = plan, log
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._ready = threading.Event()
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def mark(self) -> ProcessMark | None:
        """The process that runs now, if one does."""
        return mark_of(self._process.pid) if self._process is not None and self.is_running() else None

    def start(self) -> None:
        """Start it in a session of its own: a key pressed at the terminal reaches us alone, and we stop it in order."""
        self._reap()
        self._ready.clear()
        self._lines.clear()
        own = {name: value for name, value in os.environ.items() if not name.startswith("NEXUS_")}
        if self.plan.threads:
            # Threads of several processes on the same cores wait for each other longer than they compute.
            own["OMP_NUM_THREADS"] = str(self.plan.threads)
        self._process = subprocess.Popen(
            self.plan.command,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", start_new_session=True, env=own | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, args=(self._process,), name=self.name, daemon=True)
        self._reader.start()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def is_ready(self) -> bool:
        """Whether it said that it serves."""
        return self._ready.is_set()

    def how_it_ended(self) -> str:
        """In words: its exit code or signal, and what it said last."""
        code = self._process.poll() if self._process is not None else None
        self._join()
        last = next((line for line in reversed(self._lines) if line.strip()), "")
        how = "was not started" if code is None else f"ended with {code}" if code >= 0 else _by_signal(-code)
        return f"{how}, saying: {last.strip()}" if last else how

    def ask_to_end(self) -> None:
        self._signal(signal.SIGTERM)

    def wait(self, hurried: threading.Event) -> None:
        """Until it has ended: after its grace, or once somebody is in a hurry, it is killed."""
        process = self._process
        if process is None:
            return
        deadline = time.monotonic() + self.plan.grace
        while process.poll() is None and time.monotonic() < deadline and not hurried.is_set():
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        self._signal(signal.SIGKILL)
        self._reap()

    def _signal(self, number: signal.Signals) -> None:
        """To all of its session: a program may run behind a script. Its number is ours until it is reaped."""
        process = self._process
        if process is not None:
            try:
                os.killpg(process.pid, number)
            except (ProcessLookupError, PermissionError):
                return

    def _read(self, process: subprocess.Popen[str]) -> None:
        stream = process.stdout
        for line in stream or ():
            self._lines.append(line)
            self.log.write(line)
            if self.plan.ready and self.plan.ready in line:
                self._ready.set()

    def _join(self) -> None:
        if self._reader is not None:
            self._reader.join(1.0)

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._join()
            if self._process.stdout is not None and self._reader is not None and not self._reader.is_alive():
                self._process.stdout.close()
            self._process, self._reader = None, None


def _by_signal(number: int) -> str:
    try:
        return f"was ended by {signal.Signals(number).name}"
    except ValueError:
        return f"was ended by signal {number}"


class Restartable(Protocol):
    """What a watch needs of a process."""

    @property
    def name(self) -> str:
        """As people are told it."""

    def start(self) -> None:
        """Start it, again."""

    def is_running(self) -> bool:
        """Whether it runs."""

    def how_it_ended(self) -> str:
        """In words."""


@dataclass
class _Watched:
    child: Restartable
    started: float
    failures: int = 0
    due: float | None = None


class Watch:
    """Starts processes again that ended, later each time, and says so. ``clock`` in seconds."""

    def __init__(
        self,
        children: Sequence[Restartable],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watched = [_Watched(child, clock()) for child in children]
        self._say, self._clock = say, clock

    def look(self) -> bool:
        """Look at each once; whether one was started."""
        started = [self._look_at(one, self._clock()) for one in self._watched]
        return any(started)

    def _look_at(self, one: _Watched, now: float) -> bool:
        if one.due is None:
            if not one.child.is_running():
                one.failures = 0 if now - one.started >= STEADY_SECONDS else one.failures + 1
                delay = delay_after(one.failures)
                one.due = now + delay
                self._say(f"{one.child.name} {one.child.how_it_ended()}. It is started again in {delay:.0f} s.")
            return False
        if now < one.due:
            return False
        one.due, one.started = None, now
        try:
            one.child.start()
        except OSError as error:
            self._say(f"{one.child.name} cannot be started: {error}")
            return False
        self._say(f"{one.child.name} is started again.")
        return True


def delay_after(failures: int) -> float:
    """Seconds to wait after so many ends in short order: 1, 2, 4, ... 30."""
    return min(LONGEST_DELAY, 2.0 ** min(max(0, failures - 1), 10))
