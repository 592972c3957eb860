"""What a claim's parameters range over: ``int``, ``int[-8..8]``, ``bool``, ``list[int[-3..3],0..4]``."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

from nexus_chain.distillation.judge.python.errors import PythonClaimError
from nexus_chain.distillation.judge.python.terms import Sort, Term, TermBank
from nexus_chain.distillation.judge.python.values import ListContent, Value, ValueAlgebra

LONGEST_LIST_INPUT = 8
_SAMPLES = (0, 1, -1, 2, -2, 3, 7, -7, 10, -10, 100, -101, 2**31, -(2**31), 2**63, -(10**20))

_SCALAR = r"(bool|int(?:\[(-?[0-9]{1,30})\.\.(-?[0-9]{1,30})\])?)"
_SCALAR_TEXT = re.compile(_SCALAR)
_LIST_TEXT = re.compile(rf"list\[{_SCALAR},\s*([0-9]{{1,2}})\.\.([0-9]{{1,2}})\]")
Scalar = int | bool
Input = Scalar | list[Scalar]


@dataclass(frozen=True)
class ScalarDomain:
    """Integers from ``low`` to ``high``, both included (None: unbounded), or booleans."""

    is_bool: bool
    low: int | None = None
    high: int | None = None

    def count(self) -> int | None:
        """How many values; None for infinitely many."""
        if self.is_bool:
            return 2
        return None if self.low is None or self.high is None else self.high - self.low + 1

    def values(self) -> Iterator[Scalar]:
        """All values of a finite domain."""
        if self.is_bool:
            return iter((False, True))
        return iter(range(self.low or 0, (self.high or 0) + 1))

    def sample(self, random: Random) -> Scalar:
        """A value, drawn from those that often find mistakes."""
        if self.is_bool:
            return random.random() < 0.5
        low, high = self.low, self.high
        if low is not None and high is not None and random.random() < 0.5:
            return random.randint(low, high)
        value = random.choice(_SAMPLES)
        value = value if low is None else max(low, value)
        return value if high is None else min(high, value)

    def term(self, bank: TermBank, name: str) -> Term:
        if self.is_bool:
            return bank.variable(name, Sort.BOOL)
        return bank.variable(name, Sort.INT, self.low, self.high)


@dataclass(frozen=True)
class ListDomain:
    """Lists of ``item``, of ``shortest`` to ``longest`` items."""

    item: ScalarDomain
    shortest: int
    longest: int

    def count(self) -> int | None:
        items = self.item.count()
        if items is None:
            return None if self.longest else 1
        counts = [int(items**length) for length in range(self.shortest, self.longest + 1)]
        return sum(counts)

    def values(self) -> Iterator[list[Scalar]]:
        scalars = list(self.item.values())
        for length in range(self.shortest, self.longest + 1):
            for items in itertools.product(scalars, repeat=length):
                yield list(items)

    def sample(self, random: Random) -> list[Scalar]:
        return [self.item.sample(random) for _ in range(random.randint(self.shortest, self.longest))]


PythonDomain = ScalarDomain | ListDomain


def parse_domain(text: str) -> PythonDomain:
    """Raises PythonClaimError for a text that is no domain, or an empty one."""
    if match := _SCALAR_TEXT.fullmatch(text.strip()):
        return _scalar(*match.groups())
    if match := _LIST_TEXT.fullmatch(text.strip()):
        shortest, longest = int(match[4]), int(match[5])
        if not shortest <= longest <= LONGEST_LIST_INPUT:
            raise PythonClaimError(
                f"the lengths {shortest}..{longest} are no range up to {LONGEST_LIST_INPUT}",
                advice="Write for example list[int[-3..3],0..4].",
            )
        return ListDomain(_scalar(match[1], match[2], match[3]), shortest, longest)
    raise PythonClaimError(
        f"{text[:60]!a} is no domain", advice="Write int, int[-8..8], bool or list[int[-3..3],0..4]."
    )


def _scalar(text: str, low: str | None, high: str | None) -> ScalarDomain:
    if low is None or high is None:
        return ScalarDomain(text == "bool")
    if int(low) > int(high):
        raise PythonClaimError(f"the domain {low}..{high} is empty", advice="Put the smaller number first.")
    return ScalarDomain(False, int(low), int(high))


@dataclass(frozen=True)
class SymbolicInputs:
    """The parameters as values over free ``variables``; lists lie in ``heap``."""

    variables: tuple[Term, ...]
    values: Mapping[str, Value]
    heap: Mapping[int, ListContent]

    def read(self, domain: Mapping[str, PythonDomain], model: Mapping[str, str]) -> tuple[Input, ...]:
        """The inputs that a solver's model means. A variable that it leaves out may have any value."""
        return tuple(_read(name, kind, model) for name, kind in domain.items())


def symbolic_inputs(bank: TermBank, domain: Mapping[str, PythonDomain]) -> SymbolicInputs:
    """Variables for every parameter: ``in_x``; for a list ``in_x_length`` and ``in_x_0``, ``in_x_1`` …"""
    algebra = ValueAlgebra(bank)
    variables, values, heap = list[Term](), dict[str, Value](), dict[int, ListContent]()
    for name, kind in domain.items():
        if isinstance(kind, ScalarDomain):
            variables.append(kind.term(bank, f"in_{name}"))
            values[name] = _value(algebra, kind, variables[-1])
            continue
        length = bank.integer(kind.shortest)
        if kind.shortest < kind.longest:
            length = bank.variable(f"in_{name}_length", Sort.INT, kind.shortest, kind.longest)
            variables.append(length)
        items = [kind.item.term(bank, f"in_{name}_{index}") for index in range(kind.longest)]
        variables += items
        reference = len(heap) + 1
        heap[reference] = ListContent(length, tuple(_value(algebra, kind.item, item) for item in items))
        values[name] = algebra.list_at(reference)
    return SymbolicInputs(tuple(variables), values, heap)


def _value(algebra: ValueAlgebra, kind: ScalarDomain, term: Term) -> Value:
    return algebra.boolean(term) if kind.is_bool else algebra.integer(term)


def _read(name: str, kind: PythonDomain, model: Mapping[str, str]) -> Input:
    if isinstance(kind, ScalarDomain):
        return _read_scalar(f"in_{name}", kind, model)
    length = int(model.get(f"in_{name}_length", kind.shortest))
    return [_read_scalar(f"in_{name}_{index}", kind.item, model) for index in range(length)]


def _read_scalar(variable: str, kind: ScalarDomain, model: Mapping[str, str]) -> Scalar:
    text = model.get(variable)
    if kind.is_bool:
        return text is not None and text.lower() == "true"
    if text is None:
        return kind.low if kind.low is not None else 0
    return int(text)


def count_points(domain: Mapping[str, PythonDomain]) -> int | None:
    """How many inputs the domain has; None for infinitely many."""
    total = 1
    for kind in domain.values():
        count = kind.count()
        if count is None:
            return None
        total *= count
    return total


def domain_points(domain: Mapping[str, PythonDomain]) -> list[tuple[Input, ...]]:
    """Every input of a finite domain, in a fixed order."""
    return list(itertools.product(*(kind.values() for kind in domain.values())))


def sample_points(domain: Mapping[str, PythonDomain], count: int) -> list[tuple[Input, ...]]:
    """``count`` inputs, always the same ones: a verdict must repeat."""
    random = Random(0)
    return [tuple(kind.sample(random) for kind in domain.values()) for _ in range(count)]
