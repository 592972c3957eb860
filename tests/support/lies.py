"""Traces that are wrong somewhere: what a lying node would post.

A lie alters one element of one tensor; ``consistent`` recomputes everything after it from the
altered value, so that exactly one step of the whole trace is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from nexus_chain.disputes.stored_trace import StoredTrace
from nexus_chain.disputes.trace_layout import SEQUENCE, TraceLayout, TraceTensor
from nexus_chain.engine.reference import evaluate_row
from nexus_chain.program import POSITIONS, SAMPLED, Op, Program, Sampling, TensorSpec
from nexus_chain.program.descriptors import BOTH_DIRECTIONS
from nexus_chain.program.torch_dtypes import TORCH_DTYPES


def altered(tensor: Tensor, element: int, value: int) -> Tensor:
    """A copy whose element (row-major) is ``value``."""
    copy = tensor.clone().contiguous()
    copy.view(-1)[element] = value
    return copy


def lie(
    honest: StoredTrace, weights: Mapping[str, Tensor], place: tuple[int, int], value: int, *, consistent: bool
) -> StoredTrace:
    """The honest trace with the element at ``place`` (tensor number, row-major index) set to ``value``."""
    number, element = place
    made = honest.replaced({number: altered(honest.tensor(number), element, value)})
    return recomputed_after(made, weights, number) if consistent else made


def recomputed_after(trace: StoredTrace, weights: Mapping[str, Tensor], number: int) -> StoredTrace:
    """Every tensor after ``number`` computed anew (sibling outputs of the same op stay as they are)."""
    layout = trace.layout
    live = {spec.name: trace.tensor(spec.number) for spec in layout.tensors}
    changes: dict[int, Tensor] = {}
    start, touched = layout.tensor(number).op_index, {layout.tensor(number).name}
    for index, op in layout.ops:
        if start is not None and index > start and touched & set(op.inputs):
            touched |= {spec.name for spec in op.outputs}
            outputs = run_op(layout, op, live, weights, trace.sequence.sampling)
            live.update(zip((spec.name for spec in op.outputs), outputs, strict=True))
    for spec in layout.tensors[number + 1 :]:
        if spec.name == SEQUENCE:
            live[SEQUENCE] = torch.cat([trace.sequence.prompt, live["sample.token"]])
        if not torch.equal(live[spec.name], trace.tensor(spec.number)):
            changes[spec.number] = live[spec.name]
    return trace.replaced(changes)


def run_op(
    layout: TraceLayout, op: Op, live: Mapping[str, Tensor], weights: Mapping[str, Tensor], sampling: Sampling
) -> list[Tensor]:
    """Outputs of one op over all its rows by the reference semantics, whatever its inputs hold."""
    sampled_op = SAMPLED in op.outputs[0].shape
    first = layout.prompt_length - 1 if sampled_op else 0
    count = layout.sampled if sampled_op else layout.positions
    rows = {name: _rows(layout.program, name, live[name]) for name in op.inputs}
    made: list[list[Tensor]] = [[] for _ in op.outputs]
    for row in range(count):
        known = {}
        for name in op.inputs:
            by_sample = SAMPLED in layout.program.tensors[name].shape
            seen = layout.positions if op.params.get("window") == BOTH_DIRECTIONS else first + row + 1
            known[name] = rows[name][: row + 1] if by_sample else rows[name][:seen]
        found = evaluate_row(op, known, first + row, (layout.prompt_length, sampling), weights)
        for output, value in zip(made, found, strict=True):
            output.append(value)
    return [_stacked(layout, spec, output) for spec, output in zip(op.outputs, made, strict=True)]


def _axis(shape: tuple[int, ...]) -> int:
    return next(index for index, size in enumerate(shape) if size in (POSITIONS, SAMPLED))


def _rows(program: Program, name: str, tensor: Tensor) -> list[Tensor]:
    return list(tensor.to(torch.int64).unbind(dim=_axis(program.tensors[name].shape)))


def _stacked(layout: TraceLayout, spec: TensorSpec, rows: list[Tensor]) -> Tensor:
    tensor: TraceTensor = layout.tensor(layout.numbers[spec.name])
    if not rows:
        return torch.empty(tensor.shape, dtype=TORCH_DTYPES[tensor.dtype])
    shape = layout.program.tensors[tensor.name].shape
    return torch.stack(rows, dim=_axis(shape)).to(TORCH_DTYPES[tensor.dtype])
