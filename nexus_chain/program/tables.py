"""Committed tables: computed once when a model is imported, then weights like any other.

No executor recomputes them; mathematical libraries differ in the last bit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nexus_chain.program.op_kinds import PHI_ENTRIES
from nexus_chain.program.table_specs import EXP2_SPEC, LOG2_SPEC, PHI_SPEC

ROPE_ONE = 32767
STILL_COSINE = ROPE_ONE / 2.0**15  # what a rotation by nothing multiplies with: 1 does not fit Q15 in 16 bits


def exp2_table() -> Tensor:
    """``round(2^23 * 2^(-i/256))`` for i in 0..256; int32[257]."""
    steps = torch.arange(257, dtype=torch.float64)
    return torch.round(2.0**23 * torch.exp2(-steps / 256)).to(torch.int32)


def log2_table() -> Tensor:
    """``round(2^24 * log2(1 + i/256))`` for i in 0..256; int32[257]."""
    steps = torch.arange(257, dtype=torch.float64)
    return torch.round(2.0**24 * torch.log2(1 + steps / 256)).to(torch.int32)


def phi_table() -> Tensor:
    """``round(2^23 * Phi(i/64))`` for i in 0..512, Phi the normal distribution function; int32[513]."""
    steps = torch.arange(PHI_ENTRIES, dtype=torch.float64)
    return torch.round(2.0**22 * (1 + torch.erf(steps / (64 * math.sqrt(2.0))))).to(torch.int32)


def rope_table(context: int, frequencies: Tensor) -> Tensor:
    """Row t: D/2 cosines then D/2 sines of ``t * frequencies`` in Q15, clipped to 32767; int16[context, D]."""
    angles = torch.arange(context, dtype=torch.float64)[:, None] * frequencies[None, :]
    waves = torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)
    return torch.round(waves * 2.0**15).clamp(-ROPE_ONE, ROPE_ONE).to(torch.int16)


def encoder_tables(context: int, head_dim: int) -> dict[str, Tensor]:
    """All tables an encoder's program reads, by weight name; :data:`STILL_COSINE` tells what its rotation does."""
    return {**committed_tables(context, torch.zeros(head_dim // 2)), PHI_SPEC.name: phi_table()}


def committed_tables(context: int, frequencies: Tensor) -> dict[str, Tensor]:
    """All tables a decoder's program reads, by weight name; ``frequencies`` f64[D/2] are radians per position."""
    return {
        EXP2_SPEC.name: exp2_table(),
        LOG2_SPEC.name: log2_table(),
        "tables.rope": rope_table(context, frequencies),
    }
