"""From a source to its syntax tree. What is no Aethel is refused with its line and column."""

from __future__ import annotations

from functools import cache
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, v_args
from lark.exceptions import UnexpectedToken

from nexus_chain.distillation.judge.aethel.characters import without_comments
from nexus_chain.distillation.judge.aethel.grammar import AETHEL_GRAMMAR
from nexus_chain.distillation.judge.aethel.syntax import (
    BOOL_TYPE,
    DEEPEST_BLOCK,
    DEEPEST_EXPRESSION,
    INT_TYPE,
    LONGEST_IDENTIFIER,
    LONGEST_NUMBER,
    AethelExpression,
    AethelIntent,
    AppliedOperator,
    IntegerLiteral,
    IntentParameter,
    IntentSequence,
    NamedValue,
    SolveAssignment,
    SolveBranch,
    SolveStatement,
    SourcePlace,
    TruthLiteral,
    depth_of,
)
from nexus_chain.distillation.judge.errors import AethelError

_DEEPEST_BRACKETS = 200
_SIGNS = {"!": "not", "&&": "and", "||": "or", "=>": "implies"}
_HINTS = {
    "COMPARISON": "Comparisons do not chain: write a < b and b < c.",
    "STAR": "There is no power operator: multiply.",
    "EQUAL": "Compare with ==; only solve assigns.",
}


def parse_aethel(source: str) -> tuple[IntentSequence, ...]:
    """The sequences of a source in their order. Raises AethelError. Types and names are not checked yet."""
    code = without_comments(source)
    _require_shallow(code)
    try:
        parsed: tuple[IntentSequence, ...] = _parser().parse(code)  # type: ignore[assignment]
    except UnexpectedInput as error:
        raise _syntax_error(error) from None
    return parsed


@cache
def _parser() -> Lark:
    # The basic lexer keeps keywords keywords everywhere; the tree is built while the parser goes, so nothing recurses.
    return Lark(
        AETHEL_GRAMMAR, start="source", parser="lalr", lexer="basic", maybe_placeholders=False, transformer=_Builder()
    )


def _require_shallow(code: str) -> None:
    depth = 0
    line, start = 1, 0
    for index, character in enumerate(code):
        if character == "\n":
            line, start = line + 1, index + 1
        depth += (character in "({") - (character in ")}")
        if depth > _DEEPEST_BRACKETS:
            raise AethelError(
                f"{SourcePlace(line, index - start + 1)}: brackets nest deeper than {_DEEPEST_BRACKETS}",
                advice="Name parts of it in solve.",
            )


def _syntax_error(error: UnexpectedInput) -> AethelError:
    if isinstance(error, UnexpectedCharacters):
        found, hint = repr(error.char), "Aethel has no such sign."
    elif isinstance(error, UnexpectedToken) and error.token.type != "$END":
        found = repr(str(error.token)[:LONGEST_IDENTIFIER])
        hint = _HINTS.get(error.token.type, "docs/aethel.md has the grammar.")
    else:
        return AethelError("the source ends too early", advice="Close what is open; it needs at least one intent.")
    place = SourcePlace(error.line, error.column)
    return AethelError(f"{place}: {found} is not expected here", advice=hint)


def _place(token: Token) -> SourcePlace:
    return SourcePlace(token.line or 1, token.column or 1)


def _name(token: Token) -> str:
    if len(token) > LONGEST_IDENTIFIER:
        raise AethelError(
            f"{_place(token)}: a name has more than {LONGEST_IDENTIFIER} characters", advice="Shorten it."
        )
    return str(token)


@v_args(inline=True)
class _Builder(Transformer[Token, Any]):
    """Makes nodes of what the parser has recognised, the innermost first."""

    def source(self, *units: AethelIntent | IntentSequence) -> tuple[IntentSequence, ...]:
        return tuple(IntentSequence(one.place, "", (one,)) if isinstance(one, AethelIntent) else one for one in units)

    def batch(self, name: Token, *intents: AethelIntent) -> IntentSequence:
        return IntentSequence(_place(name), _name(name), intents)

    def intent(self, name: Token, *parts: Any) -> AethelIntent:
        return AethelIntent(_place(name), _name(name), *parts)

    def parameters(self, *all_of_them: IntentParameter) -> tuple[IntentParameter, ...]:
        return all_of_them

    def parameter(self, name: Token, kind: str = INT_TYPE) -> IntentParameter:
        return IntentParameter(_place(name), _name(name), BOOL_TYPE if kind == BOOL_TYPE else INT_TYPE)

    def guard(self, *conditions: AethelExpression) -> tuple[AethelExpression, ...]:
        return conditions

    def solve(self, block: tuple[SolveStatement, ...] = ()) -> tuple[SolveStatement, ...]:
        return block

    def verify(self, *conditions: AethelExpression) -> tuple[AethelExpression, ...]:
        return conditions

    def block(self, *statements: SolveStatement) -> tuple[SolveStatement, ...]:
        return statements

    def assignment(self, name: Token, value: AethelExpression) -> SolveAssignment:
        return SolveAssignment(_place(name), _name(name), value)

    def branch(
        self,
        word: Token,
        condition: AethelExpression,
        then: tuple[SolveStatement, ...],
        otherwise: tuple[SolveStatement, ...] | SolveBranch = (),
    ) -> SolveBranch:
        made = SolveBranch(
            _place(word), condition, then, (otherwise,) if isinstance(otherwise, SolveBranch) else otherwise
        )
        if _levels(made) > DEEPEST_BLOCK:
            raise AethelError(f"{made.place}: more than {DEEPEST_BLOCK} branches in each other", advice="Flatten them.")
        return made

    def unary(self, sign: Token, operand: AethelExpression) -> AppliedOperator:
        return _operation(sign, "neg" if sign == "-" else "not", operand)

    def binary(self, left: AethelExpression, sign: Token, right: AethelExpression) -> AppliedOperator:
        return _operation(sign, _SIGNS.get(sign, str(sign)), left, right)

    def number(self, digits: Token) -> IntegerLiteral:
        if len(digits) > LONGEST_NUMBER:
            raise AethelError(
                f"{_place(digits)}: a number has more than {LONGEST_NUMBER} digits", advice="Use smaller numbers."
            )
        if len(digits) > 1 and digits[0] == "0":
            raise AethelError(f"{_place(digits)}: a number begins with 0", advice="Write it in decimal digits.")
        return IntegerLiteral(_place(digits), int(digits))

    def truth(self, word: Token) -> TruthLiteral:
        return TruthLiteral(_place(word), word == "true")

    def named(self, name: Token) -> NamedValue:
        return NamedValue(_place(name), _name(name))

    def old(self, name: Token) -> NamedValue:
        return NamedValue(_place(name), _name(name), old=True)


def _operation(sign: Token, operator: str, *operands: AethelExpression) -> AppliedOperator:
    depth = 1 + max(map(depth_of, operands))
    if depth > DEEPEST_EXPRESSION:
        raise AethelError(
            f"{_place(sign)}: more than {DEEPEST_EXPRESSION} operators above each other", advice="Name parts in solve."
        )
    return AppliedOperator(_place(sign), operator, operands, depth)


def _levels(statement: SolveStatement) -> int:
    """Branches in each other; at most one more than allowed, as inner ones were refused before."""
    if isinstance(statement, SolveAssignment):
        return 0
    return 1 + max(map(_levels, (*statement.then, *statement.otherwise)), default=0)
