"""Terms as SMT-LIB. ``a // b`` and ``a % b`` round down, whatever the divisor's sign (SMT-LIB's ``div`` does not)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.domain import Numbers
from nexus_chain.distillation.judge.mathematics.exact import UndefinedValueError, exact_value
from nexus_chain.distillation.judge.mathematics.terms import Apply, Literal, MathTerm, Name, names_in

LARGEST_DEGREE = 40
"""The exponent of a part that has variables."""
LARGEST_POWER_OF_NUMBER = 10_000
"""The exponent of a number, which may be 0 or 1."""
PREFIX = "v_"
"""Before each variable: no name of a claim is a word of SMT-LIB."""


def smt_number(value: Fraction, sort: str) -> str:
    """An exact number of ``sort``, Int or Real."""
    if value < 0:
        return f"(- {smt_number(-value, sort)})"
    if sort == "Int":
        return str(value.numerator)
    return f"{value.numerator}.0" if value.denominator == 1 else f"(/ {value.numerator}.0 {value.denominator}.0)"


class TermWriter:
    """``has_integers``: whether anything of sort Int was written."""

    def __init__(self, numbers: Mapping[str, Numbers]) -> None:
        self.has_integers = any(one.kind == "integers" for one in numbers.values())
        self._numbers = numbers
        self._all_real = bool(numbers) and not self.has_integers
        self._longest_gcd = -1  # how many divisions Euclid's algorithm takes at most, over all that is written

    def definitions(self) -> Iterator[str]:
        """Euclid's algorithm, unrolled as far as the written numbers need it."""
        if self._longest_gcd >= 0:
            yield "(define-fun gcd0 ((a Int) (b Int)) Int (abs a))"
        for step in range(1, self._longest_gcd + 1):
            rest = f"(gcd{step - 1} b (mod a b))"
            yield f"(define-fun gcd{step} ((a Int) (b Int)) Int (ite (= b 0) (abs a) {rest}))"

    def compared(self, term: MathTerm) -> str:
        """The sort that a term is compared in: Real beside variables that are all Real."""
        sort = self._sort(term)
        return "Real" if self._all_real else sort

    def _sort(self, term: MathTerm) -> str:
        """Int where every part of it is an integer."""
        if isinstance(term, Literal):
            return "Int" if term.value.denominator == 1 else "Real"
        if isinstance(term, Name):
            return "Int" if self._numbers[term.name].kind == "integers" else "Real"
        if term.operator in ("//", "%", "gcd", "lcm", "!"):
            for one in term.arguments:
                if self._sort(one) != "Int":
                    raise MathematicsSubsetError(f"{term.operator} of what may be no integer is not in the subset")
            return "Int"
        if term.operator == "/" or (term.operator == "^" and self._exponent(term) < 0):
            return "Real"
        if term.operator == "sqrt":
            return "Int" if _constant(term).denominator == 1 else "Real"
        return "Int" if all(self._sort(one) == "Int" for one in term.arguments) else "Real"

    def conditions(self, term: MathTerm) -> Iterator[str]:
        """What must hold so that the term is defined."""
        if not isinstance(term, Apply):
            return
        for one in term.arguments:
            yield from self.conditions(one)
        divisor = None
        if term.operator in ("/", "//", "%"):
            divisor = term.arguments[1]
        elif term.operator == "^" and self._exponent(term) <= 0:
            divisor = term.arguments[0]
        if divisor is not None and not (isinstance(divisor, Literal) and divisor.value):
            sort = self.compared(divisor)
            yield f"(distinct {self.term(divisor, sort)} {smt_number(Fraction(0), sort)})"
        if term.operator == "sqrt":
            root = smt_number(_constant(term), "Real")
            yield f"(= (* {root} {root}) {self.term(term.arguments[0], 'Real')})"

    def term(self, term: MathTerm, sort: str) -> str:
        """The term in ``sort``; an integer may be written as a Real."""
        if isinstance(term, Literal):
            return smt_number(term.value, sort)
        if isinstance(term, Name):
            name = PREFIX + term.name
            return f"(to_real {name})" if sort == "Real" and self._sort(term) == "Int" else name
        operator, arguments = term.operator, term.arguments
        if operator in ("//", "%", "gcd", "lcm", "!"):
            self._sort(term)
            self.has_integers = True
            text = self._of_integers(term)
            return f"(to_real {text})" if sort == "Real" else text
        if operator == "sqrt":
            return smt_number(_constant(term), sort)
        if operator == "^":
            return self._power(term, sort)
        inner = [self.term(one, sort) for one in arguments]
        match operator:
            case "neg":
                return f"(- {inner[0]})"
            case "abs":
                zero = smt_number(Fraction(0), sort)
                return f"(let ((a {inner[0]})) (ite (< a {zero}) (- a) a))"
            case "min" | "max":
                return _extreme("<=" if operator == "min" else ">=", inner)
            case _:
                return f"({operator} {' '.join(inner)})"

    def _of_integers(self, term: Apply) -> str:
        inner = [self.term(one, "Int") for one in term.arguments]
        match term.operator:
            case "//":
                return _floored(*inner)
            case "%":
                return f"(let ((a {inner[0]}) (b {inner[1]})) (- a (* b {_floored('a', 'b')})))"
            case "!":
                _constant(term)
                value = int(_constant(term.arguments[0]))
                return f"(* {' '.join(map(str, range(1, value + 1)))})" if value > 1 else "1"
            case _:
                return self._common(term, inner)

    def _common(self, term: Apply, inner: list[str]) -> str:
        """gcd or lcm, two by two."""
        values = [int(_constant(one)) for one in term.arguments]
        text, value = inner[0], values[0]
        for other_text, other in zip(inner[1:], values[1:], strict=True):
            steps = _euclid_steps(value, other)
            self._longest_gcd = max(self._longest_gcd, steps)
            common = f"(gcd{steps} {text} {other_text})"
            if term.operator == "gcd":
                text, value = common, math.gcd(value, other)
            elif value == 0 or other == 0:
                raise MathematicsSubsetError("lcm of zero is not in the subset")
            else:
                text, value = f"(div (abs (* {text} {other_text})) {common})", math.lcm(value, other)
        return text

    def _exponent(self, term: Apply) -> int:
        exponent = _constant(term.arguments[1])
        if exponent.denominator != 1:
            raise MathematicsSubsetError("a power whose exponent is no integer is not in the subset")
        return exponent.numerator

    def _power(self, term: Apply, sort: str) -> str:
        base, exponent = term.arguments[0], self._exponent(term)
        if names_in(base):
            if abs(exponent) > LARGEST_DEGREE:
                raise MathematicsSubsetError(f"a variable to a power above {LARGEST_DEGREE} is not in the subset")
        else:
            try:
                exact_value(term, {})
            except UndefinedValueError:
                exponent = min(exponent, 0)
        if abs(exponent) > LARGEST_POWER_OF_NUMBER:
            raise MathematicsSubsetError(f"an exponent above {LARGEST_POWER_OF_NUMBER} is not in the subset")
        one = smt_number(Fraction(1), sort)
        if exponent == 0:
            if names_in(base):
                raise MathematicsSubsetError("zero to the power of zero is 1 for some and nothing for others")
            return one
        text = _repeated(self.term(base, sort), abs(exponent))
        return text if exponent > 0 else f"(/ {one} {text})"


