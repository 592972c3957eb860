"""From Aethel to SMT-LIB: what both solvers must find unsatisfiable, each text standing alone.

A name's n-th value is the symbol ``name.n``; ``name.0`` is a parameter where its sequence begins. Aethel's division
is SMT-LIB's, so ``/`` is ``div`` and ``%`` is ``mod``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from nexus_chain.distillation.judge.aethel.syntax import (
    BOOL_TYPE,
    MOST_OBLIGATIONS,
    OPERATOR_TYPES,
    AethelExpression,
    AethelIntent,
    AppliedOperator,
    IntegerLiteral,
    IntentSequence,
    NamedValue,
    SolveAssignment,
    SolveBranch,
    SolveStatement,
    SourcePlace,
    TruthLiteral,
)
from nexus_chain.distillation.judge.errors import AethelError

_SMT = {
    "neg": "-", "/": "div", "%": "mod", "==": "=", "!=": "distinct", "implies": "=>",
}  # fmt: skip


@dataclass(frozen=True)
class AethelObligation:
    """Holds where ``text`` is unsatisfiable. ``place``: the divisor, or the intent."""

    name: str
    text: str
    place: SourcePlace
    meaning: str


@dataclass(frozen=True)
class AethelTranslation:
    """``guards``: satisfiable unless the sequence is vacuous. ``tautologies``: by intent, a text that is unsatisfiable
    if its verify block holds whatever the guards and solve say.
    """

    sequence: IntentSequence
    obligations: tuple[AethelObligation, ...]
    guards: str
    tautologies: dict[str, str]


@dataclass(frozen=True)
class _Scope:
    """Symbols and types of names at one point of a program, and the conditions under which it gets there."""

    symbols: dict[str, str]
    types: dict[str, str]
    old: dict[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()

    def under(self, condition: str) -> _Scope:
        return replace(self, path=(*self.path, condition))

    def copy(self) -> _Scope:
        return replace(self, symbols=dict(self.symbols), types=dict(self.types))


def translate_sequence(sequence: IntentSequence) -> AethelTranslation:
    """All obligations of a sequence whose names and types were checked. Raises AethelError for too many."""
    return _Translator(sequence).translation()


class _Translator:
    def __init__(self, sequence: IntentSequence) -> None:
        self._sequence = sequence
        self._lines = list[str]()
        self._versions = Counter[str]()
        self._obligations = list[AethelObligation]()
        self._tautologies = dict[str, str]()
        self._intent = sequence.intents[0]
        self._divisors = 0

    def translation(self) -> AethelTranslation:
        types = self._sequence.parameters
        state = {name: self._declare(name, kind) for name, kind in types.items()}
        for intent in self._sequence.intents:
            self._translate_intent(intent, state, types)
        return AethelTranslation(self._sequence, tuple(self._obligations), self._text(), self._tautologies)

    def _translate_intent(self, intent: AethelIntent, state: dict[str, str], types: dict[str, str]) -> None:
        self._intent, self._divisors = intent, 0
        names = [one.name for one in intent.parameters]
        scope = _Scope({name: state[name] for name in names}, {name: types[name] for name in names})
        for condition in intent.guard:
            self._lines.append(f"(assert {self._term(condition, scope)})")
        scope = replace(scope, old=dict(scope.symbols))
        self._translate_block(intent.solve, scope)
        self._translate_verify(intent, scope)
        state.update({name: scope.symbols[name] for name in names})

    def _translate_verify(self, intent: AethelIntent, scope: _Scope) -> None:
        terms, under = list[str](), scope
        for condition in intent.verify:
            terms.append(self._term(condition, under))
            under = under.under(terms[-1])
        if not terms:
            return
        goal = terms[0] if len(terms) == 1 else f"(and {' '.join(terms)})"
        meaning = "guards and solve imply verify"
        self._add(
            AethelObligation(f"{intent.name}.verify", self._text(f"(assert (not {goal}))"), intent.place, meaning)
        )
        names = [(scope.symbols[name], scope.types[name]) for name in scope.symbols]
        names += [(symbol, scope.types[name]) for name, symbol in scope.old.items()]
        free = [f"(declare-const {symbol} {kind})" for symbol, kind in dict(names).items()]
        self._tautologies[intent.name] = "\n".join([_HEAD, *free, f"(assert (not {goal}))", _TAIL])

    def _translate_block(self, block: tuple[SolveStatement, ...], scope: _Scope) -> None:
        """Changes the scope's symbols and types."""
        for statement in block:
            if isinstance(statement, SolveAssignment):
                kind = self._type(statement.value, scope)
                term = self._term(statement.value, scope)
                scope.symbols[statement.name] = self._define(statement.name, kind, term)
                scope.types[statement.name] = kind
            else:
                self._translate_branch(statement, scope)

    def _translate_branch(self, branch: SolveBranch, scope: _Scope) -> None:
        condition = self._define("if", BOOL_TYPE, self._term(branch.condition, scope))
        then = scope.copy().under(condition)
        otherwise = scope.copy().under(f"(not {condition})")
        self._translate_block(branch.then, then)
        self._translate_block(branch.otherwise, otherwise)
        for name in then.symbols:
            if name in otherwise.symbols:
                one, other = then.symbols[name], otherwise.symbols[name]
                kind = then.types[name]
                merged = one if one == other else self._define(name, kind, f"(ite {condition} {one} {other})")
                scope.symbols[name], scope.types[name] = merged, kind

    def _term(self, expression: AethelExpression, scope: _Scope) -> str:
        """The SMT-LIB term; an obligation for each divisor in it, in the order in which it runs."""
        if isinstance(expression, IntegerLiteral):
            return str(expression.value)
        if isinstance(expression, TruthLiteral):
            return "true" if expression.value else "false"
        if isinstance(expression, NamedValue):
            return (scope.old if expression.old else scope.symbols)[expression.name]
        first, *rest = expression.operands
        terms = [self._term(first, scope)]
        under = scope
        if expression.operator in ("and", "implies"):
            under = scope.under(terms[0])
        elif expression.operator == "or":
            under = scope.under(f"(not {terms[0]})")
        terms += [self._term(operand, under) for operand in rest]
        if expression.operator in ("/", "%"):
            self._add_divisor(expression, terms[1], scope)
        return f"({_SMT.get(expression.operator, expression.operator)} {' '.join(terms)})"

    def _add_divisor(self, operation: AppliedOperator, divisor: str, scope: _Scope) -> None:
        self._divisors += 1
        asserted = [f"(assert {condition})" for condition in scope.path]
        text = self._text(*asserted, f"(assert (= {divisor} 0))")
        meaning = f"the divisor at {operation.place} is never 0"
        self._add(AethelObligation(f"{self._intent.name}.divisor.{self._divisors}", text, operation.place, meaning))

    def _type(self, expression: AethelExpression, scope: _Scope) -> str:
        if isinstance(expression, AppliedOperator):
            return OPERATOR_TYPES[expression.operator][1]
        if isinstance(expression, NamedValue):
            return scope.types[expression.name]
        return BOOL_TYPE if isinstance(expression, TruthLiteral) else "Int"

    def _declare(self, name: str, kind: str) -> str:
        self._versions[name] = 1
        self._lines.append(f"(declare-const {name}.0 {kind})")
        return f"{name}.0"

    def _define(self, name: str, kind: str, term: str) -> str:
        symbol = f"{name}.{self._versions[name]}"
        self._versions[name] += 1
        self._lines.append(f"(define-fun {symbol} () {kind} {term})")
        return symbol

    def _text(self, *more: str) -> str:
        return "\n".join([_HEAD, *self._lines, *more, _TAIL])

    def _add(self, obligation: AethelObligation) -> None:
        self._obligations.append(obligation)
        if len(self._obligations) > MOST_OBLIGATIONS:
            raise AethelError(
                f"{obligation.place}: more than {MOST_OBLIGATIONS} divisors and intents", advice="Judge it in parts."
            )


def parameter_values(sequence: IntentSequence, model: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Value by parameter of what a solver calls ``name.0``; what it leaves out may be anything, and is 0 or false.

    Raises ValueError for a value that Python does not read.
    """
    for name, kind in sequence.parameters.items():
        text = model.get(f"{name}.0", "0")
        yield name, text.lower() == "true" if kind == BOOL_TYPE else int(text)


_HEAD = "(set-logic ALL)"
_TAIL = "(check-sat)\n"
