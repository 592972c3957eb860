"""Z3 and cvc5 over the same text: *unsatisfiable* needs both.

Their effort is limited by the count of their own steps (``rlimit``) and not by a clock, so an *unknown* repeats on
every machine. A clock stands behind it for solvers that stop counting; a text that runs into it is *unknown* too, and
the reason says so. One process serves many texts; it is killed with everything that a text made it do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType, TracebackType
from typing import Self

from nexus_chain.distillation.judge.errors import ArtefactError, SolverError
from nexus_chain.distillation.judge.line_worker import LineWorker, Silence
from nexus_chain.distillation.judge.smt_text import require_artefact

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
        self._worker = LineWorker("nexus_chain.distillation.judge.solver_worker")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process; the next text starts another."""
        self._worker.close()

    def solve(self, text: str) -> Solution:
        """What both say of ``text``. Raises ArtefactError for a text that is no obligation, SolverError."""
        require_artefact(text)
        limits = self.limits
        question = {"text": text, "z3_rlimit": limits.z3_rlimit, "cvc5_rlimit": limits.cvc5_rlimit}
        try:
            answer = self._worker.ask(question, limits.memory, limits.seconds)
        except OSError as error:
            raise SolverError(
                f"the solvers' process cannot be started or reached: {error}", advice="Check memory and limits."
            ) from error
        if isinstance(answer, Silence):
            return Solution(SolverAnswer.UNKNOWN, SolverAnswer.UNKNOWN, reason=_why_silent(answer, limits))
        if "error" in answer:
            raise ArtefactError(f"a solver cannot read the text: {answer['error']}", advice="Report it with the claim.")
        first, second = SolverAnswer(answer["z3"]), SolverAnswer(answer["cvc5"])
        return Solution(first, second, answer["model"], _reason(first, second))


def _why_silent(silence: Silence, limits: SolverLimits) -> str:
    if silence is Silence.ENDED:
        return "The solvers' process ended."
    if silence is Silence.LATE:
        return f"The solvers were stopped after {limits.seconds:g} s."
    return "The solvers ran out of memory or stack."


def _reason(first: SolverAnswer, second: SolverAnswer) -> str:
    if {first, second} == {SolverAnswer.SAT, SolverAnswer.UNSAT}:
        return f"The solvers disagree: Z3 says {first}, cvc5 says {second}."
    if SolverAnswer.UNKNOWN in (first, second) and SolverAnswer.SAT not in (first, second):
        return f"Z3 says {first} and cvc5 says {second} within their limits."
    return ""
