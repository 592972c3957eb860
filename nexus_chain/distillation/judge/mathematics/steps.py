"""The steps of a response: each link of each chain is a claim of its own.

A step ``a = b`` says that both are the same wherever what is expected is defined; where an equation is expected, it
says so of that equation's solutions. ``t = …`` gives a name that nobody has used a meaning, and is no step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.equivalence import statement_formula
from nexus_chain.distillation.judge.mathematics.number_signs import NumberSigns
from nexus_chain.distillation.judge.mathematics.obligation import MathematicsObligation
from nexus_chain.distillation.judge.mathematics.parser import DEEPEST_TERM
from nexus_chain.distillation.judge.mathematics.statements import (
    Alternatives,
    Chain,
    Statement,
    Values,
    chains_of,
    expression_of,
    parse_statement,
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
    depth,
    is_one_of,
    names_in,
    names_of,
    plain,
)

LARGEST_TERM = 2_000
"""Operators, numbers and names of a step, after names have been replaced by what they stand for."""


@dataclass(frozen=True)
class DerivationStep:
    """``text`` as read. ``obligation`` is None where the step is not read, and ``problem`` says why.

    ``defines``: it gives a name its meaning; all there is to prove is that the meaning has a value.
    """

    text: str
    obligation: MathematicsObligation | None
    problem: str = ""
    defines: bool = False


def steps_of(
    texts: tuple[str, ...], expected: Statement, answer: Statement, signs: NumberSigns, words: frozenset[str]
) -> Iterator[DerivationStep]:
    """One step for each link, in the order of the text."""
    supposed, known, meanings = _context(expected, answer)
    number = 0
    for text in texts:
        try:
            signs.require_clear(text)
            links = list(_links(parse_statement(text, words), known, meanings))
        except MathematicsSubsetError as error:
            number += 1
            yield DerivationStep(text, None, error.message)
            continue
        for link, goal in links:
            number += 1
            strangers = names_in(goal) - known
            if strangers:
                yield DerivationStep(link, None, f"nothing says what {min(strangers)} is")
            else:
                obligation = MathematicsObligation(f"step {number}", supposed, goal)
                yield DerivationStep(link, obligation, defines=isinstance(goal, Defined))


def _context(expected: Statement, answer: Statement) -> tuple[tuple[Formula, ...], frozenset[str], dict[str, MathTerm]]:
    """What steps may suppose, the names they may use, and what names stand for."""
    if isinstance(expected, Values):
        return _context_of_values(expected, answer)
    if (term := expression_of(expected)) is not None:
        known = names_in(term)
        first = answer.terms[0] if isinstance(answer, Chain) and answer.relations else None
        # "x = 14" answers an expression: x is what is asked for.
        meanings = {first.name: term} if isinstance(first, Name) and first.name not in known else {}
        return (Defined(term),), known, meanings
    formula = statement_formula(expected)
    return (formula,), names_in(formula), {}


def _context_of_values(
    expected: Values, answer: Statement
) -> tuple[tuple[Formula, ...], frozenset[str], dict[str, MathTerm]]:
    """ "x = 1 or x = 2" answers a set: x is one of what is expected."""
    known = names_of(expected.items)
    solved = {solved_name(chain) for chain in chains_of(answer)}
    name = solved.pop() if len(solved) == 1 else None
    if name is None or name in known or not expected.items:
        return (), known, {}
    return (is_one_of(Name(name), expected.items),), known | {name}, {}


def _links(statement: Statement, known: frozenset[str], meanings: dict[str, MathTerm]) -> Iterator[tuple[str, Formula]]:
    """Each link's text and meaning; a definition is noted in ``meanings``."""
    if isinstance(statement, Values):
        raise MathematicsSubsetError("it compares nothing")
    if isinstance(statement, Alternatives) and len(statement.chains) > 1 and not statement.every:
        yield plain(statement.formula), _replaced(statement.formula, meanings)
        return
    for chain in chains_of(statement):
        links = chain.links
        first = chain.terms[0]
        if _defines(chain, known, meanings) and isinstance(first, Name):
            meanings[first.name] = _replaced_term(chain.terms[1], meanings)
            # What a name stands for must have a value, else everything could be said of it.
            yield plain(links[0]), Defined(meanings[first.name])
            links = links[1:]
        for link in links:
            yield plain(link), _replaced(link, meanings)


def _defines(chain: Chain, known: frozenset[str], meanings: dict[str, MathTerm]) -> bool:
    first = chain.terms[0]
    if not isinstance(first, Name) or chain.relations[:1] != ("=",):
        return False
    return first.name not in known | meanings.keys() and first.name not in names_in(chain.terms[1])


def _replaced(formula: Formula, meanings: dict[str, MathTerm]) -> Formula:
    match formula:
        case Compare():
            left, right = (_replaced_term(side, meanings) for side in (formula.left, formula.right))
            return replace(formula, left=left, right=right)
        case Defined():
            return Defined(_replaced_term(formula.term, meanings))
        case All() | Some():
            return replace(formula, parts=tuple(_replaced(part, meanings) for part in formula.parts))
        case Equivalent():
            return Equivalent(_replaced(formula.left, meanings), _replaced(formula.right, meanings))


def _replaced_term(term: MathTerm, meanings: dict[str, MathTerm]) -> MathTerm:
    replaced = _substituted(term, meanings)
    # Names that stand for names grow without end: each is measured before anybody walks through it.
    if not _is_small(replaced) or depth(replaced) > DEEPEST_TERM:
        raise MathematicsSubsetError("names stand for more than is read")
    return replaced


def _substituted(term: MathTerm, meanings: dict[str, MathTerm]) -> MathTerm:
    if isinstance(term, Name):
        return meanings.get(term.name, term)
    if isinstance(term, Apply):
        return Apply(term.operator, tuple(_substituted(one, meanings) for one in term.arguments))
    return term


def _is_small(term: MathTerm) -> bool:
    left, waiting = LARGEST_TERM, [term]
    while waiting and left:
        one = waiting.pop()
        left -= 1
        if isinstance(one, Apply):
            waiting.extend(one.arguments)
    return left > 0
