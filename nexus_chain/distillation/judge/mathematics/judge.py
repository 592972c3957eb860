"""The judge of mathematics.

What divides is not zero: a claim about an expression is one about the points where what is *expected* is defined, and
``checked`` names them. The answer has to be defined there too: ``x/x`` for an expected ``1`` is refuted over a domain
that has 0, while ``1`` for an expected ``x/x`` is proved "where x is not 0".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.answer import decide_answer
from nexus_chain.distillation.judge.mathematics.characters import readable
from nexus_chain.distillation.judge.mathematics.claim import MathematicsClaim, MathematicsScope
from nexus_chain.distillation.judge.mathematics.decisions import MathematicsDecision, ObligationJudge
from nexus_chain.distillation.judge.mathematics.domain import NumberDomain, parse_number_domain
from nexus_chain.distillation.judge.mathematics.exact import UndefinedValueError, exact_value
from nexus_chain.distillation.judge.mathematics.obligation import MathematicsObligation
from nexus_chain.distillation.judge.mathematics.response import Response, read_response
from nexus_chain.distillation.judge.mathematics.second_opinion import SecondOpinion
from nexus_chain.distillation.judge.mathematics.statements import Chain, Statement, is_solved, parse_statement
from nexus_chain.distillation.judge.mathematics.steps import DerivationStep, steps_of
from nexus_chain.distillation.judge.mathematics.terms import (
    Apply,
    Compare,
    Formula,
    MathTerm,
    names_in,
    names_of,
    plain,
)
from nexus_chain.distillation.judge.mathematics.verdicts import MathematicsVerdict, StepVerdict
from nexus_chain.distillation.judge.solvers import Solvers
from nexus_chain.distillation.judge.verdict import Kind, Outcome

LONGEST_EXPECTED = 4_000
"""Characters of what is expected."""
MOST_UNDECIDED_STEPS = 3
"""Steps that the solvers were asked about and did not decide."""
_LONGEST_QUOTE = 120


def judge_mathematics(
    claim: MathematicsClaim, solvers: Solvers, second_opinion: SecondOpinion | None = None
) -> MathematicsVerdict:
    """What both solvers prove of ``claim``. Never raises for a claim that cannot be read: that one is unknown.

    ``second_opinion``: asked for a counterexample where the solvers know no answer; None: nobody is asked.
    """
    try:
        read = _read(claim)
        judge = ObligationJudge(read.domain, solvers, second_opinion)
        obligation, answer = decide_answer(read.question, read.expected, read.response, read.answer, judge)
    except MathematicsSubsetError as error:
        return _unread(error.message)
    steps = list(_decide_steps(_steps(read), judge))
    return _verdict(claim.scope, read, obligation, answer, steps)


@dataclass(frozen=True)
class _Reading:
    question: str
    domain: NumberDomain
    expected: Statement
    answer: Statement
    response: Response


def _read(claim: MathematicsClaim) -> _Reading:
    domain = parse_number_domain(claim.domain)
    if len(claim.expected) > LONGEST_EXPECTED:
        raise MathematicsSubsetError(f"what is expected is longer than {LONGEST_EXPECTED} characters")
    try:
        expected = parse_statement(readable(claim.expected), domain.words)
    except MathematicsSubsetError as error:
        raise MathematicsSubsetError(f"in what is expected, {error.message}") from error
    response = read_response(claim.response, domain.words)
    response.signs.require_clear(response.answer)
    return _Reading(claim.expected.strip(), domain, expected, parse_statement(response.answer, domain.words), response)


def _steps(read: _Reading) -> Iterator[DerivationStep]:
    # "x = 2" at the end is the answer, and no step towards it.
    texts = [text for text in read.response.steps if text != read.response.answer or not is_solved(read.answer)]
    yield from steps_of(tuple(texts), read.expected, read.answer, read.response.signs, read.domain.words)
    for text in read.response.unread:
        yield DerivationStep(text, None, "it is not read as mathematics alone")


def _decide_steps(
    steps: Iterator[DerivationStep], judge: ObligationJudge
) -> Iterator[tuple[DerivationStep, MathematicsDecision]]:
    """Each step; none any more once the solvers could not decide several, for each of those takes long."""
    undecided = 0
    for step in steps:
        if undecided >= MOST_UNDECIDED_STEPS:
            reason = f"{MOST_UNDECIDED_STEPS} steps before it were not decided, and nobody asked about it."
            yield step, MathematicsDecision(Outcome.UNKNOWN, reason)
            continue
        step, decision = _decide_step(step, judge)
        undecided += step.obligation is not None and decision.outcome is Outcome.UNKNOWN
        yield step, decision


def _decide_step(step: DerivationStep, judge: ObligationJudge) -> tuple[DerivationStep, MathematicsDecision]:
    if step.obligation is None:
        return step, MathematicsDecision(Outcome.UNKNOWN, _sentence(step.problem))
    try:
        return step, judge.decide(step.obligation)
    except MathematicsSubsetError as error:
        return step, MathematicsDecision(Outcome.UNKNOWN, _sentence(error.message))


def _verdict(
    scope: MathematicsScope,
    read: _Reading,
    obligation: MathematicsObligation,
    answer: MathematicsDecision,
    steps: list[tuple[DerivationStep, MathematicsDecision]],
) -> MathematicsVerdict:
    decided = tuple(StepVerdict(step.text, one.outcome, one.reason, step.defines) for step, one in steps)
    outcome = answer.outcome if scope is MathematicsScope.ANSWER else _of_reasoning(answer.outcome, decided)
    counterexample = dict[str, str]()
    if outcome is Outcome.REFUTED:
        failed = [(step.obligation, one) for step, one in steps if one.outcome is Outcome.REFUTED]
        goal, decision = (obligation, answer) if answer.outcome is Outcome.REFUTED else failed[0]
        counterexample = _counterexample(goal.goal if goal else obligation.goal, decision.point)
    all_decisions = [answer, *(one for _, one in steps)]
    artefacts = tuple(artefact for one in all_decisions for artefact in one.artefacts)
    return MathematicsVerdict(
        kind=Kind.MATHEMATICS,
        outcome=outcome,
        checked=_checked(read, decided),
        reason=_reason(scope, answer, decided),
        counterexample=counterexample,
        artefacts=artefacts if outcome is Outcome.PROVED else (),
        vacuous=answer.vacuous,
        answer=answer.outcome,
        steps=decided,
    )


def _of_reasoning(answer: Outcome, steps: tuple[StepVerdict, ...]) -> Outcome:
    outcomes = {answer, *(step.outcome for step in steps)}
    if Outcome.REFUTED in outcomes:
        return Outcome.REFUTED
    stated = any(not step.defines for step in steps)
    return Outcome.PROVED if outcomes == {Outcome.PROVED} and stated else Outcome.UNKNOWN


def _counterexample(goal: Formula, point: Mapping[str, Fraction]) -> dict[str, str]:
    """The point, and both sides there where one comparison fails."""
    values = {name: str(value) for name, value in point.items()}
    if isinstance(goal, Compare):
        for side, term in (("left side", goal.left), ("right side", goal.right)):
            try:
                values[side] = str(exact_value(term, point))
            except UndefinedValueError:
                values[side] = "undefined"
            except MathematicsSubsetError:
                values[side] = "not computed"
    return values or {"claim": _quote(plain(goal)), "value": "false"}


def _checked(read: _Reading, steps: tuple[StepVerdict, ...]) -> str:
    expected = read.expected
    names = frozenset[str]()
    where = ""
    if isinstance(expected, Chain):
        names = names_of(expected.terms)
        divisors = dict.fromkeys(plain(one) for term in expected.terms for one in _divisors(term))
        if divisors and not expected.relations:
            where = " where " + " and ".join(f"{_quote(one)} is not 0" for one in divisors)
    stated = [step for step in steps if not step.defines]
    proved = sum(step.outcome is Outcome.PROVED for step in stated)
    text = f"{'The' if stated else 'Only the'} final answer {_quote(read.response.answer)}"
    text += f" and {proved} steps of {len(stated)}" if stated else ""
    if len(stated) != len(steps):
        text += ", with names as the response defines them"
    return f"{text}, against {_quote(read.question)}, over {read.domain.said_of(names)}{where}."


def _divisors(term: MathTerm) -> Iterator[MathTerm]:
    """Divisors that have variables: where one is zero, the term is not defined."""
    if not isinstance(term, Apply):
        return
    if term.operator in ("/", "//", "%") and names_in(term.arguments[1]):
        yield term.arguments[1]
    if term.operator == "^" and names_in(term.arguments[0]):
        try:
            if exact_value(term.arguments[1], {}) <= 0:
                yield term.arguments[0]
        except (KeyError, UndefinedValueError, MathematicsSubsetError):
            pass
    for one in term.arguments:
        yield from _divisors(one)


def _reason(scope: MathematicsScope, answer: MathematicsDecision, steps: tuple[StepVerdict, ...]) -> str:
    said = f"The final answer is {answer.outcome}: {answer.reason}"
    for number, step in enumerate(steps, 1):
        if step.outcome is Outcome.REFUTED:
            return f"{said[:-1]}; but step {number} is false: {_quote(step.text)}."
    for number, step in enumerate(steps, 1):
        if step.outcome is Outcome.UNKNOWN:
            return f"{said[:-1]}; step {number} ({_quote(step.text)}) is not known: {step.reason}"
    if scope is MathematicsScope.REASONING and not any(not step.defines for step in steps):
        return f"{said[:-1]}; but the response shows no step."
    return said


def _unread(problem: str) -> MathematicsVerdict:
    return MathematicsVerdict(Kind.MATHEMATICS, Outcome.UNKNOWN, "Nothing was checked.", _sentence(problem))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _quote(text: str) -> str:
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"
