"""Decides whether the compiled kernels may be trusted: same bits as torch on random programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from nexus_chain.engine.cache import Batch, open_state
from nexus_chain.engine.errors import KernelUnavailableError
from nexus_chain.engine.native_executor import KernelWeights, NativeExecutor
from nexus_chain.engine.products import exact_product
from nexus_chain.engine.torch_executor import TorchExecutor
from nexus_chain.program import ActivationBits, IntegerModel, ModelShape, random_model
from nexus_chain.program.sampling import Sampling

# Odd sizes, so that every kernel's tail runs; both activation widths; grouped queries; biases.
SHAPE = ModelShape(
    layers=1, width=72, heads=6, kv_heads=2, head_dim=12, ffn=344, vocab=600, context=80, attention_bias=True
)
ENCODER = ModelShape(layers=2, width=72, heads=6, kv_heads=6, head_dim=12, ffn=136, vocab=600, context=80, encoder=True)
EXPERTS = replace(SHAPE, ffn=70, experts=5, experts_per_token=3)
# Whole lines of 64 bytes in several parts, and rows for more than one tile: what large batches run.
TILED = ModelShape(layers=1, width=128, heads=2, kv_heads=1, head_dim=64, ffn=640, vocab=192, context=48)
BITS = ActivationBits(attention_input=15, down=15)
TEST_ROWS = {SHAPE: 11, ENCODER: 11, EXPERTS: 11, TILED: 41}
TEST_THREADS = 2


@cache
def check_kernels() -> None:
    """Raise :class:`KernelUnavailableError` unless every tensor of random programs comes out right."""
    exact_product()  # chosen with the threads that it will run with
    for shape, rows in TEST_ROWS.items():
        model = random_model(shape, seed=7, bits=BITS)
        tokens = torch.arange(rows, dtype=torch.int32) * 53 % shape.vocab
        with _one_torch_thread():
            expected = run_torch(model, tokens)
        found = run_native(model, tokens)
        wrong = [name for name, tensor in expected.items() if not torch.equal(tensor, found[name])]
        if wrong:
            raise KernelUnavailableError(
                f"The compiled kernels get {wrong[0]} wrong on this machine",
                advice="Use the torch backend and report the compiler and CPU.",
            )


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Operations this small cost more in waiting for a second thread than in work; most where cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _setting(model: IntegerModel, rows: int) -> tuple[list[str], Batch]:
    ops = model.program.ops
    state = open_state(ops, 4, Sampling(beta=70000, seed=bytes(range(32))), model.program.shape.context)
    return [spec.name for op in ops for spec in op.outputs], Batch([(state, rows)], last=True)


def run_torch(model: IntegerModel, tokens: Tensor) -> dict[str, Tensor]:
    """Every tensor of the program, by torch."""
    names, batch = _setting(model, len(tokens))
    return TorchExecutor(model.program.ops, model.weights, names).run(tokens, batch)


def run_native(model: IntegerModel, tokens: Tensor) -> dict[str, Tensor]:
    """Every tensor of the program, by the compiled kernels."""
    names, batch = _setting(model, len(tokens))
    ops, source = model.program.ops, model.program.tensors["tokens"]
    weights = KernelWeights(ops, model.weights)
    return NativeExecutor(ops, source, weights, names, TEST_THREADS).run(tokens, batch)
