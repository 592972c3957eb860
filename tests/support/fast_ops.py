"""One op of a program on given inputs, by each executor that serves: the compiled kernels and torch.

Engines run whole segments from one input; here every input of the op is put in its place first, so
that a kernel is shown rows that the ops before it would hardly ever make.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from nexus_chain.disputes.trace_layout import TraceLayout
from nexus_chain.engine.cache import Batch, open_state
from nexus_chain.engine.native_executor import KernelWeights, NativeExecutor
from nexus_chain.engine.native_library import StepPointers
from nexus_chain.engine.products import exact_product
from nexus_chain.engine.torch_executor import OPERATORS, Call, TorchExecutor
from nexus_chain.program import Op, Program, Sampling

THREADS = 2
CHOSEN = "@sampled"  # how a native plan names the sampled rows of a tensor over all positions


def batch_of(layout: TraceLayout, sampling: Sampling) -> Batch:
    """All positions of one sequence at once, nothing before them."""
    state = open_state(layout.program.ops, layout.prompt_length, sampling, layout.positions)
    return Batch([(state, layout.positions)], last=True)


class TorchOps(TorchExecutor):
    """Single ops by torch."""

    def __init__(self, program: Program, weights: Mapping[str, Tensor]) -> None:
        super().__init__(program.ops, weights, ())

    def run_op(self, op: Op, given: Mapping[str, Tensor], batch: Batch) -> list[Tensor]:
        """The outputs of ``op``; ``given`` holds its inputs by name."""
        inputs = [self._operand(op, name, given[name], batch) for name in op.inputs]
        call = Call(op, inputs, [self._weights[name] for name in op.weights], batch, exact_product())
        return list(self._attend(call) if op.kind == "attention" else OPERATORS[op.kind](call))


class NativeOps(NativeExecutor):
    """Single ops by the compiled kernels: of the whole program's steps those of one op."""

    def __init__(self, program: Program, weights: Mapping[str, Tensor]) -> None:
        names = list(program.tensors)
        # Everything is kept, chosen rows too, so that no buffer serves two tensors.
        keep = names + [name + CHOSEN for name in names]
        source = program.tensors["tokens"]
        super().__init__(program.ops, source, KernelWeights(program.ops, weights), keep, THREADS)
        self._all = self._steps

    def run_op(self, op: Op, given: Mapping[str, Tensor], batch: Batch) -> list[Tensor]:
        """The outputs of ``op``; ``given`` holds its inputs by name."""
        self._reserve(batch)
        outputs = tuple(spec.name for spec in op.outputs)
        last = next(number for number, step in enumerate(self._plan.steps) if tuple(step.outputs) == outputs)
        first = last - 1 if op.kind == "attention" else last  # keys and values are appended by a step of their own
        for step in self._plan.steps[first : last + 1]:
            self._fill(step.inputs, given, batch)
        self._steps, self._keep = (StepPointers * (last + 1 - first))(*self._all[first : last + 1]), outputs
        self._steps[0].chained = 0
        tokens = given.get("tokens", torch.zeros(batch.rows, dtype=torch.int32))
        found = self.run(tokens, batch)
        self._steps = self._all
        return [found[name] for name in outputs]

    def _fill(self, operands: list[str | None], given: Mapping[str, Tensor], batch: Batch) -> None:
        for operand in operands:
            name = (operand or "").removesuffix(CHOSEN)
            if operand is not None and name in given:
                rows = given[name]
                self._view(operand, batch).copy_(rows[batch.sampled_rows] if operand != name else rows)
