"""Small values tried one after another: most false claims fall to one, and most guards let one pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product

from nexus_chain.distillation.judge.aethel.interpreter import AethelRun, RunEnding, run_sequence
from nexus_chain.distillation.judge.aethel.syntax import BOOL_TYPE, IntentSequence

FIRST_TRIES, MOST_TRIES = 256, 4_000
"""Runs before any solver is asked, and where the solvers do not decide."""
_FARTHEST = 12


@dataclass(frozen=True)
class Survey:
    """``violation``: the first values that violate the sequence, and how. ``holds``: some values pass all guards, and
    it holds for them.
    """

    violation: tuple[dict[str, int], AethelRun] | None
    holds: bool


def survey(sequence: IntentSequence, tries: int) -> Survey:
    """Run the sequence from ``tries`` small values, up to the first violation."""
    holds = False
    for values in islice(_boxes(sequence.parameters), tries):
        run = run_sequence(sequence, values)
        if run.ending is RunEnding.VIOLATED:
            return Survey((values, run), holds)
        holds = holds or run.ending is RunEnding.HOLDS
    return Survey(None, holds)


def _boxes(types: dict[str, str]) -> Iterator[dict[str, int]]:
    """Growing boxes around zero; a box leaves out what the one before had."""
    integers = [name for name, kind in types.items() if kind != BOOL_TYPE]
    flags = [name for name, kind in types.items() if kind == BOOL_TYPE]
    for radius in range(_FARTHEST + 1 if integers else 1):
        span = sorted(range(-radius, radius + 1), key=lambda value: (abs(value), value < 0))
        for numbers in product(span, repeat=len(integers)):
            if max(map(abs, numbers), default=0) == radius:
                for truths in product((False, True), repeat=len(flags)):
                    yield dict(zip([*integers, *flags], [*numbers, *truths], strict=True))
