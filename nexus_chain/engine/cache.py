"""Keys and values of one sequence, and the rows of a batch of sequences.

Layouts are chosen for the kernels: per kv head, keys with positions outermost, values with
positions innermost. Both executors share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nexus_chain.program import Op
from nexus_chain.program.op_kinds import KINDS
from nexus_chain.program.sampling import Sampling

CAPACITY_STEP = 64  # kernels read whole blocks of this many positions


@dataclass(frozen=True)
class LayerCache:
    """What one attention op keeps of a sequence; G kv heads of size D, C positions."""

    keys: Tensor  # i8[G, C, D]
    mantissas: Tensor  # i32[G, C]
    exponents: Tensor  # i32[G, C]
    values: Tensor  # i8[G, D, C]
    magnitudes: Tensor  # i32[G, C]

    @classmethod
    def empty(cls, op: Op, capacity: int, device: str = "cpu") -> LayerCache:
        """Room for ``capacity`` positions of the attention op ``op`` on ``device``."""
        groups, size = op.params["kv_heads"], op.params["head_dim"]
        scale = (groups, capacity)
        return cls(
            torch.zeros(groups, capacity, size, dtype=torch.int8, device=device),
            torch.zeros(scale, dtype=torch.int32, device=device),
            torch.zeros(scale, dtype=torch.int32, device=device),
            torch.zeros(groups, size, capacity, dtype=torch.int8, device=device),
            torch.zeros(scale, dtype=torch.int32, device=device),
        )

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.keys, self.mantissas, self.exponents, self.values, self.magnitudes

    def begin_as(self, other: LayerCache, length: int) -> None:
        """Take over the first ``length`` positions of another cache of the same op."""
        self.keys[:, :length] = other.keys[:, :length]
        self.values[:, :, :length] = other.values[:, :, :length]
        for mine, theirs in zip(
            (self.mantissas, self.exponents, self.magnitudes),
            (other.mantissas, other.exponents, other.magnitudes),
            strict=True,
        ):
            mine[:, :length] = theirs[:, :length]


def cache_bytes(op: Op, positions: int) -> int:
    """Bytes of the :class:`LayerCache` of the attention op ``op`` for a sequence of ``positions``."""
    scales = 3 * torch.int32.itemsize  # mantissa, exponent and magnitude
    return op.params["kv_heads"] * padded_capacity(positions) * (2 * op.params["head_dim"] + scales)


@dataclass(eq=False)
class SegmentState:
    """One sequence in one segment. ``length`` positions are consumed; ``capacity`` fit."""

    prompt_length: int
    sampling: Sampling
    capacity: int
    caches: tuple[LayerCache, ...]
    length: int = field(default=0)

    @property
    def rows_capacity(self) -> int:
        """Positions allocated: ``capacity`` rounded up to whole kernel blocks."""
        return padded_capacity(self.capacity)

    @property
    def nbytes(self) -> int:
        """Bytes of keys and values held."""
        return sum(tensor.nbytes for cache in self.caches for tensor in cache.tensors)


def padded_capacity(positions: int) -> int:
    """``positions`` rounded up to whole kernel blocks."""
    return -(-positions // CAPACITY_STEP) * CAPACITY_STEP


def open_state(
    ops: Sequence[Op], prompt_length: int, sampling: Sampling, capacity: int, device: str = "cpu"
) -> SegmentState:
    """Fresh state for the attention ops among ``ops``, in their order; its cache lies on ``device``."""
    room = padded_capacity(capacity)
    caches = tuple(LayerCache.empty(op, room, device) for op in ops if KINDS[op.kind].cached)
    return SegmentState(prompt_length, sampling, capacity, caches)


@dataclass(frozen=True)
class SequenceRows:
    """``count`` rows of ``state``, from row ``first`` of the batch on."""

    state: SegmentState
    first: int
    count: int

    @property
    def sampled_from(self) -> int:
        """First row of the batch (at least ``first``) whose position is sampled."""
        skipped = self.state.prompt_length - 1 - self.state.length
        return self.first + min(max(skipped, 0), self.count)

    @property
    def sampled(self) -> int:
        return self.first + self.count - self.sampled_from


class Batch:
    """Rows of several sequences side by side, with what the ops need to know about each row.

    positions i32[rows] and sampled_rows i64[n] on ``device``; sampling i64[n, 3] (beta and two noise keys)
    in main memory, where whoever samples reads it number by number.
    """

    def __init__(self, parts: Sequence[tuple[SegmentState, int]], last: bool, device: str = "cpu") -> None:
        """``parts`` are (state, number of rows); ``last`` says whether this segment samples."""
        self.sequences: list[SequenceRows] = []
        positions: list[int] = []
        rows: list[int] = []
        sampling: list[tuple[int, int, int]] = []
        for state, count in parts:
            part = SequenceRows(state, len(positions), count)
            self.sequences.append(part)
            positions.extend(range(state.length, state.length + count))
            if last:
                rows.extend(range(part.sampled_from, part.first + count))
                wanted = positions[part.sampled_from : part.first + count]
                sampling.extend((state.sampling.beta, *state.sampling.noise_keys(position)) for position in wanted)
        self.positions = torch.tensor(positions, dtype=torch.int32, device=device)
        self.sampled_rows = torch.tensor(rows, dtype=torch.int64, device=device)
        self.sampling = torch.tensor(sampling, dtype=torch.int64).view(-1, 3)

    @property
    def rows(self) -> int:
        return len(self.positions)

    @property
    def sampled(self) -> int:
        return len(self.sampled_rows)

    def advance(self) -> None:
        """Count the rows as consumed."""
        for part in self.sequences:
            part.state.length += part.count
