"""From a checkpoint's float tensors to integer tensors, some rows at a time. Constants are folded in before rounding.

Each family says what is folded where.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nexus_chain.program.builder import ACTIVATION_FRACTION, RESIDUAL_FRACTION
from nexus_chain.program.checkpoint import Checkpoint, MatrixSource
from nexus_chain.program.descriptors import Op, Program, role_of
from nexus_chain.program.quantisation import (
    embedding_shift,
    mantissa_exponent,
    quantise_bias,
    quantise_embedding,
    quantise_matrix,
    quantise_remainder,
)


@dataclass(frozen=True)
class Folded:
    """Where a linear op's matrix comes from and what is folded into it; None: nothing."""

    source: MatrixSource
    input_unit: float  # real value of one unit of the op's input at row scale 1
    gain: Tensor | None = None  # f64[K], of the input's channels
    factor: Tensor | None = None  # f64[N], of the output's channels
    columns: tuple[int, int] | None = None

    def rows(self, start: int, rows: Tensor) -> Tensor:
        """Rows f64[n, K] of the matrix, from row ``start`` on, with everything folded."""
        rows = rows if self.gain is None else rows * self.gain
        return rows if self.factor is None else rows * self.factor[start : start + len(rows), None]

    @property
    def bias(self) -> str:
        """Name of the bias beside the matrix."""
        return f"{self.source.tensor.removesuffix('weight')}bias"


def matrix_weights(checkpoint: Checkpoint, op: Op, names: Sequence[str], folded: Folded) -> dict[str, Tensor]:
    """One matrix as the weights ``names``: int8 rows and their scales. Raises :class:`NonFiniteWeightError`.

    Rows that only the op has, those of no token, are zero.
    """
    matrix = torch.zeros((op.params["rows"], op.params["columns"]), dtype=torch.int8)
    scale = mantissa_exponent(torch.full((op.params["rows"],), folded.input_unit, dtype=torch.float64))
    quantise = quantise_remainder if role_of(op).remainder else quantise_matrix
    for start, rows in checkpoint.blocks(folded.source, folded.columns):
        part = slice(start, start + len(rows))
        matrix[part], scale[part] = quantise(folded.rows(start, rows), folded.input_unit)
    return dict(zip(names, (matrix, scale), strict=True))


def linear_weights(checkpoint: Checkpoint, op: Op, folded: Folded) -> dict[str, Tensor]:
    """The weights of a linear op by name. Raises :class:`NonFiniteWeightError`."""
    found = matrix_weights(checkpoint, op, op.weights[:2], folded)
    if op.params["bias"]:
        fraction = RESIDUAL_FRACTION if op.params["residual"] else ACTIVATION_FRACTION
        bias = checkpoint.read(folded.bias)
        found[op.weights[2]] = quantise_bias(bias if folded.factor is None else bias * folded.factor, fraction)
    return found


def embedding_table(checkpoint: Checkpoint, name: str) -> tuple[Tensor, int]:
    """An embedding matrix as int16[V, d] and the left shift that its op needs. Raises :class:`NonFiniteWeightError`."""
    largest = max(float(rows.abs().max()) for _, rows in checkpoint.blocks(name))
    shift = embedding_shift(largest, RESIDUAL_FRACTION)
    return torch.cat([quantise_embedding(rows, RESIDUAL_FRACTION, shift) for _, rows in checkpoint.blocks(name)]), shift


def in_order(program: Program, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``weights`` in the program's canonical order."""
    return {spec.name: weights[spec.name] for spec in program.weights}
