"""Says of 1, 2, 3 and 9 rows whether the kernels sum 4096 products of one sign as torch does: beyond 32 bits.

``NEXUS_KERNEL_TARGET`` chooses the kernels, so it runs in a process of its own: ``python -m tests.support.wide_sums``.
"""

from __future__ import annotations

import torch

from nexus_chain.disputes.trace_layout import TraceLayout
from nexus_chain.program import ActivationBits, ModelShape, Sampling, decoder_program, random_model
from tests.support.fast_ops import NativeOps, TorchOps, batch_of

COLUMNS = 4096
SHAPE = ModelShape(layers=1, width=16, heads=2, kv_heads=1, head_dim=8, ffn=COLUMNS, vocab=20, context=24)


def is_exact(positions: int) -> bool:
    """Whether the largest bytes give the same sums, of which none is saturated."""
    program = decoder_program("wide", SHAPE, ActivationBits(15, 15, 15, 15, 15))
    op = next(op for op in program.ops if op.name == "layers.0.mlp.down.0")
    rows, mantissas, exponents, residual = op.inputs
    given = {
        rows: torch.full((positions, 2, COLUMNS), 127, dtype=torch.int8),
        mantissas: torch.full((positions,), 40000, dtype=torch.int32),
        exponents: torch.full((positions,), -56, dtype=torch.int32),
        residual: torch.zeros(positions, SHAPE.width, dtype=torch.int32),
    }
    full = {
        op.weights[0]: torch.full((SHAPE.width, COLUMNS), 127, dtype=torch.int8),
        op.weights[1]: torch.tensor([[40000, 0]], dtype=torch.int32).repeat(SHAPE.width, 1),
    }
    weights = {**random_model(SHAPE, seed=1).weights, **full}
    batch = batch_of(TraceLayout(program, 0, 1, positions, 1), Sampling())
    (found,), (expected,) = (kind(program, weights).run_op(op, given, batch) for kind in (NativeOps, TorchOps))
    assert 0 < int(expected.min()) < 2**31 - 1
    return torch.equal(found, expected)


if __name__ == "__main__":
    print(*(is_exact(positions) for positions in (1, 2, 3, 9)))
