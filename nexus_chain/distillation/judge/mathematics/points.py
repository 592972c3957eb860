"""Points of a domain, to find counterexamples and witnesses before a solver is asked.

They are the same ones for the same question on every machine.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import product

from nexus_chain.distillation.judge.mathematics.domain import Numbers

_SMALL = [0, 1, -1, 2, -2, 3, -3, 4, 5, -5, 6, 7, 10, -10]
_PARTS = [Fraction(1, 2), Fraction(-1, 2), Fraction(1, 3), Fraction(-7, 3), Fraction(9, 4)]
_GRID = 60
_SCATTERED = 30


def points(numbers: Mapping[str, Numbers], hints: frozenset[Fraction]) -> Iterator[dict[str, Fraction]]:
    """About a hundred points; one, without names. ``hints``: numbers that the claim speaks of."""
    if not numbers:
        yield {}
        return
    chance = random.Random(16)
    candidates = {name: _candidates(one, hints, chance) for name, one in sorted(numbers.items())}
    names = list(candidates)
    if len(names) == 1:
        yield from ({names[0]: value} for value in candidates[names[0]])
        return
    side = max(2, int(_GRID ** (1 / len(names)) + 0.5))
    if side ** len(names) <= 4 * _GRID:
        for values in product(*(candidates[name][:side] for name in names)):
            yield dict(zip(names, values, strict=True))
    for _ in range(_SCATTERED):
        yield {name: chance.choice(candidates[name]) for name in names}


def _candidates(numbers: Numbers, hints: frozenset[Fraction], chance: random.Random) -> list[Fraction]:
    values = [Fraction(value) for value in _SMALL]
    if numbers.low is not None:
        values += [numbers.low + step for step in range(3)] + [Fraction(math.ceil(numbers.low))]
    if numbers.high is not None:
        values += [numbers.high - step for step in range(3)] + [Fraction(math.floor(numbers.high))]
    if numbers.kind != "integers":
        values += _PARTS
    for hint in sorted(hints)[:12]:
        values += [hint, -hint, hint + 1, hint - 1]
    low = math.ceil(numbers.low) if numbers.low is not None else -1_000
    high = math.floor(numbers.high) if numbers.high is not None else low + 2_000
    if low <= high:
        values += [Fraction(chance.randint(low, high)) for _ in range(20)]
    return [value for value in dict.fromkeys(values) if numbers.has(value)]
