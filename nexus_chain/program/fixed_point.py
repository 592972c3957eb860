"""Numbers that the ops of ``OPERATORS.md`` share: limits, units and levels. Pure Python: no tensors."""

from __future__ import annotations

SATURATION = 2**31 - 1
MANTISSA_MAX = 2**16 - 1
EXPONENT_LIMIT = 128
SQUARES_MAX = 2**61 - 1
EXP2_ONE = 2**23
PHI_ONE = 2**23
LOG2_ONE = 2**24
BEST_LIMIT = 2**40
GATE_ONE = 2**16  # an expert's whole share of a row
LEVELS = {8: 127, 15: 16383}
ATTENTION_LEVELS = 16256
SILU_LOG2E = 23637  # log2(e) in Q14
MASK32 = 2**32 - 1