def _extreme(relation: str, inner: list[str]) -> str:
    text = inner[0]
    for other in inner[1:]:
        text = f"(let ((a {text}) (b {other})) (ite ({relation} a b) a b))"
    return text


def _floored(dividend: str, divisor: str) -> str:
    """Euclid's division, which SMT-LIB has, rounds down where the divisor is positive."""
    if divisor.isdigit() and divisor != "0":
        return f"(div {dividend} {divisor})"
    return f"(let ((p {dividend}) (q {divisor})) (ite (> q 0) (div p q) (div (- p) (- q))))"


def _repeated(text: str, times: int) -> str:
    if times == 1:
        return text
    if times <= 16:
        return f"(let ((p {text})) (* {' '.join(['p'] * times)}))"
    half = _repeated("p", times // 2)
    product = "(* h h p)" if times % 2 else "(* h h)"
    return f"(let ((p {text})) (let ((h {half})) {product}))"


def _constant(term: MathTerm) -> Fraction:
    """The value of a part that must have no variables, and be defined."""
    if names_in(term):
        raise MathematicsSubsetError("an exponent, factorial, root, gcd or lcm of a variable is not in the subset")
    try:
        return exact_value(term, {})
    except UndefinedValueError as error:
        raise MathematicsSubsetError(str(error)) from error


def _euclid_steps(first: int, second: int) -> int:
    first, second, steps = abs(first), abs(second), 0
    while second:
        first, second, steps = second, first % second, steps + 1
    return steps
