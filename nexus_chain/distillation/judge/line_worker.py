"""A process that can be killed, which answers each line with a line; both lines are JSON objects.

What may take all time, memory or stack runs in one. ``LineWorker`` is its parent's side; ``answer_lines`` is its own.
"""

from __future__ import annotations

import ctypes
import io
import json
import resource
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from enum import Enum, auto
from typing import IO, Any, cast

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


class Silence(Enum):
    """Why there is no answer: the process had ended before, it was killed by the clock, or it died over the answer."""

    ENDED = auto()
    LATE = auto()
    DIED = auto()


class LineWorker:
    """One process, which starts at the first question and ends with ``close``. Safe for threads.

    ``module``: what it runs; its ``main`` calls ``answer_lines``. After a silence the next question starts another.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """End the process; the next question starts another."""
        with self._lock:
            self._end()

    def ask(self, question: Mapping[str, Any], memory: int, seconds: float) -> dict[str, Any] | Silence:
        """The answer. ``memory``: bytes that a process which starts now may take. ``seconds``: then it is killed.

        Raises OSError where the process cannot be started or reached.
        """
        line = json.dumps(question).encode() + b"\n"
        with self._lock:
            answer = self._exchange(line, memory, seconds)
        return answer if isinstance(answer, Silence) else dict(json.loads(answer))

    def _exchange(self, line: bytes, memory: int, seconds: float) -> bytes | Silence:
        process = self._process or self._start(memory)
        questions, answers = cast(IO[bytes], process.stdin), cast(io.BufferedReader, process.stdout)
        try:
            questions.write(line)
            questions.flush()
            answer = _read_line(answers, time.monotonic() + seconds)
        except BaseException as error:
            self._end()
            if isinstance(error, BrokenPipeError):
                return Silence.ENDED
            raise
        if isinstance(answer, Silence):
            self._end()
        return answer

    def _start(self, memory: int) -> subprocess.Popen[bytes]:
        # The kernel kills a child with the thread that started it: this one lives as long as the child does.
        command = [sys.executable, "-m", self._module, str(memory)]
        started: Future[subprocess.Popen[bytes]] = Future()
        threading.Thread(target=_start_and_wait, args=(command, started), daemon=True).start()
        self._process = started.result()
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # what was not sent to a dead process is lost with it
                cast(IO[bytes], pipe).close()


def _start_and_wait(command: list[str], started: Future[subprocess.Popen[bytes]]) -> None:
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    try:
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere, start_new_session=True)
    except OSError as error:
        started.set_exception(error)
        return
    started.set_result(process)
    process.wait()


def _read_line(answers: io.BufferedReader, deadline: float) -> bytes | Silence:
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(answers, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return Silence.LATE
            part = answers.read1(1 << 16)
            if not part:
                return Silence.DIED
            line += part
    return line


def answer_lines(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer until standard input ends, within the bytes of memory that the first argument names.

    The process dies with its parent and leaves no core.
    """
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
