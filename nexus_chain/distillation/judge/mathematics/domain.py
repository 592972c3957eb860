"""Over which numbers a claim is meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from nexus_chain.distillation.judge.errors import MathematicsSubsetError

_ADVICE = 'Name "integers", "naturals", "rationals", "reals" or a range such as "0..100".'
_SETS = ("integers", "naturals", "rationals", "reals")
_BOUND = r"-?\d{1,100}(?:\.\d{1,100})?"
_RANGE = re.compile(rf"(?:(integers|rationals|reals) )?({_BOUND})\.\.({_BOUND})")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}")


@dataclass(frozen=True)
class Numbers:
    """A set of numbers. ``kind``: integers, rationals or reals; the bounds, where there are any, belong to it."""

    kind: str
    low: Fraction | None = None
    high: Fraction | None = None

    def __str__(self) -> str:
        if self.low is None:
            return self.kind
        return "naturals (from 0)" if self.high is None else f"{self.kind} {self.low}..{self.high}"

    def has(self, value: Fraction) -> bool:
        """Whether the rational ``value`` is one of them."""
        if self.kind == "integers" and value.denominator != 1:
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@dataclass(frozen=True)
class NumberDomain:
    """``default`` holds for names that ``by_name`` does not have; None: there are no others."""

    default: Numbers | None
    by_name: Mapping[str, Numbers]

    @property
    def words(self) -> frozenset[str]:
        """The names that it speaks of."""
        return frozenset(self.by_name)

    @property
    def is_all_reals(self) -> bool:
        """Whether each name stands for any real number."""
        sets = [*self.by_name.values(), *([self.default] if self.default else [])]
        return all(one == Numbers("reals") for one in sets)

    @property
    def without_bounds(self) -> NumberDomain:
        """The same kinds of numbers, as large and as small as they may be."""
        by_name = {name: Numbers(one.kind) for name, one in self.by_name.items()}
        return NumberDomain(None if self.default is None else Numbers(self.default.kind), by_name)

    def numbers(self, name: str) -> Numbers:
        """Raises MathematicsSubsetError for a name that the domain does not have."""
        numbers = self.by_name.get(name, self.default)
        if numbers is None:
            raise MathematicsSubsetError(f"the domain does not say what {name} is", advice=_ADVICE)
        return numbers

    def said_of(self, names: frozenset[str]) -> str:
        """As a sentence says it: "the integers", or set by set for each of ``names``."""
        if self.default is not None and not self.by_name:
            return f"the {self.default}"
        return ", ".join(f"{name} in the {self.numbers(name)}" for name in sorted(names)) or "the numbers as written"


def parse_number_domain(domain: Mapping[str, str] | str) -> NumberDomain:
    """From a set's name, a range, "x in 0..100, y in reals", or a mapping. Raises MathematicsSubsetError."""
    if isinstance(domain, str) and " in " in domain:
        parts = [part.partition(" in ") for part in domain.split(",")]
        domain = {name.strip(): numbers.strip() for name, _, numbers in parts}
    if isinstance(domain, str):
        return NumberDomain(_numbers(domain.strip()), {})
    for name in domain:
        if not _NAME.fullmatch(name):
            raise MathematicsSubsetError(f"{name[:40]!r} is no name of a variable", advice=_ADVICE)
    return NumberDomain(None, {name: _numbers(numbers.strip()) for name, numbers in domain.items()})


def _numbers(text: str) -> Numbers:
    if text in _SETS:
        return Numbers("integers", Fraction(0)) if text == "naturals" else Numbers(text)
    match = _RANGE.fullmatch(text)
    if match is None:
        raise MathematicsSubsetError(f"the domain {text[:40]!r} is not known", advice=_ADVICE)
    kind, low, high = match[1] or "integers", Fraction(match[2]), Fraction(match[3])
    if low > high or (kind == "integers" and -(-low // 1) > high // 1):
        raise MathematicsSubsetError(f"the domain {text!r} has no number", advice=_ADVICE)
    return Numbers(kind, low, high)
