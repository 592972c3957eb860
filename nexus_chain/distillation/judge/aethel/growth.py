"""How large the values of a program can become, before any solver multiplies them out.

Thirty squarings of one number make more digits than a machine can hold, and no count of a solver's steps sees them.
A value's weight is 1 for a parameter, 1 and one more for every 64 bits of a literal, the sum for a product or a
division, and the larger one for all else: an upper bound of its degree as a polynomial and of its literals' words.
"""

from __future__ import annotations

from nexus_chain.distillation.judge.aethel.syntax import (
    AethelExpression,
    IntegerLiteral,
    IntentSequence,
    NamedValue,
    SolveAssignment,
    SolveStatement,
    TruthLiteral,
)
from nexus_chain.distillation.judge.errors import AethelError

HEAVIEST = 32
"""The largest weight that is judged."""

_Weights = dict[str, int]


def require_small_growth(sequence: IntentSequence) -> None:
    """AethelError, naming the place, where a value may weigh more than ``HEAVIEST``."""
    state = dict.fromkeys(sequence.parameters, 1)
    for intent in sequence.intents:
        old = dict(state)
        local = {one.name: state[one.name] for one in intent.parameters}
        for condition in intent.guard:
            _weight(condition, local, old)
        _grow(intent.solve, local, old)
        for condition in intent.verify:
            _weight(condition, local, old)
        state.update({one.name: local[one.name] for one in intent.parameters})


def _grow(block: tuple[SolveStatement, ...], weights: _Weights, old: _Weights) -> None:
    for statement in block:
        if isinstance(statement, SolveAssignment):
            weights[statement.name] = _weight(statement.value, weights, old)
            continue
        _weight(statement.condition, weights, old)
        then, otherwise = dict(weights), dict(weights)
        _grow(statement.then, then, old)
        _grow(statement.otherwise, otherwise, old)
        for name in then.keys() | otherwise.keys():
            weights[name] = max(then.get(name, 0), otherwise.get(name, 0))


def _weight(expression: AethelExpression, weights: _Weights, old: _Weights) -> int:
    if isinstance(expression, IntegerLiteral):
        return 1 + expression.value.bit_length() // 64
    if isinstance(expression, TruthLiteral):
        return 1
    if isinstance(expression, NamedValue):
        return (old if expression.old else weights)[expression.name]
    parts = [_weight(operand, weights, old) for operand in expression.operands]
    weight = sum(parts) if expression.operator in ("*", "/", "%") else max(parts)
    if weight > HEAVIEST:
        raise AethelError(f"{expression.place}: values grow too large to judge", advice="Multiply fewer of them.")
    return weight
