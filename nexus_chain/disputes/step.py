"""One element of a trace, seen from the op that made it, and what of its inputs it depends on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from nexus_chain.disputes.errors import WitnessError
from nexus_chain.disputes.trace_layout import TraceLayout, TraceTensor
from nexus_chain.program import SAMPLED, Op

Rows = tuple[int, int]
"""Rows [start, stop) of a tensor, a row being its last dimension (an element below two dimensions)."""


@dataclass(frozen=True)
class Needed:
    """Rows of every input and of every weight that an element depends on; None: not needed."""

    inputs: tuple[Rows | None, ...]
    weights: tuple[Rows | None, ...] = ()


@dataclass(frozen=True)
class Step:
    """Element ``element`` (row-major) of ``tensor``; ``read`` gives any other tensor of the trace by name."""

    layout: TraceLayout
    tensor: TraceTensor
    element: int
    read: Callable[[str], Tensor]

    @property
    def op(self) -> Op:
        if self.tensor.op is None:
            raise WitnessError(f"{self.tensor.name} has no op", advice="Step an op's output.")
        return self.tensor.op

    @cached_property
    def index(self) -> tuple[int, ...]:
        """The element's index in every dimension."""
        if not 0 <= self.element < math.prod(self.tensor.shape):
            raise WitnessError(f"{self.tensor.name} has no element {self.element}", advice="Pick one that exists.")
        rest, found = self.element, []
        for size in reversed(self.tensor.shape):
            rest, at = divmod(rest, size)
            found.append(at)
        return tuple(reversed(found))

    @property
    def column(self) -> int:
        return self.index[-1]

    @property
    def sampled(self) -> bool:
        """Whether the op runs for the sampled positions only."""
        return SAMPLED in self.op.outputs[0].shape

    @property
    def position(self) -> int:
        """The position of an output whose first dimension counts positions, or sampled ones."""
        return self.index[0] + (self.layout.prompt_length - 1 if self.sampled else 0)

    def row_of(self, number: int) -> int:
        """Index in the first dimension of input ``number`` that belongs to this element's position."""
        by_sample = SAMPLED in self.layout.program.tensors[self.op.inputs[number]].shape
        return self.index[0] if by_sample else self.position

    def rows_of(self, number: int, per_position: int = 1) -> Rows:
        """The rows of input ``number`` at this position, ``per_position`` of them."""
        start = self.row_of(number) * per_position
        return start, start + per_position


def row(index: int) -> Rows:
    """A single row."""
    return index, index + 1


TABLE: Rows = (0, 257)
"""All of ``tables.exp2`` or ``tables.log2``."""
