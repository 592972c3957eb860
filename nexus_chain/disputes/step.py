"""One element of a trace, seen from the op that made it, and the parts of the op's inputs that it depends on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from nexus_chain.disputes.errors import WitnessError
from nexus_chain.disputes.trace_layout import TraceLayout, TraceTensor
from nexus_chain.program import SAMPLED, Op

Cells = tuple[int, int]
"""Elements [start, stop) of a tensor in row-major order, as leaves cut it."""

TABLE: Cells = (0, 257)
"""All of ``tables.exp2`` or ``tables.log2``."""


@dataclass(frozen=True)
class Needed:
    """Cells of every input and of every weight that an element depends on; None: not needed.

    ``chosen`` names the weights of an op of which a witness holds only some.
    """

    inputs: tuple[Cells | None, ...]
    weights: tuple[Cells | None, ...] = ()
    chosen: tuple[str, ...] | None = None


def cell(index: int) -> Cells:
    """A single element."""
    return index, index + 1


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

    def width_of(self, number: int) -> int:
        """Elements per position of input ``number``, whose first dimension counts positions or sampled ones."""
        return math.prod(self.layout.program.tensors[self.op.inputs[number]].shape[1:])

    def input_row(self, number: int, row: int) -> int:
        """Row of input ``number`` that belongs to row ``row`` of the outputs."""
        by_sample = SAMPLED in self.layout.program.tensors[self.op.inputs[number]].shape
        return row if by_sample or not self.sampled else row + self.layout.prompt_length - 1

    def row(self, number: int, start: int = 0, stop: int | None = None) -> Cells:
        """Elements [start, stop) of what input ``number`` holds for this element's position."""
        return self.row_at(number, self.index[0], start, stop)

    def row_at(self, number: int, row: int, start: int = 0, stop: int | None = None) -> Cells:
        """Elements [start, stop) of what input ``number`` holds for row ``row`` of the outputs."""
        width = self.width_of(number)
        before = self.input_row(number, row) * width
        return before + start, before + (width if stop is None else stop)
