"""From plain text to a term or a chain of comparisons.

What may mean two things is refused, not guessed: ``1/2x``, ``2 1/2``, ``1,23``, ``5!=120``, ``f(x)``, ``xy``.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from lark import Lark, Transformer, UnexpectedInput, UnexpectedToken
from lark.exceptions import VisitError

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.characters import require_latin
from nexus_chain.distillation.judge.mathematics.terms import FUNCTIONS, RELATIONS, Apply, Literal, MathTerm, Name, depth

LONGEST_EXPRESSION = 4_000
"""Characters of one expression."""
DEEPEST_TERM = 60
"""Operators within operators."""
MOST_DIGITS = 300
"""Digits of one number."""

_GRAMMAR = r"""
start: sum (RELATION sum)*
?sum: product | sum "+" product -> plus | sum "-" product -> minus
?product: unary | product "*" unary -> times | product "/" unary -> over
    | product FLOORED unary -> divided | product MODULO unary -> divided
?unary: "-" unary -> negative | "+" unary | juxtaposed
?juxtaposed: power | juxtaposed follower -> beside
?power: postfix | postfix POWER exponent -> power
?follower: open_postfix | open_postfix POWER exponent -> power
?exponent: power | "-" exponent -> negative
?postfix: atom | atom "!" -> factorial | atom PERCENT -> percent
?open_postfix: open | open "!" -> factorial | open PERCENT -> percent
?atom: open | NUMBER -> number | "[" sum "]" -> group | "{" sum "}" -> group
    | "\\frac" "{" sum "}" "{" sum "}" -> fraction
    | "\\frac" TWO_DIGITS -> short_fraction
?open: NAME -> name | "(" sum ")" -> group | FUNCTION "(" sum ("," sum)* ")" -> function
    | "√" "{" sum "}" -> root | "√" "(" sum ")" -> root | "√" NUMBER -> root_of_number
