"""Other statements of an obligation, for solvers that know no answer to the first: each implies it.

Over the reals: what holds for all real numbers holds for the integers among them. By remainders: each integer is
``m * k + r`` with one of ``m`` remainders, which is an obligation of its own beside one for each remainder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from nexus_chain.distillation.judge.mathematics.domain import NumberDomain, Numbers
from nexus_chain.distillation.judge.mathematics.obligation import MathematicsObligation
from nexus_chain.distillation.judge.mathematics.smtlib import negation_text
from nexus_chain.distillation.judge.mathematics.terms import (
    Apply,
    Compare,
    Formula,
    Literal,
    MathTerm,
    Name,
    Some,
    names_of,
    operators_in,
)
from nexus_chain.distillation.judge.verdict import Artefact

LARGEST_MODULUS = 16
_OF_INTEGERS = frozenset({"//", "%", "gcd", "lcm", "!"})


def other_statements(obligation: MathematicsObligation, domain: NumberDomain) -> Iterator[tuple[Artefact, ...]]:
    """Artefacts that prove ``obligation`` together, for each other way to state it."""
    parts = (*obligation.supposed, obligation.goal)
    names = names_of(parts)
    numbers = {name: domain.numbers(name) for name in sorted(names)}
    operators = frozenset[Apply]().union(*map(operators_in, parts))
    of_integers = [one for one in operators if one.operator in _OF_INTEGERS]
    integers = [name for name, one in numbers.items() if one.kind == "integers"]
    if integers and not of_integers:
        yield (_over_the_reals(obligation, numbers),)
    moduli = {one.arguments[1] for one in of_integers if one.operator in ("//", "%")}
    if len(integers) == 1 and len(moduli) == 1:
        (modulus,) = moduli
        if isinstance(modulus, Literal) and 2 <= modulus.value <= LARGEST_MODULUS and modulus.value.denominator == 1:
            yield _by_remainders(obligation, numbers, integers[0], int(modulus.value))


def _over_the_reals(obligation: MathematicsObligation, numbers: dict[str, Numbers]) -> Artefact:
    reals = {name: replace(one, kind="reals") for name, one in numbers.items()}
    text = negation_text(obligation.supposed, obligation.goal, reals)
    return Artefact(f"{obligation.name} over the reals", text)


def _by_remainders(
    obligation: MathematicsObligation, numbers: dict[str, Numbers], name: str, modulus: int
) -> tuple[Artefact, ...]:
    x, m = Name(name), Literal(Fraction(modulus))
    quotient = f"{name}_quotient"
    while quotient in numbers:
        quotient += "_"
    each = Some(tuple(_is_remainder(x, Apply("//", (x, m)), m, rest) for rest in range(modulus)))
    whole = Artefact(f"{obligation.name}: every remainder", negation_text((), each, {name: Numbers("integers")}))
    cases = []
    for rest in range(modulus):
        supposed = (*obligation.supposed, _is_remainder(x, Name(quotient), m, rest))
        text = negation_text(supposed, obligation.goal, {**numbers, quotient: Numbers("integers")})
        cases.append(Artefact(f"{obligation.name}: remainder {rest} of {modulus}", text))
    return (whole, *cases)


def _is_remainder(x: Name, quotient: MathTerm, modulus: Literal, rest: int) -> Formula:
    return Compare("=", x, Apply("+", (Apply("*", (modulus, quotient)), Literal(Fraction(rest)))))
