"""Deciding: proved by both solvers, refuted by a point that our own exact evaluation confirms, or unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from nexus_chain.distillation.judge.errors import ArtefactError, MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.domain import NumberDomain
from nexus_chain.distillation.judge.mathematics.exact import holds
from nexus_chain.distillation.judge.mathematics.obligation import MathematicsObligation
from nexus_chain.distillation.judge.mathematics.other_statements import other_statements
from nexus_chain.distillation.judge.mathematics.points import points
from nexus_chain.distillation.judge.mathematics.second_opinion import SecondOpinion
from nexus_chain.distillation.judge.mathematics.smtlib import negation_text, witness_text
from nexus_chain.distillation.judge.mathematics.term_writer import PREFIX
from nexus_chain.distillation.judge.mathematics.terms import literals_in, names_of
from nexus_chain.distillation.judge.solvers import Solution, SolverAnswer, Solvers
from nexus_chain.distillation.judge.verdict import Artefact, Outcome


@dataclass(frozen=True)
class MathematicsDecision:
    """``point``: where the goal fails, for a refuted obligation. ``artefacts``: what
    proves it; where there are several, they do so together. ``vacuous``: what is supposed holds nowhere."""

    outcome: Outcome
    reason: str
    point: Mapping[str, Fraction] = field(default_factory=dict)
    artefacts: tuple[Artefact, ...] = ()
    vacuous: bool = False


class ObligationJudge:
    """Decides obligations over one domain."""

    def __init__(self, domain: NumberDomain, solvers: Solvers, second_opinion: SecondOpinion | None) -> None:
        self.domain, self._solvers, self._second_opinion = domain, solvers, second_opinion

    def decide(self, obligation: MathematicsObligation) -> MathematicsDecision:
        """Raises MathematicsSubsetError for what cannot be stated."""
        parts = (*obligation.supposed, obligation.goal)
        names = names_of(parts)
        numbers = {name: self.domain.numbers(name) for name in sorted(names)}
        text = negation_text(obligation.supposed, obligation.goal, numbers)  # first: it refuses what is too large
        literals = frozenset[Fraction]().union(*map(literals_in, parts))
        witnessed = False
        for point in points(numbers, literals):
            state = _state(obligation, point)
            if state is False:
                return _refuted(point)
            witnessed = witnessed or state is True
        if not witnessed:
            found = self._witness(obligation, witness_text(obligation.supposed, numbers))
            if found is not None:
                return found
        return self._ask(obligation, text)

    def _witness(self, obligation: MathematicsObligation, text: str) -> MathematicsDecision | None:
        """None where some point satisfies what is supposed."""
        solution = self._solve(text)
        if solution.answer is SolverAnswer.UNSAT:
            reason = "What it supposes holds nowhere, so it says nothing."
            return MathematicsDecision(Outcome.UNKNOWN, reason, vacuous=True)
        point = _point(solution.model)
        state = None if point is None else _state(obligation, point)
        if point is not None and state is False:
            return _refuted(point)
        if state is True:
            return None
        return MathematicsDecision(Outcome.UNKNOWN, "No point was found where what it supposes holds.")

    def _ask(self, obligation: MathematicsObligation, text: str) -> MathematicsDecision:
        solution = self._solve(text)
        if solution.answer is SolverAnswer.UNSAT:
            return _proved(Artefact(obligation.name, text))
        point = _point(solution.model)
        if point is not None and _state(obligation, point) is False:
            return _refuted(point)
        if solution.answer is SolverAnswer.SAT:
            return MathematicsDecision(Outcome.UNKNOWN, "A solver's counterexample has no rational values.")
        for others in other_statements(obligation, self.domain):
            if all(self._solve(other.text).answer is SolverAnswer.UNSAT for other in others):
                return _proved(*others)
        return self._second(obligation, solution.reason)

    def _solve(self, text: str) -> Solution:
        """What the solvers say; where they cannot read or hold a text, they know no answer."""
        try:
            return self._solvers.solve(text)
        except ArtefactError as error:
            return Solution(SolverAnswer.UNKNOWN, SolverAnswer.UNKNOWN, reason=error.message.rstrip(".") + ".")

    def _second(self, obligation: MathematicsObligation, reason: str) -> MathematicsDecision:
        """SymPy may find a counterexample; whatever else it says is no proof."""
        if self._second_opinion is None:
            return MathematicsDecision(Outcome.UNKNOWN, reason)
        opinion = self._second_opinion.ask(obligation.supposed, obligation.goal)
        for point in opinion.points:
            inside = all(self.domain.numbers(name).has(value) for name, value in point.items())
            if inside and _state(obligation, point) is False:
                return _refuted(point, ", which SymPy found")
        return MathematicsDecision(Outcome.UNKNOWN, f"{reason} {opinion.said}".strip())


def _proved(*artefacts: Artefact) -> MathematicsDecision:
    reason = "Both solvers find no point where it fails."
    return MathematicsDecision(Outcome.PROVED, reason, artefacts=artefacts)


def _refuted(point: Mapping[str, Fraction], how: str = "") -> MathematicsDecision:
    where = ", ".join(f"{name} = {value}" for name, value in sorted(point.items()))
    reason = f"It fails at {where[:200]}{how}." if where else "Its value is another."
    return MathematicsDecision(Outcome.REFUTED, reason, point)


def _state(obligation: MathematicsObligation, point: Mapping[str, Fraction]) -> bool | None:
    """Whether the goal holds at ``point``; None where nothing is supposed of it or a number is too large."""
    try:
        if not all(holds(one, point) for one in obligation.supposed):
            return None
        return holds(obligation.goal, point)
    except (MathematicsSubsetError, KeyError):
        return None


def _point(model: Mapping[str, str]) -> dict[str, Fraction] | None:
    """A solver's model, or None where a value is no rational number."""
    try:
        return {name.removeprefix(PREFIX): Fraction(value) for name, value in model.items()}
    except (ValueError, ZeroDivisionError):
        return None
