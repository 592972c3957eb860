"""The value of a term at a point, exactly, within bounds on the size of its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.terms import (
    All,
    Compare,
    Defined,
    Equivalent,
    Formula,
    Literal,
    MathTerm,
    Name,
    Some,
)

LARGEST_NUMBER = 4_096
"""Bits of a numerator or denominator: 10**10**10 is not computed."""
LARGEST_FACTORIAL = 300
NumberPoint = Mapping[str, Fraction]


class UndefinedValueError(ArithmeticError):
    """Raised where a divisor is zero, or zero is raised to a power that is not positive."""


def exact_value(term: MathTerm, point: NumberPoint) -> Fraction:
    """Raises UndefinedValueError, and MathematicsSubsetError for what is too large or not in the subset."""
    if isinstance(term, Literal):
        return term.value
    if isinstance(term, Name):
        return point[term.name]
    values = [exact_value(one, point) for one in term.arguments]
    return _bounded(_apply(term.operator, values))


def holds(formula: Formula, point: NumberPoint) -> bool:
    """Whether ``formula`` is true at ``point``. Raises MathematicsSubsetError as ``exact_value`` does."""
    match formula:
        case Compare():
            try:
                left, right = exact_value(formula.left, point), exact_value(formula.right, point)
            except UndefinedValueError:
                return False
            return _compare(formula.relation, left, right)
        case Defined():
            try:
                exact_value(formula.term, point)
            except UndefinedValueError:
                return False
            return True
        case All():
            return all(holds(part, point) for part in formula.parts)
        case Some():
            return any(holds(part, point) for part in formula.parts)
        case Equivalent():
            return holds(formula.left, point) == holds(formula.right, point)


def _compare(relation: str, left: Fraction, right: Fraction) -> bool:
    match relation:
        case "=":
            return left == right
        case "≠":
            return left != right
        case "<":
            return left < right
        case ">":
            return left > right
        case "≤":
            return left <= right
        case _:
            return left >= right


def _apply(operator: str, values: list[Fraction]) -> Fraction:
    match operator:
        case "+":
            return sum(values, Fraction(0))
        case "*":
            return _product(values)
        case "neg":
            return -values[0]
        case "abs":
            return abs(values[0])
        case "min":
            return min(values)
        case "max":
            return max(values)
        case "/":
            return values[0] / _divisor(values[1])
        case "^":
            return _power(values[0], values[1])
        case "sqrt":
            return _root(values[0])
        case _:
            return Fraction(_of_integers(operator, [_integer(operator, value) for value in values]))


def _of_integers(operator: str, values: list[int]) -> int:
    match operator:
        case "//":
            return values[0] // int(_divisor(Fraction(values[1])))
        case "%":
            return values[0] % int(_divisor(Fraction(values[1])))
        case "gcd":
            return math.gcd(*values)
        case "lcm":
            return math.lcm(*values)
        case _:
            if not 0 <= values[0] <= LARGEST_FACTORIAL:
                raise MathematicsSubsetError(f"the factorial of {values[0]} is not in the subset")
            return math.factorial(values[0])


def _product(values: list[Fraction]) -> Fraction:
    product = Fraction(1)
    for value in values:
        product = _bounded(product * value)
    return product


def _divisor(value: Fraction) -> Fraction:
    if value == 0:
        raise UndefinedValueError("a divisor is zero")
    return value


def _integer(operator: str, value: Fraction) -> int:
    if value.denominator != 1:
        raise MathematicsSubsetError(f"{operator} of a number that is no integer is not in the subset")
    return value.numerator


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        raise MathematicsSubsetError("a power whose exponent is no integer is not in the subset")
    if base == 0 and exponent <= 0:
        raise UndefinedValueError("zero is raised to a power that is not positive")
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits > 1 and bits * abs(exponent.numerator) > 2 * LARGEST_NUMBER:
        raise MathematicsSubsetError(f"a power has more than {LARGEST_NUMBER} bits")
    if bits <= 1:  # 1 and -1: only whether the exponent is odd matters, and it may be enormous
        return base if exponent.numerator % 2 else base * base
    return base**exponent.numerator


def _root(value: Fraction) -> Fraction:
    if value < 0:
        raise MathematicsSubsetError("the root of a negative number is not in the subset")
    root = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
    if root * root != value:
        raise MathematicsSubsetError("a root that is not rational is not in the subset")
    return root


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > LARGEST_NUMBER:
        raise MathematicsSubsetError(f"a number has more than {LARGEST_NUMBER} bits")
    return value