RELATION: "==" | "=" | "!=" | "≠" | "<=" | "≤" | "<" | ">=" | "≥" | ">"
FLOORED: "//"
POWER: "**" | "^"
PERCENT.2: /%(?=\s*(?:$|[)\]},=<>≤≥≠*\/^]))/
MODULO.2: /%(?=\s*[0-9A-Za-z({\[\\])/ | /mod(?![A-Za-z])/
FUNCTION.3: /(?:abs|sqrt|factorial|min|max|gcd|lcm)(?=\s*\()/
TWO_DIGITS.4: /[0-9][0-9](?![0-9.,])/
NUMBER: /[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?(?![\d,])/ | /\d+(?:\.\d+)?/ | /\.\d+/
NAME: /[A-Za-z]+[0-9]*(?:_[A-Za-z0-9]+)?/
%ignore /[ \t]+/
"""
_GROUPS = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_DIGITS_AND_COMMAS = re.compile(r"\d+(?:,\d+)+")
_BARS = re.compile(r"\|([^|]*)\|")
_WORD = re.compile(r"[A-Za-z]{2,}[0-9]*(?:_[A-Za-z0-9]+)?")
_RESERVED = frozenset({*FUNCTIONS, "mod", "frac"})
_SPACE_BETWEEN_OPERANDS = re.compile(r"[\w)\]}] +(?!mod\b)[A-Za-z(√]")
_NAMES_OF_FUNCTIONS = frozenset("fghFGHP")


class _Chain:
    """Operands of one level, not yet closed by a parenthesis."""

    def __init__(self, operator: str, operands: list[MathTerm]) -> None:
        self.operator, self.operands = operator, operands


def _closed(part: MathTerm | _Chain) -> MathTerm:
    if isinstance(part, _Chain):
        return Apply("*" if part.operator == "beside" else part.operator, tuple(part.operands))
    return part


def _chained(operator: str, left: MathTerm | _Chain, right: MathTerm | _Chain) -> _Chain:
    if isinstance(left, _Chain) and left.operator == operator:
        left.operands.append(_closed(right))
        return left
    return _Chain(operator, [_closed(left), _closed(right)])


class _Terms(Transformer[Any, Any]):
    """What each rule of the grammar makes."""

    def start(self, parts: list[Any]) -> tuple[tuple[MathTerm, ...], tuple[str, ...]]:
        return tuple(map(_closed, parts[::2])), tuple(RELATIONS[str(one)] for one in parts[1::2])

    def plus(self, parts: list[Any]) -> _Chain:
        return _chained("+", *parts)

    def minus(self, parts: list[Any]) -> _Chain:
        return _chained("+", parts[0], Apply("neg", (_closed(parts[1]),)))

    def times(self, parts: list[Any]) -> _Chain:
        return _chained("*", *parts)

    def over(self, parts: list[Any]) -> MathTerm:
        return self._quotient("/", *parts)

    def divided(self, parts: list[Any]) -> MathTerm:
        return self._quotient("//" if parts[1] == "//" else "%", parts[0], parts[2])

    def _quotient(self, sign: str, left: MathTerm | _Chain, right: MathTerm | _Chain) -> MathTerm:
        if isinstance(right, _Chain):
            raise MathematicsSubsetError(f"a product without a sign after {sign} may be divided by as a whole or not")
        return Apply(sign, (_closed(left), right))

    def negative(self, parts: list[Any]) -> MathTerm | _Chain:
        # The sign goes to a product without signs as a whole, and "1/-2x" stays as ambiguous as "1/2x".
        if isinstance(parts[0], _Chain):
            return _Chain("beside", [Apply("neg", (parts[0].operands[0],)), *parts[0].operands[1:]])
        return Apply("neg", (parts[0],))

    def beside(self, parts: list[Any]) -> _Chain:
        left, right = parts
        last = left.operands[-1] if isinstance(left, _Chain) else left
        if isinstance(last, Name) and last.name in _NAMES_OF_FUNCTIONS:
            raise MathematicsSubsetError(f"{last.name}(…) may be a product or the value of a function")
        return _chained("beside", left, right)

    def power(self, parts: list[Any]) -> MathTerm:
        return Apply("^", (parts[0], _closed(parts[2])))

    def factorial(self, parts: list[Any]) -> MathTerm:
        return Apply("!", (parts[0],))

    def percent(self, parts: list[Any]) -> MathTerm:
        return Apply("/", (parts[0], Literal(Fraction(100))))

    def number(self, parts: list[Any]) -> MathTerm:
        return _number(parts[0])

    def name(self, parts: list[Any]) -> MathTerm:
        if parts[0] in _RESERVED:
            raise MathematicsSubsetError(f"{str(parts[0])!r} lacks its arguments")
        return Name(str(parts[0]))

    def group(self, parts: list[Any]) -> MathTerm:
        return _closed(parts[0])

    def function(self, parts: list[Any]) -> MathTerm:
        name, arguments = str(parts[0]), tuple(map(_closed, parts[1:]))
        least = FUNCTIONS[name]
        if len(arguments) < least or (least == 1 and len(arguments) > 1):
            raise MathematicsSubsetError(f"{name} does not take {len(arguments)} arguments")
        return Apply("!" if name == "factorial" else name, arguments)

    def fraction(self, parts: list[Any]) -> MathTerm:
        return Apply("/", (_closed(parts[0]), _closed(parts[1])))

    def short_fraction(self, parts: list[Any]) -> MathTerm:
        first, second = (Literal(Fraction(digit)) for digit in str(parts[0]) if digit.isdigit())
        return Apply("/", (first, second))

    def root(self, parts: list[Any]) -> MathTerm:
        return Apply("sqrt", (_closed(parts[0]),))

    def root_of_number(self, parts: list[Any]) -> MathTerm:
        return Apply("sqrt", (_number(parts[0]),))


def _number(text: str) -> Literal:
    if len(text) > MOST_DIGITS:
        raise MathematicsSubsetError(f"a number has more than {MOST_DIGITS} digits")
    return Literal(Fraction(text.replace(",", "")))


_PARSER = Lark(_GRAMMAR, parser="lalr", transformer=_Terms(), propagate_positions=False)


def parse_chain(text: str, words: frozenset[str] = frozenset()) -> tuple[tuple[MathTerm, ...], tuple[str, ...]]:
    """The terms of ``text`` and the relations between them (none: it is one expression).

    ``text`` is plain (see ``characters``); ``words``: variables of more than one letter.
    Raises MathematicsSubsetError.
    """
    if len(text) > LONGEST_EXPRESSION:
        raise MathematicsSubsetError(f"an expression is longer than {LONGEST_EXPRESSION} characters")
    require_latin(text)
    _require_clear_bars(text)
    text = _BARS.sub(r" abs(\1) ", text)
    _require_clear(text, words)
    try:
        parsed: Any = _PARSER.parse(text)
    except VisitError as error:
        if isinstance(error.orig_exc, MathematicsSubsetError):
            raise error.orig_exc from None
        raise
    except UnexpectedInput as error:
        ended = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        place = "" if ended else text[max(0, error.pos_in_stream or 0) :][:20].strip()
        raise MathematicsSubsetError(f"it cannot be read at {place!r}" if place else "it ends too early") from None
    terms: tuple[MathTerm, ...] = parsed[0]
    relations: tuple[str, ...] = parsed[1]
    if len(relations) > 1 and _SPACE_BETWEEN_OPERANDS.search(text):
        raise MathematicsSubsetError("a space may multiply, or stand between two statements")
    if max(map(depth, terms)) > DEEPEST_TERM:
        raise MathematicsSubsetError(f"operators are nested deeper than {DEEPEST_TERM}")
    return terms, relations


def parse_term(text: str, words: frozenset[str] = frozenset()) -> MathTerm:
    """One expression. Raises MathematicsSubsetError, also for a comparison."""
    terms, relations = parse_chain(text, words)
    if relations:
        raise MathematicsSubsetError("it is a comparison and not an expression")
    return terms[0]


def _require_clear(text: str, words: frozenset[str]) -> None:
    if re.search(r"[\w)\]}]!=", text):
        raise MathematicsSubsetError("'!=' may be a factorial or 'is not equal'")
    if "|" in text:
        raise MathematicsSubsetError("a bar | has no partner")
    _require_clear_commas(text)
    if re.search(r"\d[eE][+-]?\d", text):
        raise MathematicsSubsetError("'e' after a number may be a power of ten or a variable")
    for word in _WORD.findall(text):
        if word in words or word in _RESERVED:
            continue
        raise MathematicsSubsetError(f"{word!r} is not in the subset")
    for name in ("e", "i"):
        if name not in words and re.search(rf"(?<![A-Za-z\\_]){name}(?![A-Za-z0-9_])", text):
            raise MathematicsSubsetError(f"{name!r} may be a constant or a variable")


def _require_clear_bars(text: str) -> None:
    """ "|x|y|z|" has two readings; between "|x| + |y|" a sign says that the inner bars are no pair."""
    for between in text.split("|")[2:-1:2]:
        if not re.search(r"[-+*/^=<>≤≥≠(,]\s*$", between):
            raise MathematicsSubsetError("a bar | may have two partners")


def _require_clear_commas(text: str) -> None:
    """Digits around a comma are one number in groups of three, or within brackets a list; all else is unclear."""
    depth_of_brackets, depths = 0, []
    for character in text:
        depth_of_brackets += (character in "([{") - (character in ")]}")
        depths.append(depth_of_brackets)
    for match in _DIGITS_AND_COMMAS.finditer(text):
        groups = _GROUPS.fullmatch(match.group()) is not None
        if groups == (depths[match.start()] > 0):
            raise MathematicsSubsetError(f"the comma in {match.group()!r} may separate digits or numbers")
