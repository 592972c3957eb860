"""Fixed-point primitives: exact, total, vectorised over int64 tensors.

Every function takes and returns int64 tensors (Python integers where noted) and computes exactly
what ``OPERATORS.md`` writes; ``>>`` and ``//`` floor. Nothing here uses floating point except
:func:`isqrt`, which corrects its estimate with integers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nexus_chain.program.fixed_point import ATTENTION_LEVELS as ATTENTION_LEVELS
from nexus_chain.program.fixed_point import BEST_LIMIT as BEST_LIMIT
from nexus_chain.program.fixed_point import EXP2_ONE as EXP2_ONE
from nexus_chain.program.fixed_point import EXPONENT_LIMIT as EXPONENT_LIMIT
from nexus_chain.program.fixed_point import GATE_ONE as GATE_ONE
from nexus_chain.program.fixed_point import LEVELS as LEVELS
from nexus_chain.program.fixed_point import LOG2_ONE as LOG2_ONE
from nexus_chain.program.fixed_point import MANTISSA_MAX as MANTISSA_MAX
from nexus_chain.program.fixed_point import MASK32 as MASK32
from nexus_chain.program.fixed_point import PHI_ONE as PHI_ONE
from nexus_chain.program.fixed_point import SATURATION as SATURATION
from nexus_chain.program.fixed_point import SILU_LOG2E as SILU_LOG2E
from nexus_chain.program.fixed_point import SQUARES_MAX as SQUARES_MAX


def rs(x: Tensor, shift: Tensor | int) -> Tensor:
    """Rounding shift right, halves towards plus infinity; ``shift`` is clamped to [1, 62]."""
    amount = torch.as_tensor(shift, dtype=torch.int64, device=x.device).clamp(1, 62)
    return (x + (torch.ones_like(amount) << (amount - 1))) >> amount


def sat(x: Tensor) -> Tensor:
    """Clamp to [-(2^31 - 1), 2^31 - 1]."""
    return x.clamp(-SATURATION, SATURATION)


def read_maximum(x: Tensor) -> Tensor:
    """A row maximum as ops read it: any bits become a divisor."""
    return x.clamp(1, SATURATION)


def read_mantissa(x: Tensor) -> Tensor:
    """A mantissa as ops read it."""
    return x.clamp(0, MANTISSA_MAX)


def read_exponent(x: Tensor) -> Tensor:
    """An exponent as ops read it."""
    return x.clamp(-EXPONENT_LIMIT, EXPONENT_LIMIT)


def read_best(x: Tensor) -> Tensor:
    """The largest key of a block of the vocabulary as ``sample`` reads it."""
    return x.clamp(-BEST_LIMIT, BEST_LIMIT)


def bit_length(x: Tensor) -> Tensor:
    """Bits of ``x`` in [0, 2^63): 0 for 0, else 1 + floor(log2 x)."""
    rest, bits = x, torch.zeros_like(x)
    for step in (32, 16, 8, 4, 2, 1):
        tall = (rest >> step) > 0
        rest = torch.where(tall, rest >> step, rest)
        bits = bits + step * tall
    return bits + (rest > 0)


def isqrt(x: Tensor) -> Tensor:
    """Floor of the square root of ``x`` in [0, 2^62)."""
    root = torch.sqrt(x.to(torch.float64)).to(torch.int64)
    root = torch.where(root * root > x, root - 1, root)
    return torch.where((root + 1) * (root + 1) <= x, root + 1, root)


def quantise(x: Tensor, largest: Tensor, levels: int) -> Tensor:
    """``x * levels / largest`` rounded, for |x| <= largest in [1, 2^31): at most ``levels`` in size.

    One division per row; elements outside that range are clamped to it first.
    """
    bits = bit_length(largest)
    inverse = (torch.full_like(largest, levels) << (16 + bits)) // largest
    inside = torch.minimum(torch.maximum(x, -largest), largest)
    return (inside * inverse + (torch.ones_like(bits) << (15 + bits))) >> (16 + bits)


def quotient16(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """``a / b`` as (m, e) with m in [2^15, 2^16), m * 2^e just below the quotient; a, b in [1, 2^31)."""
    up_a, up_b = 31 - bit_length(a), 31 - bit_length(b)
    quotient = ((a << up_a) << 16) // (b << up_b)
    tall = (quotient >= 2**16).to(torch.int64)
    return quotient >> tall, tall - 16 + up_b - up_a


def square_shift(largest: Tensor) -> Tensor:
    """Bits dropped from the elements of a row whose largest magnitude is ``largest``: 23 remain to be squared."""
    return (bit_length(largest) - 23).clamp(min=0)


def norm_scale(largest: Tensor, squares: Tensor, epsilon: int) -> tuple[Tensor, Tensor]:
    """``largest`` over the root of the sum of squares as (m, e); ``squares`` sums shifted elements, ``epsilon`` not."""
    down = square_shift(largest)
    total = (squares + (torch.full_like(squares, epsilon) >> (2 * down))).clamp(min=1)
    up = (62 - bit_length(total)) >> 1
    mantissa, exponent = quotient16(largest, isqrt(total << (2 * up)))
    return mantissa, exponent + up - down


def scale16(a: Tensor) -> tuple[Tensor, Tensor]:
    """``a`` in [1, 2^31) as (m, e) with m in [2^15, 2^16) and m * 2^e nearest to a."""
    bits = bit_length(a)
    rounded = torch.where(bits <= 16, a << (16 - bits).clamp(min=0), rs(a, bits - 16))
    carried = rounded == 2**16
    return torch.where(carried, 2**15, rounded), bits - 16 + carried.to(torch.int64)


def exp2n(x: Tensor, table: Tensor) -> Tensor:
    """``2^-x`` in Q23 of ``x`` >= 0 in Q15; ``table`` is ``tables.exp2`` as int64[257]."""
    fraction = x & 32767
    index, rest = fraction >> 7, fraction & 127
    value = table[index] - rs((table[index] - table[index + 1]) * rest, 7)
    return value >> (x >> 15).clamp(max=24)


def log2fix(z: Tensor, table: Tensor) -> Tensor:
    """``log2 z`` in Q24 of ``z`` in [1, 2^62); ``table`` is ``tables.log2`` as int64[257]."""
    exponent = bit_length(z) - 1
    shifted = torch.where(exponent <= 24, z << (24 - exponent).clamp(min=0), z >> (exponent - 24).clamp(min=0))
    fraction = shifted - LOG2_ONE
    index, rest = fraction >> 16, fraction & 65535
    return (exponent << 24) + table[index] + (((table[index + 1] - table[index]) * rest) >> 16)


def sigmoid(gate: Tensor, table: Tensor) -> Tensor:
    """Logistic function in Q23 of ``gate`` i32 in Q12; ``table`` is ``tables.exp2`` as int64[257]."""
    power = exp2n(rs(gate.abs() * SILU_LOG2E, 11), table)
    numerator = torch.where(gate >= 0, torch.full_like(power, EXP2_ONE), power)
    return (numerator << 23) // (EXP2_ONE + power)


def gelu(x: Tensor, table: Tensor) -> Tensor:
    """``x * Phi(x)`` in Q12 of ``x`` i32 in Q12; ``table`` is ``tables.phi`` as int64[513]."""
    magnitude = x.abs().clamp(max=8 << 12)
    index, rest = (magnitude >> 6).clamp(max=511), magnitude & 63
    share = table[index] + rs((table[index + 1] - table[index]) * rest, 6)
    share = torch.where(magnitude == 8 << 12, table[512], share)
    return sat(rs(x * torch.where(x < 0, PHI_ONE - share, share), 23))


def planes(q: Tensor) -> tuple[Tensor, Tensor]:
    """A 15-bit row as two int8 planes: (q >> 7, q & 127)."""
    return q >> 7, q & 127


def mix(entry: Tensor, key0: int, key1: int) -> Tensor:
    """A keyed 32-bit integer mixer; every product stays below 2^63."""
    x = (entry & MASK32) ^ key0
    x = x ^ (x >> 16)
    x = (x * 0x7FEB352D) & MASK32
    x = x ^ (x >> 15)
    x = (x * 0x2C1B3C6D) & MASK32
    x = x ^ (x >> 16)
    x = (x + key1) & MASK32
    x = x ^ (x >> 15)
    x = (x * 0x2C1B3C6D) & MASK32
    x = x ^ (x >> 12)
    x = (x * 0x297A2D39) & MASK32
    return x ^ (x >> 15)


def gumbel(entry: Tensor, key0: int, key1: int, table: Tensor) -> Tensor:
    """Gumbel noise ``-log2(-log2 u)`` in Q16 of vocabulary entries; ``table`` is ``tables.log2`` as int64."""
    uniform = 2 * mix(entry, key0, key1) + 1
    gap = 2**33 - uniform
    near = gap.clamp(max=2**26 - 1)
    first = (near * 12102203) >> 16
    series = first + ((first * near) >> 34)
    energy = torch.where(gap < 2**26, series, ((33 << 24) - log2fix(uniform, table)) << 16)
    return ((40 << 24) - log2fix(energy.clamp(min=1), table)) >> 8
