"""From float64 matrices to int8 rows with a 16-bit mantissa and an exponent per output channel.

All constants beside a matrix are folded in here, in float64, before rounding: norm gain, 1/levels, sqrt(width),
log2(e)/sqrt(D).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nexus_chain.program.fixed_point import ATTENTION_LEVELS, LEVELS, SATURATION

WEIGHT_LEVELS = 127
MIXED_UNIT = 2.0**21 / (ATTENTION_LEVELS * 127 * 2.0**12)  # real value of one unit of attention's output
EXPONENT_RANGE = (-96, 31)


def mantissa_exponent(scale: Tensor) -> Tensor:
    """``scale`` f64[N] > 0 as int32[N, 2] of (M, eps): M * 2^eps with M in [2^15, 2^16)."""
    fraction, exponent = torch.frexp(scale.to(torch.float64))
    mantissa = torch.round(fraction * 2.0**16)
    carried = mantissa >= 2.0**16
    mantissa = torch.where(carried, mantissa / 2, mantissa)
    exponent = torch.where(carried, exponent - 15, exponent - 16)
    return torch.stack([mantissa.to(torch.int32), exponent.clamp(*EXPONENT_RANGE).to(torch.int32)], dim=1)


def quantise_matrix(matrix: Tensor, input_unit: float) -> tuple[Tensor, Tensor]:
    """Symmetric int8 rows of ``matrix`` f64[N, K]: (int8[N, K], scale int32[N, 2]).

    ``input_unit`` is the real value of one unit of the quantised input at row scale 1; it ends up
    in the scale. A row of zeros gets scale 1.
    """
    largest = matrix.abs().amax(dim=1)
    step = torch.where(largest > 0, largest / WEIGHT_LEVELS, torch.ones_like(largest))
    rows = torch.round(matrix / step[:, None]).clamp(-WEIGHT_LEVELS, WEIGHT_LEVELS).to(torch.int8)
    return rows, mantissa_exponent(step * input_unit)


def quantise_remainder(matrix: Tensor, input_unit: float) -> tuple[Tensor, Tensor]:
    """What :func:`quantise_matrix` takes from ``matrix`` f64[N, K] by rounding, itself quantised in the same form."""
    rows, scale = quantise_matrix(matrix, input_unit)
    step = torch.ldexp(scale[:, 0].to(torch.float64), scale[:, 1]) / input_unit
    return quantise_matrix(matrix - rows.to(torch.float64) * step[:, None], input_unit)


def quantise_bias(bias: Tensor, fraction: int) -> Tensor:
    """``bias`` f64[N] with ``fraction`` fraction bits, saturated; int32[N]."""
    return torch.round(bias * 2.0**fraction).clamp(-SATURATION, SATURATION).to(torch.int32)


def quantise_gain(gain: Tensor, fraction: int) -> Tensor:
    """``gain`` f64[size] of a ``normalise`` op whose output has ``fraction`` fraction bits, saturated; int32[size]."""
    unit = math.sqrt(len(gain)) / LEVELS[15] * 2.0 ** (18 + fraction)
    return torch.round(gain * unit).clamp(-SATURATION, SATURATION).to(torch.int32)


def embedding_shift(largest: float, fraction: int) -> int:
    """The left shift with which entries up to ``largest`` fit int16 at ``fraction`` fraction bits."""
    shift = 0
    while largest * 2.0**fraction / 2.0**shift > 2**15 - 1:
        shift += 1
    return shift


def quantise_embedding(rows: Tensor, fraction: int, shift: int) -> Tensor:
    """Embedding rows f64[n, d] as int16[n, d]: ``rows << shift`` has ``fraction`` fraction bits."""
    return torch.round(rows * 2.0 ** (fraction - shift)).clamp(-(2**15) + 1, 2**15 - 1).to(torch.int16)
