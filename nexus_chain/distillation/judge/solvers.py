"""Z3 and cvc5 over the same text: *unsatisfiable* needs both.

Their effort is limited by the count of their own steps (``rlimit``) and not by a clock, so an *unknown* repeats on
every machine. A clock stands behind it for solvers that stop counting; a text that runs into it is *unknown* too, and
the reason says so. One process serves many texts; it is killed with everything that a text made it do.
"""

from __future__ import annotations

import io
import json
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType, TracebackType
from typing import IO, Any, Self, cast

from nexus_chain.distillation.judge.errors import ArtefactError, SolverError
from nexus_chain.distillation.judge.smt_text import require_artefact

SOLVER_MODULES = {"z3": "z3-solver", "cvc5": "cvc5"}
"""Modules, and the names that pip knows."""
_NO_MODEL: Mapping[str, str] = MappingProxyType({})


class SolverAnswer(StrEnum):
    """What a solver says of a text."""

    SAT = "sat"
    UNSAT = "unsat"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class SolverLimits:
    """``*_rlimit``: steps as the solver counts them. ``memory``: bytes of the process. ``seconds``: the clock behind.

    The defaults are about half a second of either solver on a machine of 2024.
    """

    z3_rlimit: int = 2_000_000
    cvc5_rlimit: int = 200_000
    memory: int = 2 << 30
    seconds: float = 30.0


@dataclass(frozen=True)
class Solution:
    """Both answers; ``model``: values of the constants by name, where one solver found some.

    ``reason``: one sentence about an answer that is unknown.
    """

    z3: SolverAnswer
    cvc5: SolverAnswer
    model: Mapping[str, str] = field(default_factory=lambda: _NO_MODEL)
    reason: str = ""

    @property
    def answer(self) -> SolverAnswer:
        """UNSAT if both say so, SAT if one found a model and the other does not object, else UNKNOWN."""
        both = {self.z3, self.cvc5}
        if both == {SolverAnswer.UNSAT}:
            return SolverAnswer.UNSAT
        return SolverAnswer.SAT if SolverAnswer.SAT in both and SolverAnswer.UNSAT not in both else SolverAnswer.UNKNOWN


class Solvers:
    """Both solvers in one process, which starts at the first text and ends with ``close``. Safe for threads."""

    def __init__(self, limits: SolverLimits | None = None) -> None:
        self.limits = limits or SolverLimits()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process; the next text starts another."""
        with self._lock:
            self._end()

    def solve(self, text: str) -> Solution:
        """What both say of ``text``. Raises ArtefactError for a text that is no obligation, SolverError."""
        require_artefact(text)
        limits = self.limits
        request = {"text": text, "z3_rlimit": limits.z3_rlimit, "cvc5_rlimit": limits.cvc5_rlimit}
        with self._lock:
            reply = self._ask(json.dumps(request).encode() + b"\n")
        if isinstance(reply, str):
            return Solution(SolverAnswer.UNKNOWN, SolverAnswer.UNKNOWN, reason=reply)
        if "error" in reply:
            raise ArtefactError(f"a solver cannot read the text: {reply['error']}", advice="Report it with the claim.")
        first, second = SolverAnswer(reply["z3"]), SolverAnswer(reply["cvc5"])
        return Solution(first, second, reply["model"], _reason(first, second))

    def _ask(self, line: bytes) -> dict[str, Any] | str:
        """The worker's reply, or why there is none."""
        process = self._process or self._start()
        requests, replies = cast(IO[bytes], process.stdin), cast(io.BufferedReader, process.stdout)
        try:
            requests.write(line)
            requests.flush()
            reply = self._read_line(replies)
        except BaseException as error:
            self._end()
            if isinstance(error, BrokenPipeError):
                return "The solvers' process ended."
            raise
        if reply is None:
            self._end()
            return f"The solvers were stopped after {self.limits.seconds:g} s."
        if not reply.endswith(b"\n"):
            self._end()
            return "The solvers ran out of memory or stack."
        return dict(json.loads(reply))

    def _read_line(self, replies: io.BufferedReader) -> bytes | None:
        """One line; less where the worker died, None where the clock ran out."""
        deadline, line = time.monotonic() + self.limits.seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(replies, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return None
                part = replies.read1(1 << 16)
                if not part:
                    break
                line += part
        return line

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "nexus_chain.distillation.judge.solver_worker", str(self.limits.memory)]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        try:
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere, start_new_session=True)
        except OSError as error:
            raise SolverError(
                f"the solvers' process does not start: {error}", advice="Check memory and limits."
            ) from error
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


def _reason(first: SolverAnswer, second: SolverAnswer) -> str:
    if {first, second} == {SolverAnswer.SAT, SolverAnswer.UNSAT}:
        return f"The solvers disagree: Z3 says {first}, cvc5 says {second}."
    if SolverAnswer.UNKNOWN in (first, second) and SolverAnswer.SAT not in (first, second):
        return f"Z3 says {first} and cvc5 says {second} within their limits."
    return ""
