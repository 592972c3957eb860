"""SymPy in a process that can be killed. It refutes, by points that we check ourselves, and never proves.

It is asked where the solvers know no answer: whether both sides of an equation are the same to it, and where
polynomials have whole roots.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

from nexus_chain.distillation.judge.line_worker import LineWorker, Silence
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
        self._worker = LineWorker("nexus_chain.distillation.judge.mathematics.sympy_worker")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process; the next question starts another."""
        self._worker.close()

    def ask(self, supposed: tuple[Formula, ...], goal: Formula) -> Opinion:
        """What SymPy says of the equations in a claim; nothing where it does not answer in time."""
        pairs = [(_json(one.left), _json(one.right)) for one in _equations((*supposed, goal))]
        same = isinstance(goal, Compare) and goal.relation == "="
        try:
            answer = self._worker.ask({"equations": pairs[-8:], "same": same}, self._memory, self._seconds)
        except OSError:
            answer = Silence.ENDED  # a machine without SymPy's process has no second opinion
        if isinstance(answer, Silence):
            return Opinion(said=f"SymPy gave no answer within {self._seconds:g} s.")
        points = tuple({name: Fraction(value) for name, value in point.items()} for point in answer["points"])
        said = {True: "SymPy finds both sides the same, which is no proof.", False: "SymPy finds the sides different."}
        return Opinion(points, said.get(answer["same"], ""))


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
