"""Small values tried one after another: most false claims fall to one, and most guards let one pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product

from nexus_chain.distillation.judge.aethel.interpreter import AethelRun, RunEnding, run_sequence
from nexus_chain.distillation.judge.aethel.syntax import (
    BOOL_TYPE,
    AethelExpression,
    AppliedOperator,
    IntentSequence,
    SolveAssignment,
    SolveBranch,
    SolveStatement,
)

FIRST_TRIES, MOST_TRIES = 256, 4_000
"""Runs before any solver is asked, and where the solvers do not decide."""
MOST_NODE_VISITS = 1_000_000
"""Nodes of the syntax tree that a survey evaluates: of a long program it makes fewer runs."""
_FARTHEST = 12


@dataclass(frozen=True)
class Survey:
    """``violation``: the first values that violate the sequence, and how. ``holds``: some values pass all guards, and
    it holds for them.
    """

    violation: tuple[dict[str, int], AethelRun] | None
    holds: bool


def survey(sequence: IntentSequence, tries: int) -> Survey:
    """Run the sequence from at most ``tries`` small values, up to the first violation."""
    holds = False
    possible = max(1, MOST_NODE_VISITS // _size(sequence))
    for values in islice(_boxes(sequence.parameters), min(tries, possible)):
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


def _size(sequence: IntentSequence) -> int:
    """Nodes of the tree, at least 1."""
    nodes = list[AethelExpression | SolveStatement]()
    for intent in sequence.intents:
        nodes += [*intent.guard, *intent.solve, *intent.verify]
    count = 1
    while nodes:
        node = nodes.pop()
        count += 1
        if isinstance(node, AppliedOperator):
            nodes += node.operands
        elif isinstance(node, SolveAssignment):
            nodes.append(node.value)
        elif isinstance(node, SolveBranch):
            nodes += [node.condition, *node.then, *node.otherwise]
    return count
