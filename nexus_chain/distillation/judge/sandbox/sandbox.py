"""Run untrusted Python in a child that can do nothing but compute, and read back what it says it computed.

The child's answers are claims. The caller compares them with what it knows, or with what *another* child says: code
under test never shares a process with the reference or the contract that it is compared to.
"""

from __future__ import annotations

import contextlib
import marshal
import math
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, cast

from nexus_chain.distillation.judge.sandbox.errors import SandboxUnavailableError
from nexus_chain.distillation.judge.sandbox.system_calls import seccomp_filter

_DIED = "The child exhausted its processor time or memory, died, or wrote other lines than its results."
JAIL = Path(__file__).with_name("jail.py")
Argument = int | bool | str | None | Sequence["Argument"]
"""What functions are called with. A list is given anew for every call."""


class Confinement(StrEnum):
    """What shuts the doors around the child; seccomp and resource limits stand behind either."""

    BUBBLEWRAP = "bubblewrap"
    NAMESPACES = "namespaces"


class SandboxEnding(StrEnum):
    """How the child ended: by itself, unable to load the code, at a limit of clock or output, or dead."""

    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"
    OVERFLOWED = "overflowed"
    DIED = "died"


@dataclass(frozen=True)
class SandboxLimits:
    """``seconds``: wall clock. ``cpu_seconds``: of the processor. ``memory``, ``output``: bytes.

    Confined code cannot sleep, so it meets the limit of the processor first, and a busy machine decides nothing.
    """

    seconds: float = 10.0
    cpu_seconds: int = 2
    memory: int = 256 << 20
    output: int = 4 << 20


@dataclass(frozen=True)
class SandboxRequest:
    """Load ``code`` as a module, and call its ``function`` once with each of the ``inputs``."""

    code: str
    function: str
    inputs: tuple[tuple[Argument, ...], ...]


@dataclass(frozen=True)
class CallOutcome:
    """What the child says of one call.

    ``value``: the result's text (equal only for equal values of one type), ``raise NAME``, or ``opaque`` for a value
    that has no exact text. ``arguments``: the text of the arguments as the call left them; empty after an exception.
    """

    value: str
    arguments: str

    @property
    def is_exact(self) -> bool:
        """Whether the value can be compared at all. Exhausted stack and memory depend on the machine."""
        return self.value not in ("opaque", "raise RecursionError", "raise MemoryError")


@dataclass(frozen=True)
class SandboxResult:
    """``outcomes``: of the first inputs, in order; of all of them only when FINISHED. ``reason``: one sentence."""

    ending: SandboxEnding
    outcomes: tuple[CallOutcome, ...]
    reason: str


