"""What must hold of a tree before it means anything: names are declared once, types fit, values exist before use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nexus_chain.distillation.judge.aethel.syntax import (
    BOOL_TYPE,
    INT_TYPE,
    MOST_INTENT_PARAMETERS,
    MOST_INTENTS,
    OPERATOR_TYPES,
    AethelExpression,
    AethelIntent,
    IntegerLiteral,
    IntentSequence,
    NamedValue,
    SolveAssignment,
    SolveStatement,
    SourcePlace,
    TruthLiteral,
)
from nexus_chain.distillation.judge.errors import AethelError

_Types = Mapping[str, str]
"""Type by name."""


def require_meaning(sequences: Iterable[IntentSequence]) -> None:
    """Raises AethelError, with line and column, for the first name or type that makes no sense."""
    seen = set[str]()
    count = 0
    for sequence in sequences:
        if sequence.name:
            _require_new(sequence.place, sequence.name, seen)
        shared: dict[str, str] = {}
        for intent in sequence.intents:
            _require_new(intent.place, intent.name, seen)
            count += 1
            if count > MOST_INTENTS:
                raise _error(intent.place, f"the source has more than {MOST_INTENTS} intents", "Judge it in parts.")
            _check_intent(intent, shared)


def _require_new(place: SourcePlace, name: str, seen: set[str]) -> None:
    if name in seen:
        raise _error(place, f"{name} is declared twice", "Give each intent, batch and parameter its own name.")
    seen.add(name)


def _check_intent(intent: AethelIntent, shared: dict[str, str]) -> None:
    """``shared``: types of the batch's parameters so far; this intent's are added."""
    parameters: dict[str, str] = {}
    names = set[str]()
    for one in intent.parameters:
        _require_new(one.place, one.name, names)
        if shared.setdefault(one.name, one.type) != one.type:
            raise _error(one.place, f"{one.name} has another type in this batch", "One name is one value in a batch.")
        parameters[one.name] = one.type
    if len(parameters) > MOST_INTENT_PARAMETERS:
        raise _error(intent.place, f"more than {MOST_INTENT_PARAMETERS} parameters", "Judge it in parts.")
    for condition in intent.guard:
        _require_type(condition, BOOL_TYPE, parameters, {})
    known = _check_block(intent.solve, dict(parameters), parameters)
    for condition in intent.verify:
        _require_type(condition, BOOL_TYPE, known, parameters)


def _check_block(block: tuple[SolveStatement, ...], known: dict[str, str], old: _Types) -> dict[str, str]:
    """The names that surely have values after ``block``."""
    for statement in block:
        if isinstance(statement, SolveAssignment):
            kind = _type(statement.value, known, old)
            if known.setdefault(statement.name, kind) != kind:
                raise _error(
                    statement.place, f"{statement.name} is {known[statement.name]}, not {kind}", "A type stays."
                )
            continue
        _require_type(statement.condition, BOOL_TYPE, known, old)
        then = _check_block(statement.then, dict(known), old)
        otherwise = _check_block(statement.otherwise, dict(known), old)
        for name in then.keys() & otherwise.keys():
            if then[name] != otherwise[name]:
                raise _error(statement.place, f"{name} has two types in the two branches", "A type stays.")
            known[name] = then[name]
    return known


def _require_type(expression: AethelExpression, wanted: str, known: _Types, old: _Types) -> None:
    found = _type(expression, known, old)
    if found != wanted:
        raise _error(expression.place, f"{wanted} is needed, and this is {found}", "Numbers are no truth values.")


def _type(expression: AethelExpression, known: _Types, old: _Types) -> str:
    if isinstance(expression, IntegerLiteral):
        return INT_TYPE
    if isinstance(expression, TruthLiteral):
        return BOOL_TYPE
    if isinstance(expression, NamedValue):
        return _type_of_name(expression, known, old)
    needed, result = OPERATOR_TYPES[expression.operator]
    needed = needed or _type(expression.operands[0], known, old)
    for operand in expression.operands:
        _require_type(operand, needed, known, old)
    return result


def _type_of_name(named: NamedValue, known: _Types, old: _Types) -> str:
    if named.old:
        if named.name not in old:
            raise _error(
                named.place,
                f"old({named.name}) means nothing here",
                "It is a parameter's value at the beginning, for solve and verify.",
            )
        return old[named.name]
    if named.name not in known:
        raise _error(
            named.place, f"{named.name} has no value here", "Make it a parameter, or assign it on every way to here."
        )
    return known[named.name]


def _error(place: SourcePlace, problem: str, advice: str) -> AethelError:
    return AethelError(f"{place}: {problem}", advice=advice)
