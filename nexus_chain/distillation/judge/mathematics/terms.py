"""Terms and formulas, as the parser makes them and all others read them.

A comparison is *strict*: it holds where both sides are defined and it is true. So a formula is always true or false,
also where a divisor is zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Literal:
    """A literal, not negative."""

    value: Fraction


@dataclass(frozen=True)
class Name:
    """A variable."""

    name: str


@dataclass(frozen=True)
class Apply:
    """``operator`` is "+" or "*" (two or more arguments), "neg", "/", "//", "%", "^", "!" or a name of FUNCTIONS.

    "//" rounds down and "%" is what it leaves, as in Python: both are for integers.
    """

    operator: str
    arguments: tuple[MathTerm, ...]


MathTerm = Literal | Name | Apply

FUNCTIONS = {"abs": 1, "sqrt": 1, "factorial": 1, "min": 2, "max": 2, "gcd": 2, "lcm": 2}
"""The least number of arguments by name; from two on there may be more."""


@dataclass(frozen=True)
class Compare:
    """``relation`` is one of = ≠ < > ≤ ≥."""

    relation: str
    left: MathTerm
    right: MathTerm


@dataclass(frozen=True)
class Defined:
    """No divisor in ``term`` is zero."""

    term: MathTerm


@dataclass(frozen=True)
class All:
    """Each part holds; without parts it is true."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True)
class Some:
    """At least one part holds; without parts it is false."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True)
class Equivalent:
    """Both hold, or neither."""

    left: Formula
    right: Formula


Formula = Compare | Defined | All | Some | Equivalent
RELATIONS = {"=": "=", "==": "=", "≠": "≠", "!=": "≠", "<": "<", ">": ">", "≤": "≤", "<=": "≤", "≥": "≥", ">=": "≥"}


def names_in(part: MathTerm | Formula) -> frozenset[str]:
    """The variables of a term or formula."""
    if isinstance(part, Name):
        return frozenset({part.name})
    return frozenset().union(*(names_in(inner) for inner in _inside(part)))


def names_of(parts: Iterable[MathTerm | Formula]) -> frozenset[str]:
    """The variables of several terms or formulas together."""
    return frozenset[str]().union(*map(names_in, parts))


def is_one_of(term: MathTerm, values: Iterable[MathTerm]) -> Some:
    """``term`` equals at least one of ``values``."""
    return Some(tuple(Compare("=", term, value) for value in values))


def literals_in(part: MathTerm | Formula) -> frozenset[Fraction]:
    """The numbers that are written in it."""
    if isinstance(part, Literal):
        return frozenset({part.value})
    return frozenset().union(*(literals_in(inner) for inner in _inside(part)))


def operators_in(part: MathTerm | Formula) -> frozenset[Apply]:
    """Every application of an operator in it."""
    own = {part} if isinstance(part, Apply) else set()
    return frozenset(own).union(*(operators_in(inner) for inner in _inside(part)))


def _inside(part: MathTerm | Formula) -> Iterator[MathTerm | Formula]:
    match part:
        case Apply():
            yield from part.arguments
        case Compare() | Equivalent():
            yield part.left
            yield part.right
        case Defined():
            yield part.term
        case All() | Some():
            yield from part.parts


def depth(term: MathTerm) -> int:
    """How deep operators are nested. It does not recurse: others do, and must know first."""
    deepest, level = 0, [term]
    while True:
        level = [inner for one in level if isinstance(one, Apply) for inner in one.arguments]
        if not level:
            return deepest
        deepest += 1


_STRENGTH = {"+": 1, "neg": 4, "*": 3, "/": 3, "//": 3, "%": 3, "^": 5, "!": 6}
_ATOM = 7


def plain(part: MathTerm | Formula) -> str:
    """As a person writes it, with the parentheses that it needs; the parser reads a term back as it was."""
    match part:
        case Compare():
            return f"{plain(part.left)} {part.relation} {plain(part.right)}"
        case Defined():
            return f"{plain(part.term)} is defined"
        case All():
            return " and ".join(map(plain, part.parts)) or "true"
        case Some():
            return " or ".join(map(plain, part.parts)) or "no solution"
        case Equivalent():
            return f"({plain(part.left)}) exactly where ({plain(part.right)})"
        case _:
            return _plain_term(part)[0]


def _plain_term(term: MathTerm) -> tuple[str, int]:
    """The text, and how strongly it holds together."""
    if isinstance(term, Literal):
        return _decimal(term.value), _ATOM
    if isinstance(term, Name):
        return term.name, _ATOM
    operator, arguments = term.operator, term.arguments
    strength = _STRENGTH.get(operator, _ATOM)
    if operator in FUNCTIONS:
        return f"{operator}({', '.join(_plain_term(one)[0] for one in arguments)})", strength
    if operator == "neg":
        return f"-{_held(arguments[0], _STRENGTH['*'] + 1)}", strength
    if operator == "!":
        return f"{_held(arguments[0], _ATOM)}!", strength
    if operator == "+":
        return _plain_sum(arguments), strength
    if operator == "^":
        return f"{_held(arguments[0], _ATOM)}^{_held(arguments[1], _ATOM)}", strength
    # "7 % -2" could be a percentage from which two is taken.
    rest = [_held(one, strength + (2 if operator == "%" else 1)) for one in arguments[1:]]
    # A product's first factor that is a product itself keeps its parentheses: else both would be read as one.
    first = _held(arguments[0], strength + (operator == "*"))
    sign = f" {operator} " if operator in ("//", "%") else operator
    return sign.join([first, *rest]), strength


def _plain_sum(terms: tuple[MathTerm, ...]) -> str:
    text = _held(terms[0], _STRENGTH["*"])
    for term in terms[1:]:
        if isinstance(term, Apply) and term.operator == "neg":
            text += f" - {_held(term.arguments[0], _STRENGTH['*'])}"
        else:
            text += f" + {_held(term, _STRENGTH['*'])}"
    return text


def _held(term: MathTerm, strength: int) -> str:
    text, own = _plain_term(term)
    return text if own >= strength else f"({text})"


def _decimal(value: Fraction) -> str:
    """A literal's value has a finite decimal form, or it was made by somebody else than the parser: p/q."""
    if value.denominator == 1:
        return str(value.numerator)
    twos_and_fives = value.denominator
    for prime in (2, 5):
        while twos_and_fives % prime == 0:
            twos_and_fives //= prime
    if twos_and_fives != 1:
        return f"({value.numerator}/{value.denominator})"
    places = value.denominator.bit_length()
    digits = str(value.numerator * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}".rstrip("0")
