"""What an answer has to satisfy so that it is the one that is expected, as one obligation."""

from __future__ import annotations

from contextlib import suppress

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.domain import NumberDomain
from nexus_chain.distillation.judge.mathematics.exact import UndefinedValueError, exact_value
from nexus_chain.distillation.judge.mathematics.obligation import MathematicsObligation
from nexus_chain.distillation.judge.mathematics.statements import (
    Alternatives,
    Chain,
    Statement,
    Values,
    chains_of,
    expression_of,
    is_solved,
    is_value,
    solved_name,
)
from nexus_chain.distillation.judge.mathematics.terms import (
    All,
    Apply,
    Compare,
    Defined,
    Equivalent,
    Formula,
    MathTerm,
    Name,
    Some,
    is_one_of,
    names_in,
    names_of,
    operators_in,
)

NAME = "answer"


def answer_obligation(expected: Statement, answer: Statement, domain: NumberDomain) -> MathematicsObligation:
    """Raises MathematicsSubsetError where the two cannot be compared, or the answer repeats the question."""
    if isinstance(expected, Values):
        return MathematicsObligation(NAME, (), _same_values(expected, answer))
    if (term := expression_of(expected)) is not None:
        return _same_terms(term, answer)
    return MathematicsObligation(NAME, (), _same_solutions(expected, answer, domain))


def other_reading(expected: Statement, answer: Statement, obligation: MathematicsObligation) -> Formula | None:
    """What has to be false too before a refuted answer is a false one; None: nothing has."""
    if isinstance(expected, Values) and expected.order is None and isinstance(obligation.goal, All | Some):
        given = as_values(answer)
        return None if given.order is True else _same_set(expected, given)
    return None


def answer_terms(expected: MathTerm, answer: Statement) -> tuple[MathTerm, ...]:
    """The expressions that an answer names: itself, or all of ``12 + 2 = 14``; a new name before them is none."""
    if isinstance(answer, Values) and len(answer.items) == 1:
        return answer.items
    if not isinstance(answer, Chain):
        raise MathematicsSubsetError("one expression is expected, and the answer is another thing")
    first = answer.terms[0]
    if not answer.relations or not isinstance(first, Name):
        return answer.terms
    if first.name in names_in(expected):
        raise MathematicsSubsetError("one expression is expected, and the answer is an equation")
    return answer.terms[1:]


def _same_terms(expected: MathTerm, answer: Statement) -> MathematicsObligation:
    terms = answer_terms(expected, answer)
    strangers = names_of(terms) - names_in(expected)
    if strangers:
        raise MathematicsSubsetError(f"the answer speaks of {min(strangers)}, which what is expected does not have")
    _require_no_zero_power(terms)
    if not names_in(expected) and not is_value(expected) and not is_value(terms[-1]):
        raise MathematicsSubsetError("the answer is not worked out to a number")
    # Each term of a chain is compared: the last one alone could be the end of an equation about something else.
    links = tuple(Compare("=", term, expected) for term in terms)
    return MathematicsObligation(NAME, (Defined(expected),), links[0] if len(links) == 1 else All(links))


def _require_no_zero_power(terms: tuple[MathTerm, ...]) -> None:
    for power in frozenset[Apply]().union(*map(operators_in, terms)):
        if power.operator != "^" or names_in(power):
            continue
        with suppress(UndefinedValueError):
            if exact_value(power.arguments[0], {}) == 0 == exact_value(power.arguments[1], {}):
                raise MathematicsSubsetError("zero to the power of zero is 1 for some and nothing for others")


def _same_values(expected: Values, answer: Statement) -> Formula:
    given = as_values(answer)
    if expected.order is not False and (given.order is not False or expected.order is None):
        if len(expected.items) != len(given.items):
            return Some(())
        pairs = zip(given.items, expected.items, strict=True)
        return All(tuple(Compare("=", left, right) for left, right in pairs))
    if expected.order is True or given.order is True:
        raise MathematicsSubsetError("one is a list and the other a set")
    return _same_set(expected, given)


def _same_set(expected: Values, given: Values) -> Formula:
    return All((*_each_is_among(given, expected), *_each_is_among(expected, given)))


def _each_is_among(some: Values, others: Values) -> list[Some]:
    return [is_one_of(one, others.items) for one in some.items]


def as_values(answer: Statement) -> Values:
    """Solutions ``x = 1 or x = 2`` are the set of what x may be. Raises MathematicsSubsetError."""
    if isinstance(answer, Values):
        return answer
    if (term := expression_of(answer)) is not None:
        return Values((term,), None)
    chains = chains_of(answer)
    names = {solved_name(chain) for chain in chains}
    alone = isinstance(answer, Chain) or not answer.every or len(chains) == 1
    if None in names or len(names) != 1 or not alone:
        raise MathematicsSubsetError("values are expected, and the answer names none")
    return Values(tuple(chain.terms[1] for chain in chains), False)


def _same_solutions(expected: Statement, answer: Statement, domain: NumberDomain) -> Formula:
    wanted = statement_formula(expected)
    if isinstance(answer, Values) or expression_of(answer) is not None:
        names = names_in(wanted)
        if isinstance(answer, Values) and not answer.items:
            return Equivalent(wanted, Some(()))
        if len(names) != 1:
            raise MathematicsSubsetError("the answer does not say which name has which value")
        values, name = as_values(answer), Name(min(names))
        if any(names_in(item) for item in values.items):
            raise MathematicsSubsetError("a solution has variables of its own")
        if values.order is True:
            raise MathematicsSubsetError("the brackets may be an interval, a point or a list")
        _require_inside(name, values.items, domain)
        defined = tuple(Defined(item) for item in values.items)
        return All((*defined, Equivalent(wanted, is_one_of(name, values.items))))
    given = statement_formula(answer)
    strangers = names_in(given) - names_in(wanted)
    if strangers:
        raise MathematicsSubsetError(f"the answer speaks of {min(strangers)}, which what is expected does not have")
    missing = names_in(wanted) - names_in(given)
    if missing and is_solved(answer):
        raise MathematicsSubsetError(f"the answer says nothing of {min(missing)}")
    if not is_solved(expected) and not is_solved(answer):
        raise MathematicsSubsetError("the answer is still an equation, and not solved")
    # A value that is not defined is no solution: it would vanish from the alternatives unseen.
    chains = chains_of(answer)
    for chain in chains:
        if {"=", "≤", "≥"}.intersection(chain.relations):
            for bare in (term for term in chain.terms if isinstance(term, Name)):
                ground = tuple(term for term in chain.terms if not names_in(term))
                _require_inside(bare, ground, domain if "=" in chain.relations else domain.without_bounds)
    defined = tuple(Defined(term) for chain in chains for term in chain.terms if not names_in(term))
    return All((*defined, Equivalent(wanted, given)))


def _require_inside(name: Name, solutions: tuple[MathTerm, ...], domain: NumberDomain) -> None:
    """A false solution outside of the domain would vanish from the alternatives unseen."""
    for solution in solutions:
        try:
            value = exact_value(solution, {})
        except UndefinedValueError:
            continue  # whoever compares asks that it is defined
        if not domain.numbers(name.name).has(value):
            raise MathematicsSubsetError(f"the answer's solution {str(value)[:40]} is not in the domain")


def statement_formula(statement: Statement) -> Formula:
    """The formula of comparisons. Raises MathematicsSubsetError for what compares nothing."""
    if isinstance(statement, Alternatives):
        return statement.formula
    if isinstance(statement, Chain) and statement.relations:
        return statement.links[0] if len(statement.links) == 1 else All(statement.links)
    raise MathematicsSubsetError("it compares nothing")
