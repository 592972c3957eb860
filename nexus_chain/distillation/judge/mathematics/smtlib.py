"""A claim as SMT-LIB: what it supposes is asserted, what it says is negated; it holds where nothing satisfies both.

The text states the claim as it was written: nothing is simplified before a solver sees it. It is the same for the
same claim, wherever it is made. Integers are ``Int``, all others ``Real``: what holds for every real number holds for
every rational one. ``a // b`` and ``a % b`` round down, whatever the divisor's sign (SMT-LIB's ``div`` does not).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.domain import Numbers
from nexus_chain.distillation.judge.mathematics.term_writer import PREFIX, TermWriter, smt_number
from nexus_chain.distillation.judge.mathematics.terms import (
    All,
    Compare,
    Defined,
    Equivalent,
    Formula,
    Some,
)

LONGEST_OBLIGATION = 200_000
"""Characters of an obligation's text."""


def negation_text(supposed: tuple[Formula, ...], goal: Formula, numbers: Mapping[str, Numbers]) -> str:
    """Unsatisfiable exactly where ``goal`` holds wherever ``supposed`` does. Raises MathematicsSubsetError."""
    return _text(supposed, goal, numbers)


def witness_text(supposed: tuple[Formula, ...], numbers: Mapping[str, Numbers]) -> str:
    """Satisfiable where some point satisfies ``supposed``. Raises MathematicsSubsetError."""
    return _text(supposed, None, numbers)


def _text(supposed: tuple[Formula, ...], goal: Formula | None, numbers: Mapping[str, Numbers]) -> str:
    writer = TermWriter(numbers)
    lines = list[str]()
    for name in sorted(numbers):
        lines += _declaration(name, numbers[name])
    body = [f"(assert {_formula(one, writer)})" for one in supposed]
    if goal is not None:
        body.append(f"(assert (not {_formula(goal, writer)}))")
    only_reals = bool(numbers) and not writer.has_integers
    # Named so, Z3 and cvc5 use the decision procedures that are complete for real numbers; else they may not end.
    logic = "QF_NRA" if only_reals else "ALL"
    lines = [f"(set-logic {logic})", *lines, *writer.definitions(), *body, "(check-sat)", ""]
    text = "\n".join(lines)
    if len(text) > LONGEST_OBLIGATION:
        raise MathematicsSubsetError(f"the obligation has more than {LONGEST_OBLIGATION} characters")
    return text


def _declaration(name: str, numbers: Numbers) -> Iterator[str]:
    sort = "Int" if numbers.kind == "integers" else "Real"
    yield f"(declare-const {PREFIX}{name} {sort})"
    low, high = numbers.low, numbers.high
    if sort == "Int":
        low = None if low is None else Fraction(math.ceil(low))
        high = None if high is None else Fraction(math.floor(high))
    if low is not None:
        yield f"(assert (<= {smt_number(low, sort)} {PREFIX}{name}))"
    if high is not None:
        yield f"(assert (<= {PREFIX}{name} {smt_number(high, sort)}))"


def _formula(formula: Formula, writer: TermWriter) -> str:
    match formula:
        case Compare():
            return _compare(formula, writer)
        case Defined():
            return _and(list(writer.conditions(formula.term)))
        case All():
            return _and([_formula(part, writer) for part in formula.parts])
        case Some():
            parts = [_formula(part, writer) for part in formula.parts]
            return parts[0] if len(parts) == 1 else f"(or {' '.join(parts)})" if parts else "false"
        case Equivalent():
            return f"(= {_formula(formula.left, writer)} {_formula(formula.right, writer)})"


def _compare(formula: Compare, writer: TermWriter) -> str:
    sides = (formula.left, formula.right)
    sort = "Int" if all(writer.compared(side) == "Int" for side in sides) else "Real"
    left, right = (writer.term(side, sort) for side in sides)
    relation = {"=": "=", "≠": "distinct", "<": "<", ">": ">", "≤": "<=", "≥": ">="}[formula.relation]
    conditions = [condition for side in sides for condition in writer.conditions(side)]
    return _and([*dict.fromkeys(conditions), f"({relation} {left} {right})"])


def _and(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"(and {' '.join(parts)})" if parts else "true"
