"""SymPy in a process that can be killed. It refutes, by points that we check ourselves, and never proves.

It is asked where the solvers know no answer: whether both sides of an equation are the same to it, and where
polynomials have whole roots.
"""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import IO, Any, Self, cast

from nexus_chain.distillation.judge.mathematics.terms import (
    All,
    Apply,
    Compare,
    Defined,
    Equivalent,
    Formula,
    Literal,
    MathTerm,
    Name,
    Some,
)


@dataclass(frozen=True)
class Opinion:
    """``points``: where the goal may fail. ``said``: one sentence, or nothing."""

    points: tuple[dict[str, Fraction], ...] = ()
    said: str = ""


class SecondOpinion:
    """One process, which starts at the first question and ends with ``close``. Safe for threads.

    ``seconds``: after that long the process is killed. ``memory``: bytes that it may take.
    """

    def __init__(self, seconds: float = 5.0, memory: int = 2 << 30) -> None:
        self._seconds, self._memory = seconds, memory
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process; the next question starts another."""
        with self._lock:
            self._end()

    def ask(self, supposed: tuple[Formula, ...], goal: Formula) -> Opinion:
        """What SymPy says of the equations in a claim; nothing where it does not answer in time."""
        pairs = [(_json(one.left), _json(one.right)) for one in _equations((*supposed, goal))]
        same = isinstance(goal, Compare) and goal.relation == "="
        request = json.dumps({"equations": pairs[-8:], "same": same}).encode() + b"\n"
        with self._lock:
            reply = self._exchange(request)
        if reply is None:
            return Opinion(said=f"SymPy gave no answer within {self._seconds:g} s.")
        points = tuple({name: Fraction(value) for name, value in point.items()} for point in reply["points"])
        said = {True: "SymPy finds both sides the same, which is no proof.", False: "SymPy finds the sides different."}
        return Opinion(points, said.get(reply["same"], ""))

    def _exchange(self, request: bytes) -> dict[str, Any] | None:
        try:
            process = self._process or self._start()
            requests, replies = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
            requests.write(request)
            requests.flush()
            line = self._read_line(replies)
        except OSError:
            line = b""
        except BaseException:
            self._end()
            raise
        if not line.endswith(b"\n"):
            self._end()
            return None
        return dict(json.loads(line))

    def _read_line(self, replies: IO[bytes]) -> bytes:
        deadline, line = time.monotonic() + self._seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(replies, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    break
                part = replies.read1(1 << 16)  # type: ignore[attr-defined]
                if not part:
                    break
                line += part
        return line

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "nexus_chain.distillation.judge.mathematics.sympy_worker", str(self._memory)]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere, start_new_session=True)
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _equations(formulas: tuple[Formula, ...]) -> Iterator[Compare]:
    for formula in formulas:
        match formula:
            case Compare():
                yield formula
            case All() | Some():
                yield from _equations(formula.parts)
            case Equivalent():
                yield from _equations((formula.left, formula.right))
            case Defined():
                pass


def _json(term: MathTerm) -> Any:
    """The term as lists, so that SymPy never reads (and so never evaluates) a text of somebody else."""
    match term:
        case Literal():
            return str(term.value)
        case Name():
            return ["name", term.name]
        case Apply():
            return [term.operator, *map(_json, term.arguments)]
