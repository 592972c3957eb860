"""Terms over unbounded integers and booleans: the language between Python and SMT-LIB.

Python's ``int`` is unbounded, and so is SMT's ``Int``: nothing overflows. A term knows an interval that it lies in, so
that a loop over a small domain ends while it is unrolled, without asking a solver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from nexus_chain.distillation.judge.python.errors import OutsideSubsetError

MOST_TERMS = 40_000
"""Terms of one claim; beyond, the translation stops."""
LARGEST_CONSTANT = 4_096
"""Bits of a constant; beyond, the translation stops."""
_LARGEST_BOUND = 512  # bits; beyond, no bound is remembered
Bound = int | None
"""None: no bound on this side."""


class Sort(StrEnum):
    """The two sorts, as SMT-LIB spells them."""

    INT = "Int"
    BOOL = "Bool"


@dataclass(frozen=True, eq=False)
class Term:
    """``operator`` over ``arguments``; a constant has a ``value``, a variable a ``name``. Equal terms are one."""

    operator: str
    sort: Sort
    arguments: tuple[Term, ...] = ()
    value: int | bool | None = None
    name: str = ""
    low: Bound = None
    high: Bound = None


class TermBank:
    """Makes the terms of one claim, each once, and simplifies what constants and intervals decide."""

    def __init__(self) -> None:
        self._terms: dict[tuple[object, ...], Term] = {}
        self.true, self.false = self.boolean(True), self.boolean(False)

    def _term(
        self, operator: str, sort: Sort, arguments: tuple[Term, ...], low: Bound = None, high: Bound = None
    ) -> Term:
        key = (operator, *map(id, arguments))
        if key not in self._terms:
            self._keep(key, Term(operator, sort, arguments, low=_kept(low), high=_kept(high)))
        return self._terms[key]

    def _keep(self, key: tuple[object, ...], term: Term) -> None:
        if len(self._terms) >= MOST_TERMS:
            raise OutsideSubsetError(f"the code needs more than {MOST_TERMS} terms")
        self._terms[key] = term

    def integer(self, value: int) -> Term:
        if value.bit_length() > LARGEST_CONSTANT:
            raise OutsideSubsetError(f"a number of more than {LARGEST_CONSTANT} bits")
        key = ("integer", value)
        if key not in self._terms:
            self._keep(key, Term("constant", Sort.INT, value=value, low=value, high=value))
        return self._terms[key]

    def boolean(self, value: bool) -> Term:
        key = ("boolean", value)
        if key not in self._terms:
            self._keep(key, Term("constant", Sort.BOOL, value=value))
        return self._terms[key]

    def variable(self, name: str, sort: Sort, low: Bound = None, high: Bound = None) -> Term:
        """A free constant. Whoever solves asserts that it lies in its interval."""
        key = ("variable", name)
        if key not in self._terms:
            self._keep(key, Term("variable", sort, name=name, low=low, high=high))
        return self._terms[key]

    # --- booleans ---

    def negate(self, term: Term) -> Term:
        if term.value is not None:
            return self.boolean(not term.value)
        return term.arguments[0] if term.operator == "not" else self._term("not", Sort.BOOL, (term,))

    def all_of(self, *terms: Term) -> Term:
        return self._connective("and", self.true, self.false, terms)

    def any_of(self, *terms: Term) -> Term:
        return self._connective("or", self.false, self.true, terms)

    def _connective(self, operator: str, neutral: Term, absorbing: Term, terms: Iterable[Term]) -> Term:
        kept = list(dict.fromkeys(term for term in terms if term is not neutral))
        if absorbing in kept or any(term.operator == "not" and term.arguments[0] in kept for term in kept):
            return absorbing
        if len(kept) <= 1:
            return kept[0] if kept else neutral
        return self._term(operator, Sort.BOOL, tuple(kept))

    # --- integers ---

    def add(self, left: Term, right: Term) -> Term:
        if left.value is not None and right.value is not None:
            return self.integer(left.value + right.value)
        if left.value == 0 or right.value == 0:
            return right if left.value == 0 else left
        return self._term("+", Sort.INT, (left, right), _plus(left.low, right.low), _plus(left.high, right.high))

    def negative(self, term: Term) -> Term:
        if term.value is not None:
            return self.integer(-term.value)
        low, high = (None if bound is None else -bound for bound in (term.high, term.low))
        return self._term("-", Sort.INT, (term,), low, high)

    def subtract(self, left: Term, right: Term) -> Term:
        return self.integer(0) if left is right else self.add(left, self.negative(right))

    def multiply(self, left: Term, right: Term) -> Term:
        for factor, other in ((left, right), (right, left)):
            if factor.value in (0, 1):
                return other if factor.value == 1 else self.integer(0)
        ends = [_times(a, b) for a in (left.low, left.high) for b in (right.low, right.high)]
        known = [end for end in ends if end is not None]
        low, high = (min(known), max(known)) if len(known) == len(ends) else (None, None)
        if left is right:
            low = max(0, low or 0)
        if left.value is not None and right.value is not None:
            return self.integer(left.value * right.value)
        return self._term("*", Sort.INT, (left, right), low, high)

    def floor_divide(self, left: Term, right: Term) -> Term:
        """Python's ``//``; where ``right`` is 0, any value: whoever divides has raised."""
        if left.value is not None and right.value:
            return self.integer(left.value // right.value)
        return self._by_sign(right, self._positive_divide(left, right), lambda: self._negative_divide(left, right))

    def floor_remainder(self, left: Term, right: Term) -> Term:
        """Python's ``%``: it has the sign of ``right``."""
        if left.value is not None and right.value:
            return self.integer(left.value % right.value)
        return self._by_sign(
            right, self._positive_remainder(left, right), lambda: self._negative_remainder(left, right)
        )

    def _by_sign(self, divisor: Term, positive: Term, negative: Callable[[], Term]) -> Term:
        if divisor.low is not None and divisor.low >= 0:
            return positive
        other = negative()
        if divisor.high is not None and divisor.high <= 0:
            return other
        return self.choose(self.less(self.integer(0), divisor), positive, other)

    def _positive_divide(self, left: Term, right: Term) -> Term:
        """SMT-LIB's ``div`` is Python's for a positive divisor, and only there."""
        low = high = None
        if right.value is not None and right.value > 0:
            low, high = (None if bound is None else bound // right.value for bound in (left.low, left.high))
        elif right.low is not None and right.low >= 0:
            low = None if left.low is None else min(left.low, 0)
            high = None if left.high is None else max(left.high, 0)
        return self._term("div", Sort.INT, (left, right), low, high)

    def _negative_divide(self, left: Term, right: Term) -> Term:
        return self._positive_divide(self.negative(left), self.negative(right))

    def _positive_remainder(self, left: Term, right: Term) -> Term:
        """The interval is that of a positive divisor: nobody looks at the others."""
        low = high = None
        if right.low is not None and right.low >= 0:
            low = 0
            high = None if right.high is None else max(0, right.high - 1)
            if left.low is not None and left.low >= 0 and left.high is not None:
                high = left.high if high is None else min(high, left.high)
        return self._term("mod", Sort.INT, (left, right), low, high)

    def _negative_remainder(self, left: Term, right: Term) -> Term:
        return self.negative(self._positive_remainder(self.negative(left), self.negative(right)))

    # --- comparisons and choice ---

    def less(self, left: Term, right: Term) -> Term:
        if left is right or _below(right.high, left.low, strictly=False):
            return self.false
        if _below(left.high, right.low, strictly=True):
            return self.true
        return self._term("<", Sort.BOOL, (left, right))

    def at_most(self, left: Term, right: Term) -> Term:
        return self.negate(self.less(right, left))

    def equal(self, left: Term, right: Term) -> Term:
        """Of two terms of one sort."""
        if left is right:
            return self.true
        if left.value is not None and right.value is not None:
            return self.boolean(left.value == right.value)
        if left.sort is Sort.INT and (
            _below(left.high, right.low, strictly=True) or _below(right.high, left.low, strictly=True)
        ):
            return self.false
        return self._term("=", Sort.BOOL, (left, right))

    def choose(self, condition: Term, left: Term, right: Term) -> Term:
        """``left`` where ``condition`` holds, else ``right``."""
        if condition.value is not None:
            return left if condition.value else right
        if left is right:
            return left
        if left.sort is Sort.BOOL:
            return self.any_of(self.all_of(condition, left), self.all_of(self.negate(condition), right))
        low = None if left.low is None or right.low is None else min(left.low, right.low)
        high = None if left.high is None or right.high is None else max(left.high, right.high)
        return self._term("ite", Sort.INT, (condition, left, right), low, high)


def evaluate_term(term: Term, values: Mapping[str, int | bool]) -> int | bool:
    """The term's value for ``values`` of its variables. Division by zero gives 0: no term depends on it."""
    known: dict[Term, int | bool] = {}
    waiting = [term]
    while waiting:
        current = waiting[-1]
        missing = [argument for argument in current.arguments if argument not in known]
        if missing:
            waiting += missing
            continue
        waiting.pop()
        known[current] = _value(current, [known[argument] for argument in current.arguments], values)
    return known[term]


def _value(term: Term, arguments: list[int | bool], values: Mapping[str, int | bool]) -> int | bool:
    if term.operator == "constant" and term.value is not None:
        return term.value
    if term.operator == "variable":
        return values[term.name]
    if term.operator in ("div", "mod"):
        left, right = arguments
        return 0 if right == 0 else (left // right if term.operator == "div" else left % right)
    if term.operator == "ite":
        return arguments[1] if arguments[0] else arguments[2]
    if term.operator in ("and", "or"):
        return all(arguments) if term.operator == "and" else any(arguments)
    if term.operator in ("not", "-"):
        return not arguments[0] if term.operator == "not" else -arguments[0]
    left, right = arguments
    return {"+": left + right, "*": left * right, "<": left < right, "=": left == right}[term.operator]


def _kept(bound: Bound) -> Bound:
    return None if bound is None or bound.bit_length() > _LARGEST_BOUND else bound


def _plus(left: Bound, right: Bound) -> Bound:
    return None if left is None or right is None else left + right


def _times(left: Bound, right: Bound) -> Bound:
    return None if left is None or right is None else left * right


def _below(left: Bound, right: Bound, *, strictly: bool) -> bool:
    """Whether the bounds show left < right, or left <= right."""
    return left is not None and right is not None and (left < right if strictly else left <= right)
