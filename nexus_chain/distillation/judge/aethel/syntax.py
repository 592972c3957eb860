"""The syntax tree of Aethel, and the limits of a source."""

from __future__ import annotations

from dataclasses import dataclass, field

LARGEST_SOURCE = 1 << 16
"""Characters of a source."""
LONGEST_NUMBER = 100
"""Digits of a number: the largest word of the EVM has 78."""
LONGEST_IDENTIFIER = 64
"""Characters of a name."""
DEEPEST_EXPRESSION = 100
"""Operators above each other in one expression."""
DEEPEST_BLOCK = 16
"""Branches inside each other."""
MOST_INTENTS = 32
"""Intents of a source."""
MOST_INTENT_PARAMETERS = 64
"""Parameters of an intent."""
MOST_OBLIGATIONS = 64
"""Divisors and intents of a source."""


@dataclass(frozen=True, order=True)
class SourcePlace:
    """Where something begins in the source; both count from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


@dataclass(frozen=True)
class IntegerLiteral:
    """A number without a sign."""

    place: SourcePlace
    value: int


@dataclass(frozen=True)
class TruthLiteral:
    """``true`` or ``false``."""

    place: SourcePlace
    value: bool


@dataclass(frozen=True)
class NamedValue:
    """A parameter or local; ``old``: its value where the intent begins."""

    place: SourcePlace
    name: str
    old: bool = False


@dataclass(frozen=True)
class AppliedOperator:
    """``operator`` is one of ``OPERATOR_TYPES``. ``place`` is the operator's. ``depth``: operators above each other."""

    place: SourcePlace
    operator: str
    operands: tuple[AethelExpression, ...]
    depth: int = field(compare=False)


AethelExpression = IntegerLiteral | TruthLiteral | NamedValue | AppliedOperator

INT_TYPE, BOOL_TYPE = "Int", "Bool"
OPERATOR_TYPES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("neg", "+", "-", "*", "/", "%"), (INT_TYPE, INT_TYPE)),
    **dict.fromkeys(("<", "<=", ">", ">="), (INT_TYPE, BOOL_TYPE)),
    **dict.fromkeys(("not", "and", "or", "implies"), (BOOL_TYPE, BOOL_TYPE)),
    **dict.fromkeys(("==", "!="), ("", BOOL_TYPE)),
}
"""Operator: (type of its operands, type of its result); "" stands for any type, the same on both sides."""


@dataclass(frozen=True)
class SolveAssignment:
    """``name = value;``"""

    place: SourcePlace
    name: str
    value: AethelExpression


@dataclass(frozen=True)
class SolveBranch:
    """``if condition { then } else { otherwise }``"""

    place: SourcePlace
    condition: AethelExpression
    then: tuple[SolveStatement, ...]
    otherwise: tuple[SolveStatement, ...]


SolveStatement = SolveAssignment | SolveBranch


@dataclass(frozen=True)
class IntentParameter:
    """``name: type``"""

    place: SourcePlace
    name: str
    type: str


@dataclass(frozen=True)
class AethelIntent:
    """``guard``, ``solve`` and ``verify`` are the statements of the blocks, empty where there is no block."""

    place: SourcePlace
    name: str
    parameters: tuple[IntentParameter, ...]
    guard: tuple[AethelExpression, ...]
    solve: tuple[SolveStatement, ...]
    verify: tuple[AethelExpression, ...]


@dataclass(frozen=True)
class IntentSequence:
    """Intents that run one after another over one state: an ``atomic_batch``, or one intent alone (``name`` is "")."""

    place: SourcePlace
    name: str
    intents: tuple[AethelIntent, ...]

    @property
    def parameters(self) -> dict[str, str]:
        """Every parameter's type by name, in the order in which they first appear."""
        return {one.name: one.type for intent in self.intents for one in intent.parameters}


def depth_of(expression: AethelExpression) -> int:
    """Operators above each other."""
    return expression.depth if isinstance(expression, AppliedOperator) else 0
