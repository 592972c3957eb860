"""``attention``: the virtual score row of one output element, and what each statement in it depends on.

Scores are never committed. When the node is asked for an element (t, h, d), it posts the scores of position t and
head h against every position that t may look at, and one record for each block of positions. The game then steps one
score, one record, or the element itself.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from nexus_chain.disputes.step import TABLE, Needed, Step, cell
from nexus_chain.program import primitives as fixed

RECORD_BYTES = 28
GAS_PER_ENTRY = ("block", 2_200)
_RECORD = struct.Struct("<iqqq")


@dataclass(frozen=True)
class Record:
    """One block: largest score, sum of the powers p_j, largest weight, and B[d] of the disputed d."""

    best: int
    total: int
    weight: int
    mixed: int

    def packed(self) -> bytes:
        """28 bytes, little endian."""
        return _RECORD.pack(self.best, self.total, self.weight, self.mixed)


@dataclass(frozen=True)
class ScoreRow:
    """Scores i32[J] of positions ``first`` onwards, and a record per block of positions."""

    first: int
    block: int
    scores: tuple[int, ...]
    records: tuple[Record, ...]

    @property
    def record_bytes(self) -> bytes:
        return b"".join(record.packed() for record in self.records)

    @property
    def score_bytes(self) -> bytes:
        return struct.pack(f"<{len(self.scores)}i", *self.scores)


def span(step: Step) -> tuple[int, int]:
    """First and last position that the element looks at."""
    position, window = step.position, step.op.params["window"]
    if window < 0:
        return 0, step.layout.positions - 1
    return (max(0, position - window + 1) if window else 0), position


def place(step: Step) -> tuple[int, int, int]:
    """(query head, key-value head, dimension) of the element."""
    head, dimension = divmod(step.column, step.op.params["head_dim"])
    return head, head // (step.op.params["heads"] // step.op.params["kv_heads"]), dimension


def block_ranges(first: int, last: int, block: int) -> list[tuple[int, int]]:
    """Ranges of a score row that fall into one block each, counted from its first score."""
    cuts = [first, *(edge * block for edge in range(first // block + 1, last // block + 1)), last + 1]
    return [(start - first, stop - first) for start, stop in pairwise(cuts)]


def score_row(step: Step, weights: Mapping[str, Tensor]) -> ScoreRow:
    """The right score row of the element, computed from the trace's own tensors."""
    first, last = span(step)
    head, group, dimension = place(step)
    q, q_m, q_e, k, k_m, k_e, columns, maxima = (step.read(name).to(torch.int64) for name in step.op.inputs)
    keys = slice(first, last + 1)
    at = step.input_row(0, step.index[0]), head
    query = q[at], _mantissa(q_m[at]), _exponent(q_e[at])
    scores = _scores(step, query, k[keys, group], _mantissa(k_m[keys, group]), _exponent(k_e[keys, group]))
    table = weights[step.op.weights[0]].to(torch.int64).clamp(0, fixed.EXP2_ONE)
    power = fixed.exp2n(scores.max() - scores, table)
    weight = power * maxima[group, keys].clamp(1, fixed.SATURATION)
    values = columns[group, dimension, keys]
    block = step.op.params["block"]
    records = tuple(
        _record(scores[a:b], power[a:b], weight[a:b], values[a:b]) for a, b in block_ranges(first, last, block)
    )
    return ScoreRow(first, block, tuple(scores.tolist()), records)


def needed_for_score(step: Step, at: int) -> Needed:
    """The query's and one key's heads."""
    heads, groups, size = (step.op.params[name] for name in ("heads", "kv_heads", "head_dim"))
    head, group, _ = place(step)
    query, key = step.input_row(0, step.index[0]) * heads + head, (span(step)[0] + at) * groups + group
    read = [((one * size, (one + 1) * size), cell(one), cell(one)) for one in (query, key)]
    return Needed((*read[0], *read[1], None, None), (None,))


def needed_for_block(step: Step, at: int) -> Needed:
    """One value column over the block's positions, their maxima, and the table."""
    first, last = span(step)
    start, stop = block_ranges(first, last, step.op.params["block"])[at]
    _, group, dimension = place(step)
    column = (group * step.op.params["head_dim"] + dimension) * step.layout.positions
    maxima = group * step.layout.positions
    read = [(row + first + start, row + first + stop) for row in (column, maxima)]
    return Needed((None,) * 6 + (read[0], read[1]), (TABLE,))


def needed_for_sum(step: Step) -> Needed:
    """A step of the sum needs no input row and no weight: the records of the trace are enough."""
    return Needed((None,) * 8, (None,))


def _mantissa(value: Tensor) -> Tensor:
    return value.clamp(0, fixed.MANTISSA_MAX)


def _exponent(value: Tensor) -> Tensor:
    return value.clamp(-fixed.EXPONENT_LIMIT, fixed.EXPONENT_LIMIT)


def _scores(step: Step, query: tuple[Tensor, Tensor, Tensor], k: Tensor, k_m: Tensor, k_e: Tensor) -> Tensor:
    q, m, e = query
    scale = fixed.rs(m * step.op.params["scale"], 16)
    sums = (k * q).sum(dim=1)
    return fixed.sat(fixed.rs(fixed.rs(sums * scale, 12) * k_m, 11 - e - k_e))


def _record(scores: Tensor, power: Tensor, weight: Tensor, values: Tensor) -> Record:
    largest = weight.max().clamp(min=1)
    shift = (fixed.bit_length(largest) - 31).clamp(min=0)
    units = fixed.quantise(weight >> shift, largest >> shift, fixed.ATTENTION_LEVELS)
    return Record(int(scores.max()), int(power.sum()), int(largest), int((units * values).sum()))
