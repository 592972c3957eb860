"""What a witness shows: the element that is accused, what the node said it is, and what the program makes of it.

A witness opens just what its element depends on. So the op is cut down to that: one row of a matrix, one entry of a
table. The reference executor computes the rest. It judges nothing: the contract does, and this is for those who look.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nexus_chain.commitments.tensor import RowLayout
from nexus_chain.disputes.witness_abi import Opening, Subject
from nexus_chain.engine.reference import evaluate_row
from nexus_chain.program import Op, Sampling, TensorSpec
from nexus_chain.program.described_op import DescribedOp, DescribedTensor
from nexus_chain.program.descriptors import POSITIONS, SAMPLED
from nexus_chain.program.dtypes import DTYPE_BYTES
from nexus_chain.program.op_kinds import layout_of

#: Kinds whose one step is spread over several moves, or over all positions: nothing here is cut out of them.
_WHOLE = frozenset({"attention", "prefix_mean"})
#: Kinds of which a witness may open a part of a row, to show that the maximum is another.
_PARTLY_OPENED = frozenset({"row_max", "sample_blocks", "sample"})
#: More elements than this are not put together for somebody who looks.
_MOST_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class ShownElement:
    """One element of a tensor. ``index``: in every dimension. ``claimed``: what the node posted.

    ``right``: what the program makes of what the witness opens; None where that is not told by one step.
    """

    index: tuple[int, ...]
    claimed: int
    right: int | None


@dataclass(frozen=True)
class _Cut:
    """An op for one element: ``params`` in place of its own; where what is opened begins, by input and by weight.

    ``element``: of the output that is left.
    """

    params: Mapping[str, int]
    inputs: tuple[int, ...]
    weights: tuple[int, ...]
    element: int


def shown_element(
    op: DescribedOp, subject: Subject, tensor: int, leaf: int, data: bytes, element: int, openings: tuple[Opening, ...]
) -> ShownElement | None:
    """Element ``element`` of the posted leaf ``data``; None where the bytes are too few: that alone convicts.

    ``tensor``: in the trace. ``openings``: as in ``witness_abi.Witness``; none: nothing is opened yet.
    """
    place = [one.number for one in op.outputs].index(subject.first_number + tensor)
    output = op.outputs[place]
    at = leaf * _leaf_elements(output, subject) + element
    size = DTYPE_BYTES[output.dtype]
    if len(data) < (element + 1) * size:
        return None
    claimed = int.from_bytes(data[element * size : (element + 1) * size], "little", signed=True)
    index = tuple(int(number) for number in np.unravel_index(at, _shape(output, subject)))
    return ShownElement(index, claimed, _right(op, place, subject, index, openings))


def shown_token(subject: Subject, leaf: int, data: bytes, element: int, opening: Opening | None) -> ShownElement | None:
    """As ``shown_element``, of the sequence: prompt and sampled tokens, which no op puts out."""
    one = DescribedTensor("i32", 0, (POSITIONS,))
    at, size = leaf * _leaf_elements(one, subject) + element, DTYPE_BYTES["i32"]
    if len(data) < (element + 1) * size:
        return None
    claimed = int.from_bytes(data[element * size : (element + 1) * size], "little", signed=True)
    if opening is None:
        return ShownElement((at,), claimed, None)
    source = at if at < subject.prompt_length else at - subject.prompt_length
    found, is_opened = _filled((1,), source, opening, one, subject)
    return ShownElement((at,), claimed, int(found[0]) if is_opened else None)


def _right(
    op: DescribedOp, place: int, subject: Subject, index: tuple[int, ...], openings: tuple[Opening, ...]
) -> int | None:
    tensors = (*op.inputs, *op.weights)
    if op.kind in _WHOLE or not openings or len(openings) < len(op.inputs):
        return None
    if any(math.prod(abs(size) for size in one.shape) > _MOST_ELEMENTS for one in op.inputs):
        return None
    axis = next(number for number, size in enumerate(op.outputs[place].shape) if size < 0)
    row, inner = index[axis], index[:axis] + index[axis + 1 :]
    sizes = [size for size in op.outputs[place].shape if size > 0]
    element = int(np.ravel_multi_index(inner, sizes)) if sizes else 0
    position = row + (subject.prompt_length - 1 if SAMPLED in op.outputs[place].shape else 0)
    rows = [_row_start(one, op, row, subject) for one in op.inputs]
    cut = _cut(op, element, position, openings, rows)
    layout = layout_of(op.kind, cut.params, 1)
    inputs: dict[str, list[Tensor]] = {}
    for number, (one, opening) in enumerate(zip(op.inputs, openings, strict=False)):
        wanted = [size for size in layout.inputs[number][1] if size != POSITIONS]
        shape = tuple(wanted) if 0 not in wanted else one.shape[1:]
        filled, complete = _filled(shape, rows[number] + cut.inputs[number], opening, one, subject)
        if not complete and op.kind in _PARTLY_OPENED:
            return None
        inputs[f"i{number}"] = [filled]
    weights = {
        _weight_name(number, ending): _filled(shape, start, opening, one, subject)[0]
        for number, ((_, shape, ending), start, opening, one) in enumerate(
            zip(layout.weights, cut.weights, openings[len(op.inputs) :], tensors[len(op.inputs) :], strict=False)
        )
    }
    small = Op(
        op.kind, op.kind, 0, tuple(inputs), tuple(TensorSpec(f"o{n}", d, s) for n, (d, s) in enumerate(layout.outputs)),
        tuple(weights), cut.params,
    )  # fmt: skip
    where = position if op.kind == "sample_blocks" else 0
    sampling = Sampling(subject.sampling, subject.sampling_seed)
    return int(evaluate_row(small, inputs, where, (1, sampling), weights)[place].reshape(-1)[cut.element])


def _weight_name(number: int, ending: str) -> str:
    """A name that says what the weight is: executors normalise by its end."""
    return f"w{number}{ending}" if ending.startswith(".") else ending


def _cut(op: DescribedOp, element: int, position: int, openings: tuple[Opening, ...], rows: list[int]) -> _Cut:
    """What of ``op`` is left for one element of a row."""
    params, nothing = op.params, (0,) * len(op.inputs)
    match op.kind:
        case "linear":
            rows_of_one = (element * params["columns"], 2 * element, element)
            return _Cut({**params, "rows": 1}, (0, 0, 0, element)[: len(nothing)], rows_of_one, 0)
        case "expert_linear":
            starts = (element * params["columns"], 2 * element)
            return _Cut({**params, "rows": 1, "experts": 1}, (0, 0, 0, 0, 0, element)[: len(nothing)], starts, 0)
        case "embed":
            token = _first(openings[0], op.inputs[0], rows[0])
            start = min(max(token, 0), params["vocab"] - 1) * params["width"] + element
            return _Cut({**params, "vocab": 1, "width": 1}, nothing, (start,), 0)
        case "position_embed":
            return _Cut({**params, "width": 1}, (element,), (position * params["width"] + element,), 0)
        case "rope_quantise":
            return _Cut(params, nothing, (position * params["head_dim"],), element)
        case _:
            return _Cut(params, nothing, (0,) * len(op.weights), element)


def _first(opening: Opening, one: DescribedTensor, at: int) -> int:
    """Element ``at`` of a tensor with a dimension, as it is opened; 0 where it is not."""
    size = DTYPE_BYTES[one.dtype]
    start = (at - opening.first_leaf * RowLayout.of(one.dtype, (1 << 20,)).leaf_bytes // size) * size
    return int.from_bytes(opening.data[start : start + size], "little", signed=True) if start >= 0 else 0


def _row_start(one: DescribedTensor, op: DescribedOp, row: int, subject: Subject) -> int:
    """The first element of what input ``one`` holds for row ``row`` of the outputs."""
    from_position = SAMPLED in op.outputs[0].shape and SAMPLED not in one.shape
    width = math.prod(size for size in one.shape if size > 0)
    return (row + (subject.prompt_length - 1 if from_position else 0)) * width


def _filled(
    shape: tuple[int, ...], start: int, opening: Opening, one: DescribedTensor, subject: Subject
) -> tuple[Tensor, bool]:
    """A tensor with elements [start, ...) of ``one`` where they are opened, else 0; and whether all are opened."""
    count = math.prod(shape)
    found, size = np.zeros(count, np.int64), DTYPE_BYTES[one.dtype]
    opened = np.frombuffer(opening.data[: len(opening.data) // size * size], f"<i{size}").astype(np.int64)
    first = opening.first_leaf * _leaf_elements(one, subject) - start
    low, high = max(0, first), min(count, first + len(opened))
    if low < high:
        found[low:high] = opened[low - first : high - first]
    return torch.from_numpy(found).reshape(shape), low == 0 and high == count


def _leaf_elements(one: DescribedTensor, subject: Subject) -> int:
    return RowLayout.of(one.dtype, _shape(one, subject)).leaf_bytes // DTYPE_BYTES[one.dtype]


def _shape(one: DescribedTensor, subject: Subject) -> tuple[int, ...]:
    sampled = max(0, subject.positions - subject.prompt_length + 1)
    return tuple({POSITIONS: subject.positions, SAMPLED: sampled}.get(size, size) for size in one.shape)
