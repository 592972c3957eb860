"""Numbers, types and shapes of the tensors in a segment's trace.

Tensor 0 is the segment's input; then follows every output of every op in program order. The last
segment ends with the built-in ``sequence`` i32[T + 1]: the prompt, then the sampled tokens. Game,
step verifier, challenger and defender all number tensors this way. Nothing here computes one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from nexus_chain.disputes.errors import TraceInputError, WitnessError
from nexus_chain.program import Op, Program

SEQUENCE = "sequence"


@dataclass(frozen=True)
class TraceTensor:
    """One committed tensor. ``op_index`` counts in ``Program.ops``; both are None for input and sequence."""

    number: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    op: Op | None = None
    op_index: int | None = None
    output: int = 0


@dataclass(frozen=True)
class TraceLayout:
    """The trace of layers ``[start, end)`` over ``positions`` positions, ``prompt_length`` of them given."""

    program: Program
    start: int
    end: int
    positions: int
    prompt_length: int

    def __post_init__(self) -> None:
        if not self.prompt_length >= 1 or not 1 <= self.positions <= self.program.shape.context:
            raise TraceInputError(
                f"{self.positions} positions with a prompt of {self.prompt_length} are no sequence of this model",
                advice="Take both numbers from the order and the receipt.",
            )

    @property
    def sampled(self) -> int:
        """Positions whose token is sampled."""
        return max(0, self.positions - self.prompt_length + 1)

    @property
    def is_last(self) -> bool:
        return self.end == self.program.shape.layers

    @cached_property
    def longest_op(self) -> int:
        """Words of the longest of the program's ops: one for it, one a parameter, two a name."""
        ops = self.program.ops
        return max(1 + len(op.params) + 2 * (len(op.inputs) + len(op.outputs) + len(op.weights)) for op in ops)

    @cached_property
    def ops(self) -> tuple[tuple[int, Op], ...]:
        """(index in the program, op) of the segment's ops."""
        inside = {op.name for op in self.program.segment(self.start, self.end)}
        return tuple((index, op) for index, op in enumerate(self.program.ops) if op.name in inside)

    @cached_property
    def tensors(self) -> tuple[TraceTensor, ...]:
        """Every tensor of the trace, by number."""
        source = self.program.tensors[self.program.input_of(self.start, self.end)]
        found = [TraceTensor(0, source.name, source.dtype, source.resolve(self.positions, self.sampled))]
        for index, op in self.ops:
            for output, spec in enumerate(op.outputs):
                shape = spec.resolve(self.positions, self.sampled)
                found.append(TraceTensor(len(found), spec.name, spec.dtype, shape, op, index, output))
        if self.is_last:
            found.append(TraceTensor(len(found), SEQUENCE, "i32", (self.positions + 1,)))
        return tuple(found)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Tensor numbers by name."""
        return {tensor.name: tensor.number for tensor in self.tensors}

    def layer_of(self, number: int) -> int:
        """The layer whose ops make tensor ``number`` (the input counts to the first, the sequence to the last)."""
        tensor = self.tensor(number)
        if tensor.op is not None:
            return tensor.op.layer
        return self.start if number == 0 else self.end - 1

    def tensor(self, number: int) -> TraceTensor:
        """Tensor ``number``; :class:`WitnessError` if there is none."""
        if not 0 <= number < len(self.tensors):
            raise WitnessError(
                f"The trace has {len(self.tensors)} tensors, none with number {number}", advice="Pick one of them."
            )
        return self.tensors[number]
