"""How large the transactions of a game about a segment can become: calldata in bytes, and gas.

Both are bounds from shapes alone: the longest sequence of the model, its last row, openings with as many
siblings as their trees are deep. Nothing is computed and nothing of the size of a tensor is allocated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from nexus_chain.commitments.tensor import RowLayout
from nexus_chain.disputes.defender import SUBTREE
from nexus_chain.disputes.operators import GAS_PER_ENTRY, NEEDED, SEVERAL_STEPS, attention
from nexus_chain.disputes.step import Cells, Needed, Step
from nexus_chain.disputes.trace_layout import TraceLayout, TraceTensor
from nexus_chain.program import Op
from nexus_chain.program.dtypes import DTYPE_BYTES

WORD = 32
ENVELOPE = 1_024
"""Bytes of a transaction around the arrays and structs counted here: signature, fees, a call's scalar arguments."""
BASE_GAS = 900_000
"""A transaction, proofs, and what a step reads besides its rows (tables among them)."""
GAS_PER_BYTE = 40
"""16 for a byte of calldata that is not zero, and what hashing it and a sum over it take."""


@dataclass(frozen=True)
class Move:
    """The largest transaction of one kind about one tensor."""

    name: str
    tensor: str
    calldata: int
    gas: int


def largest_moves(layout: TraceLayout) -> Iterator[Move]:
    """Every kind of answer and verdict about every tensor of ``layout``; alike ops count once."""
    yield _move("the trace", layout.tensors[0], WORD * len(layout.tensors) + 4 * _longest_descriptor(layout))
    seen = set()
    for tensor in layout.tensors:
        rows = RowLayout.of(tensor.dtype, tensor.shape)
        hashes = rows.leaves if rows.leaves <= SUBTREE else max(SUBTREE, -(-rows.leaves // SUBTREE))
        yield _move("its leaf hashes", tensor, WORD * (hashes + 32) + _longest_descriptor(layout))
        if tensor.op is not None and 0 not in tensor.shape:
            key = _key(layout, tensor.op, tensor.output)
            if key not in seen:
                seen.add(key)
                yield from _verdicts(layout, tensor)


def _key(layout: TraceLayout, op: Op, output: int) -> tuple[object, ...]:
    """What the sizes of steps of an op's output depend on."""
    inputs = tuple(layout.tensor(layout.numbers[name]).shape for name in op.inputs)
    return op.kind, tuple(sorted(op.params.items())), inputs, output


def _verdicts(layout: TraceLayout, tensor: TraceTensor) -> Iterator[Move]:
    """Steps of the first and the last element of the last row; for attention, statements of its score row."""
    size = math.prod(tensor.shape)
    for element in {size - 1, size - tensor.shape[-1]}:
        step = Step(layout, tensor, element, lambda name: _zeros(layout, name))
        if step.op.kind not in SEVERAL_STEPS:
            yield _witnessed("its step", step, NEEDED[step.op.kind](step), _leaf(tensor))
            continue
        first, last = attention.span(step)
        blocks = attention.block_ranges(first, last, step.op.params["block"])
        records, scores = attention.RECORD_BYTES * len(blocks), 4 * (last + 1 - first)
        yield _move("its scores", tensor, records + scores + _longest_descriptor(layout))
        posted = records + 4 * max(stop - start for start, stop in blocks) + _leaf(tensor)
        yield _witnessed("a score's step", step, attention.needed_for_score(step, 0), posted)
        widest = max(range(len(blocks)), key=lambda at: blocks[at][1] - blocks[at][0])
        yield _witnessed("a block's step", step, attention.needed_for_block(step, widest), posted)


def _witnessed(name: str, step: Step, needed: Needed, posted: int) -> Move:
    """A step's transaction: the published bytes (``posted``), the descriptor, an opening of whatever is needed."""
    layout = step.layout
    names = step.op.weights if needed.chosen is None else needed.chosen
    specs = [layout.tensor(layout.numbers[source]) for source in step.op.inputs]
    total = _padded(posted) + _longest_descriptor(layout)
    for spec, cells in zip(specs, needed.inputs, strict=True):
        total += _opening(spec.dtype, spec.shape, cells, len(layout.tensors))
    for weight, cells in zip(names, needed.weights, strict=True):
        found = layout.program.weight_specs[weight]
        total += _opening(found.dtype, found.shape, cells, len(layout.program.weights)) + _padded(len(weight))
    param, gas = GAS_PER_ENTRY[step.op.kind]
    return _move(name, step.tensor, total, gas * step.op.params.get(param, 0))


def _move(name: str, tensor: TraceTensor, content: int, gas: int = 0) -> Move:
    calldata = content + ENVELOPE
    return Move(name, tensor.name, calldata, BASE_GAS + GAS_PER_BYTE * calldata + gas)


def _opening(dtype: str, shape: tuple[int, ...], cells: Cells | None, members: int) -> int:
    """ABI bytes of the leaves that hold ``cells``, with their proofs: in the tensor, and of it among ``members``."""
    fixed = 12 * WORD  # place in the array, six members, lengths of its four arrays, padding
    if cells is None:
        return fixed
    layout = RowLayout.of(dtype, shape)
    first, last = (
        cells[0] * DTYPE_BYTES[dtype] // layout.leaf_bytes,
        -(-cells[1] * DTYPE_BYTES[dtype] // layout.leaf_bytes),
    )
    siblings = 0 if last - first == layout.leaves else 2 * layout.leaves.bit_length()
    data = min(last * layout.leaf_bytes, DTYPE_BYTES[dtype] * math.prod(shape)) - first * layout.leaf_bytes
    return fixed + _padded(data) + WORD * (siblings + members.bit_length())


def _longest_descriptor(layout: TraceLayout) -> int:
    """ABI bytes of the longest descriptor of the program's ops with its proof."""
    return WORD * (layout.longest_op + 8 + 2 * len(layout.program.ops).bit_length())


def _leaf(tensor: TraceTensor) -> int:
    return RowLayout.of(tensor.dtype, tensor.shape).leaf_bytes


def _padded(length: int) -> int:
    return -(-length // WORD) * WORD


def _zeros(layout: TraceLayout, name: str) -> Tensor:
    """A tensor of the right shape that takes no memory."""
    return torch.zeros((), dtype=torch.int32).expand(layout.tensor(layout.numbers[name]).shape)
