"""What an answer may be: an expression, comparisons, or several values; and a step: a chain of comparisons."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.parser import parse_chain
from nexus_chain.distillation.judge.mathematics.terms import (
    All,
    Apply,
    Compare,
    Formula,
    Literal,
    MathTerm,
    Name,
    Some,
    names_in,
)

MOST_ITEMS = 200
"""Values of a list or a set."""
_EMPTY = frozenset({"∅", "{}", "{ }", "no solution", "no solutions", "no real solution", "no real solutions"})
_PAIRS = {"[": "]", "{": "}", "(": ")"}


@dataclass(frozen=True)
class Chain:
    """``a = b < c``: terms, and the relations between them. One term and no relation is an expression."""

    terms: tuple[MathTerm, ...]
    relations: tuple[str, ...]

    @property
    def links(self) -> tuple[Compare, ...]:
        """Each comparison of two neighbours."""
        return tuple(
            Compare(relation, left, right)
            for relation, left, right in zip(self.relations, self.terms, self.terms[1:], strict=False)
        )


@dataclass(frozen=True)
class Values:
    """Several values. ``order``: whether it is a list, a set, or (None) nothing says which."""

    items: tuple[MathTerm, ...]
    order: bool | None


@dataclass(frozen=True)
class Alternatives:
    """Chains of which each holds (``every``) or one does."""

    chains: tuple[Chain, ...]
    every: bool

    @property
    def formula(self) -> Formula:
        """True where the comparisons are."""
        parts = tuple(_one(chain.links) for chain in self.chains)
        if len(parts) == 1:
            return parts[0]
        return All(parts) if self.every else Some(parts)


Statement = Chain | Values | Alternatives


def _one(links: tuple[Compare, ...]) -> Formula:
    return links[0] if len(links) == 1 else All(links)


def parse_statement(text: str, words: frozenset[str] = frozenset()) -> Statement:
    """``text`` is plain (see ``characters``). Raises MathematicsSubsetError."""
    text = text.strip()
    if text.lower() in _EMPTY:
        return Values((), False)
    inside = _within(text)
    if inside is not None and (text[0] != "(" or len(split_outside(inside, ",")) > 1):
        items = split_outside(inside, ",") if inside.strip() else []
        return _values(items, text[0] != "{", words)
    by_or, by_and = split_outside(text, " or "), split_outside(text, " and ")
    if len(by_or) > 1 and len(by_and) > 1:
        raise MathematicsSubsetError("'and' and 'or' together may mean two things")
    if len(by_or) > 1:
        return _alternatives([part for piece in by_or for part in split_outside(piece, ",")], words, every=False)
    pieces = [part for piece in by_and for part in split_outside(piece, ",")]
    if len(pieces) > 1:
        return _alternatives(pieces, words, every=True, listed=len(by_and) == 1)
    terms, relations = parse_chain(text, words)
    chain = Chain(terms, relations)
    return Alternatives((chain,), True) if relations and set(relations) != {"="} else chain


def _within(text: str) -> str | None:
    """What stands between a bracket at the start and its partner, where that is the end."""
    if not text or text[0] not in _PAIRS or text[-1] != _PAIRS[text[0]]:
        return None
    open_brackets = 0
    for place, character in enumerate(text):
        open_brackets += (character in "([{") - (character in ")]}")
        if open_brackets == 0:
            return text[1:-1] if place == len(text) - 1 else None
    return None


def split_outside(text: str, separator: str) -> list[str]:
    """Split where no bracket is open; a comma between digits separates no parts."""
    parts, start, open_brackets, place = [], 0, 0, 0
    while place < len(text):
        open_brackets += (text[place] in "([{") - (text[place] in ")]}")
        if open_brackets == 0 and text.startswith(separator, place) and not _within_number(text, place):
            parts.append(text[start:place])
            place = start = place + len(separator)
        else:
            place += 1
    return [*parts, text[start:]]


def _within_number(text: str, place: int) -> bool:
    return text[place] == "," and text[place - 1 : place].isdigit() and text[place + 1 : place + 2].isdigit()


def _values(texts: list[str], order: bool | None, words: frozenset[str]) -> Values:
    texts = [part for text in texts for part in _numbers_apart(text)]
    if len(texts) > MOST_ITEMS:
        raise MathematicsSubsetError(f"there are more than {MOST_ITEMS} values")
    items = []
    for text in texts:
        terms, relations = parse_chain(text, words)
        if relations:
            raise MathematicsSubsetError("a comparison stands among values")
        items.append(terms[0])
    return Values(tuple(items), order)


def _numbers_apart(text: str) -> list[str]:
    """Digits around a comma are separate numbers within brackets, unless they look like groups of three."""
    if re.fullmatch(r"\s*-?\d+(,-?\d+)+\s*", text) and not re.fullmatch(r"\s*-?\d{1,3}(,\d{3})+\s*", text):
        return text.split(",")
    if "," in text and re.search(r"\d,\d", text):
        raise MathematicsSubsetError(f"the comma in {text.strip()!r} may separate digits or numbers")
    return [text]


def _alternatives(texts: list[str], words: frozenset[str], *, every: bool, listed: bool = True) -> Statement:
    """Comparisons, or values; a value after ``x = 1`` is one of x too. ``listed``: only commas stand between them."""
    if len(texts) > MOST_ITEMS:
        raise MathematicsSubsetError(f"there are more than {MOST_ITEMS} values")
    chains = [Chain(*parse_chain(text, words)) for text in texts]
    if not any(chain.relations for chain in chains):
        return Values(tuple(chain.terms[0] for chain in chains), None)
    first = chains[0]
    if first.relations != ("=",) and not all(chain.relations for chain in chains):
        raise MathematicsSubsetError("comparisons and values stand side by side")
    chains = [one if one.relations else Chain((first.terms[0], one.terms[0]), ("=",)) for one in chains]
    solved = [name for chain in chains if (name := solved_name(chain))]
    if every and len(solved) != len(set(solved)):
        # "x = 1, x = 2" lists solutions, though nothing can be both: with "and" it may mean either.
        if not listed or len(solved) != len(chains) or len(set(solved)) > 1:
            raise MathematicsSubsetError("a name has two values at once")
        every = False
    return Alternatives(tuple(chains), every)


def expression_of(statement: Statement) -> MathTerm | None:
    """The one term of an expression; None where values or comparisons are stated."""
    return statement.terms[0] if isinstance(statement, Chain) and not statement.relations else None


def chains_of(statement: Statement) -> tuple[Chain, ...]:
    """The chains that it has; values have none."""
    if isinstance(statement, Values):
        return ()
    return (statement,) if isinstance(statement, Chain) else statement.chains


def all_terms(statement: Statement) -> tuple[MathTerm, ...]:
    """Every term in it: values, or what is compared."""
    if isinstance(statement, Values):
        return statement.items
    return tuple(term for chain in chains_of(statement) for term in chain.terms)


def solved_name(chain: Chain) -> str | None:
    """``x`` of ``x = …``, where the other side does not have it."""
    if chain.relations != ("=",):
        return None
    left, right = chain.terms
    return left.name if isinstance(left, Name) and left.name not in names_in(right) else None


def is_solved(statement: Statement) -> bool:
    """Whether it names values, and is not an equation that is still to be solved."""
    return all(_is_solved_chain(chain) for chain in chains_of(statement))


def _is_solved_chain(chain: Chain) -> bool:
    """One name alone beside values, such as ``x = 3`` or ``0 < x ≤ 4``."""
    bare = [term for term in chain.terms if isinstance(term, Name)]
    return len(bare) == 1 and all(is_value(term) for term in chain.terms if term != bare[0])


def is_value(term: MathTerm) -> bool:
    """A number as one writes a result: 5, -5, 2/3, 0.5, 50%."""
    if isinstance(term, Apply) and term.operator == "neg":
        return is_value(term.arguments[0])
    if isinstance(term, Apply) and term.operator == "/":
        return all(isinstance(one, Literal) or _negative_number(one) for one in term.arguments)
    return isinstance(term, Literal)


def _negative_number(term: MathTerm) -> bool:
    return isinstance(term, Apply) and term.operator == "neg" and isinstance(term.arguments[0], Literal)
