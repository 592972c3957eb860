"""Aethel run in Python: what a counterexample is checked by. It shares nothing with the translation to SMT-LIB."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from nexus_chain.distillation.judge.aethel.syntax import (
    AethelExpression,
    AethelIntent,
    AppliedOperator,
    IntegerLiteral,
    IntentSequence,
    NamedValue,
    SolveAssignment,
    SolveStatement,
    SourcePlace,
    TruthLiteral,
)

MOST_VALUE_BITS = 1 << 12
"""Bits of an integer while a program runs."""

ParameterValues = Mapping[str, int]
"""Value by name; a truth value is a Python bool."""


class RunEnding(StrEnum):
    """How a run ends."""

    HOLDS = "holds"
    BLOCKED = "blocked"  # a guard is false: the run does not happen
    VIOLATED = "violated"  # a condition of verify is false, or a divisor is 0
    TOO_LARGE = "too large"  # an integer exceeds MOST_VALUE_BITS


@dataclass(frozen=True)
class AethelRun:
    """``intent``, ``place`` and ``problem`` say where a run that does not hold ended, and why."""

    ending: RunEnding
    intent: str = ""
    place: SourcePlace | None = None
    problem: str = ""


def run_sequence(sequence: IntentSequence, values: ParameterValues) -> AethelRun:
    """Run all intents from ``values``, which has one for each parameter."""
    state = dict(values)
    for intent in sequence.intents:
        try:
            ended = _run_intent(intent, state)
        except _Stop as stop:
            return AethelRun(stop.ending, intent.name, stop.place, stop.problem)
        if ended is not None:
            return ended
    return AethelRun(RunEnding.HOLDS)


def euclidean(dividend: int, divisor: int) -> tuple[int, int]:
    """Quotient and remainder with 0 <= remainder < |divisor|, as SMT-LIB's ``div`` and ``mod``."""
    quotient, remainder = divmod(dividend, divisor)
    return (quotient, remainder) if remainder >= 0 else (quotient + 1, remainder - divisor)


class _Stop(Exception):
    def __init__(self, ending: RunEnding, place: SourcePlace, problem: str) -> None:
        super().__init__(problem)
        self.ending, self.place, self.problem = ending, place, problem


def _run_intent(intent: AethelIntent, state: dict[str, int]) -> AethelRun | None:
    """None where it holds; ``state`` then has the new values of its parameters."""
    old = dict(state)
    for condition in intent.guard:
        if not _value(condition, old, {}):
            return AethelRun(RunEnding.BLOCKED, intent.name, condition.place, "a guard is false")
    local = {one.name: state[one.name] for one in intent.parameters}
    _run_block(intent.solve, local, old)
    for condition in intent.verify:
        if not _value(condition, local, old):
            return AethelRun(RunEnding.VIOLATED, intent.name, condition.place, "a condition of verify is false")
    state.update({one.name: local[one.name] for one in intent.parameters})
    return None


def _run_block(block: tuple[SolveStatement, ...], state: dict[str, int], old: ParameterValues) -> None:
    for statement in block:
        if isinstance(statement, SolveAssignment):
            state[statement.name] = _value(statement.value, state, old)
        else:
            chosen = statement.then if _value(statement.condition, state, old) else statement.otherwise
            _run_block(chosen, state, old)


def _value(expression: AethelExpression, state: ParameterValues, old: ParameterValues) -> int:
    if isinstance(expression, IntegerLiteral | TruthLiteral):
        return expression.value
    if isinstance(expression, NamedValue):
        return old[expression.name] if expression.old else state[expression.name]
    first = _value(expression.operands[0], state, old)
    if expression.operator in _DECIDED_BY_FIRST and first == _DECIDED_BY_FIRST[expression.operator]:
        return expression.operator != "and"
    if len(expression.operands) == 1:
        return -first if expression.operator == "neg" else not first
    return _apply(expression, first, _value(expression.operands[1], state, old))


def _apply(operation: AppliedOperator, left: int, right: int) -> int:
    if operation.operator in _DECIDED_BY_FIRST:
        return right
    if operation.operator in ("/", "%"):
        if right == 0:
            raise _Stop(RunEnding.VIOLATED, operation.place, "a divisor is 0")
        return euclidean(left, right)[operation.operator == "%"]
    result = _FUNCTIONS[operation.operator](left, right)
    if result.bit_length() > MOST_VALUE_BITS:
        raise _Stop(RunEnding.TOO_LARGE, operation.place, f"an integer has more than {MOST_VALUE_BITS} bits")
    return result


#: Operators that do not look at their second operand where the first has this value.
_DECIDED_BY_FIRST = {"and": False, "or": True, "implies": False}
_FUNCTIONS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