class Sandbox:
    """Children that are confined, each for one request. ``confinements``: which to try, in order."""

    def __init__(
        self,
        limits: SandboxLimits | None = None,
        confinements: Sequence[Confinement] = (Confinement.BUBBLEWRAP, Confinement.NAMESPACES),
    ) -> None:
        self.limits = limits or SandboxLimits()
        self._confinements = tuple(confinements)
        self._works: Confinement | None = None

    @property
    def confinement(self) -> Confinement:
        """What confines on this machine, found out once. Raises SandboxUnavailableError where nothing does."""
        if self._works is None:
            self._works = self._probe()
        return self._works

    def run(self, request: SandboxRequest) -> SandboxResult:
        """Run ``request`` in a fresh child. Raises SandboxUnavailableError: code never runs unconfined."""
        lines, stopped = self._converse(request, self.confinement)
        if not lines or lines[0] != "locked":
            raise _unavailable([f"{self.confinement}: {lines[0] if lines else 'the child ended before it was locked'}"])
        return _result(request, lines[1:], stopped)

    def _probe(self) -> Confinement:
        problems = []
        for confinement in self._confinements:
            if confinement is Confinement.BUBBLEWRAP and shutil.which("bwrap") is None:
                problems.append("bubblewrap: it is not installed")
                continue
            lines, stopped = self._converse(SandboxRequest("def probe():\n    return 7", "probe", ((),)), confinement)
            if lines == ["locked", "loaded", "7\t[]"] and stopped is None:
                return confinement
            problems.append(f"{confinement}: {lines[0] if lines else 'the child ended before it was locked'}")
        raise _unavailable(problems)

    def _converse(self, request: SandboxRequest, confinement: Confinement) -> tuple[list[str], SandboxEnding | None]:
        """The child's whole lines, and at which limit it was stopped; DIED if it ended inside of a line."""
        if not sys.platform.startswith("linux"):
            raise _unavailable([f"{sys.platform} has no namespaces"])
        process = self._start(request, confinement)
        try:
            output, stopped = self._read(cast(IO[bytes], process.stdout))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            cast(IO[bytes], process.stdout).close()
        # What a limit or the child's end cut off is no line: it could be read as another result.
        whole, newline, rest = output.rpartition(b"\n")
        lines = whole.decode("ascii", "replace").splitlines() if newline else []
        return lines, SandboxEnding.DIED if rest and stopped is None else stopped

    def _start(self, request: SandboxRequest, confinement: Confinement) -> subprocess.Popen[bytes]:
        """The environment is empty: an operator's holds keys. The request is a file in memory, so nobody waits."""
        document = {
            **{"code": request.code, "function": request.function, "inputs": request.inputs},
            **{"memory": self.limits.memory, "cpu_seconds": max(1, math.ceil(self.limits.cpu_seconds))},
            "filter": seccomp_filter(),
        }
        with os.fdopen(os.memfd_create("request"), "w+b") as file:
            file.write(marshal.dumps(document))
            file.seek(0)
            try:
                return subprocess.Popen(
                    _command(confinement),
                    stdin=file,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={},
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                raise _unavailable([f"{confinement}: {error.strerror}"]) from error

    def _read(self, results: IO[bytes]) -> tuple[bytes, SandboxEnding | None]:
        deadline, output = time.monotonic() + self.limits.seconds, bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(results, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())):
                part = os.read(results.fileno(), 1 << 16)
                if not part:
                    return bytes(output), None
                output += part
                if len(output) > self.limits.output:
                    return bytes(output), SandboxEnding.OVERFLOWED
        return bytes(output), SandboxEnding.STOPPED


def _command(confinement: Confinement) -> list[str]:
    interpreter = os.path.realpath(sys.executable)
    python = [interpreter, "-I", "-S", "-B", "-X", "utf8"]
    if confinement is Confinement.NAMESPACES:
        return [*python, str(JAIL), confinement]
    bwrap = shutil.which("bwrap") or "bwrap"
    shared = [os.path.realpath(sys.base_prefix), "/lib", "/lib64", "/usr/lib", "/usr/lib64"]
    binds = [part for path in dict.fromkeys(shared) for part in ("--ro-bind-try", path, path)]
    doors = ["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    script = ["--ro-bind", str(JAIL), "/jail.py", "--remount-ro", "/", "--chdir", "/"]
    return [bwrap, *doors, *binds, *script, "--", *python, "/jail.py", confinement]


def _result(request: SandboxRequest, lines: list[str], stopped: SandboxEnding | None) -> SandboxResult:
    """What the lines after ``locked`` say. A child that says more, or other things, than it should has died."""
    if lines and lines[0].startswith("failed "):
        return SandboxResult(SandboxEnding.FAILED, (), f"The code does not load: {lines[0][7:90]}.")
    parts = [line.partition("\t") for line in lines[1:]]
    outcomes = tuple(CallOutcome(value, arguments) for value, tab, arguments in parts if tab)
    if stopped is SandboxEnding.STOPPED:
        return SandboxResult(stopped, outcomes, "The code ran into the limit of time.")
    if stopped is SandboxEnding.OVERFLOWED:
        return SandboxResult(stopped, outcomes, "The code wrote more than the limit of output.")
    if stopped or lines[:1] != ["loaded"] or len(outcomes) != len(parts) or len(outcomes) != len(request.inputs):
        return SandboxResult(SandboxEnding.DIED, outcomes, _DIED)
    return SandboxResult(SandboxEnding.FINISHED, outcomes, "The code returned for every input.")


def _unavailable(problems: list[str]) -> SandboxUnavailableError:
    return SandboxUnavailableError(
        f"untrusted code cannot be confined here ({'; '.join(problems)})",
        advice="Install bubblewrap, or allow user namespaces and seccomp.",
    )
