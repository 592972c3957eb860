"""Deciding the final answer: proved or refuted only where nobody can read it in another way."""

from __future__ import annotations

import re
from dataclasses import replace

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.decisions import MathematicsDecision, ObligationJudge
from nexus_chain.distillation.judge.mathematics.equivalence import answer_obligation, other_reading
from nexus_chain.distillation.judge.mathematics.neutral_prose import strange_prose
from nexus_chain.distillation.judge.mathematics.obligation import MathematicsObligation
from nexus_chain.distillation.judge.mathematics.response import Response
from nexus_chain.distillation.judge.mathematics.statements import Statement, Values, all_terms, expression_of, is_solved
from nexus_chain.distillation.judge.mathematics.terms import All, names_of
from nexus_chain.distillation.judge.verdict import Outcome

_PERCENT = re.compile(r"%(?=\s*(?:$|[)\]},=<>≤≥≠*/^+-]))")


def decide_answer(
    question: str, expected: Statement, response: Response, answer: Statement, judge: ObligationJudge
) -> tuple[MathematicsObligation, MathematicsDecision]:
    """What is claimed of the answer, and what is known of it. Raises MathematicsSubsetError."""
    _require_real_solutions(expected, response.answer, answer, judge)
    obligation = answer_obligation(expected, answer, judge.domain)
    decision = judge.decide(obligation)
    if decision.outcome is Outcome.PROVED:
        has_value = isinstance(expected, Values) or expression_of(expected) is not None
        if has_value or is_solved(answer) or expression_of(answer) is not None:
            return obligation, _beside(response, expected, answer, decision, judge)
        return obligation, _unknown("The answer is still to be solved.")
    if decision.outcome is Outcome.UNKNOWN:
        return obligation, decision
    if not response.is_certain:
        return obligation, _unknown("The response names no final answer, and its last line may be another thing.")
    if bool(_PERCENT.search(question)) != bool(_PERCENT.search(response.answer)):
        return obligation, _unknown("One is a percentage, and the other may be its number.")
    return _refuted(expected, answer, obligation, decision, judge)


def _beside(
    response: Response, expected: Statement, answer: Statement, proved: MathematicsDecision, judge: ObligationJudge
) -> MathematicsDecision:
    """Proved only where nothing stands beside the answer that could make another thing of it."""
    names = names_of((*all_terms(expected), *all_terms(answer)))
    if re.search(r"[^\W\d_]", response.after):
        return _unknown("It would be right alone, but words follow it, and they may make another thing of it.")
    # "No solution" is all of an answer, and beside another one it takes that back.
    text = response.text if all_terms(answer) else response.text.replace(response.answer, " ; ")
    strange = strange_prose(text, names | judge.domain.words)
    if strange:
        return _unknown(f"It would be right alone, but beside it stands {strange}, and only neutral words are read.")
    return proved


def _refuted(
    expected: Statement,
    answer: Statement,
    obligation: MathematicsObligation,
    decision: MathematicsDecision,
    judge: ObligationJudge,
) -> tuple[MathematicsObligation, MathematicsDecision]:
    """A chain is false where it begins with what is expected and ends with another value; else who knows."""
    if expression_of(expected) is not None and isinstance(obligation.goal, All):
        first, last = (replace(obligation, goal=obligation.goal.parts[place]) for place in (0, -1))
        ended = judge.decide(last)
        if ended.outcome is Outcome.REFUTED and judge.decide(first).outcome is Outcome.PROVED:
            return last, ended
        return obligation, _unknown("Not every term of the answer is what is expected.")
    other = other_reading(expected, answer, obligation)
    if other is not None and judge.decide(replace(obligation, goal=other)).outcome is not Outcome.REFUTED:
        return obligation, _unknown("Nothing says whether the order of the values matters.")
    return obligation, decision


def _require_real_solutions(expected: Statement, text: str, answer: Statement, judge: ObligationJudge) -> None:
    """ "No real solutions" says more than that there is none among the integers."""
    if not isinstance(answer, Values) or answer.items or "real" not in text.lower():
        return
    if isinstance(expected, Values) or not judge.domain.is_all_reals:
        raise MathematicsSubsetError("the answer speaks of real solutions, and the domain is another")


def _unknown(reason: str) -> MathematicsDecision:
    return MathematicsDecision(Outcome.UNKNOWN, reason)
