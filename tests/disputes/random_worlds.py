"""Traces full of arbitrary bit patterns, one op of which is computed by the reference semantics.

A step looks at one op only, so everything else in the trace may be noise; boundary values (least,
greatest, zero, ties) and realistic ones are mixed element by element.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from lies import run_op
from referee import SALT
from torch import Tensor

from nexus_chain.commitments.tensor import TORCH_DTYPES
from nexus_chain.disputes.stored_trace import StoredTrace
from nexus_chain.disputes.trace import Sequence
from nexus_chain.disputes.trace_layout import TraceLayout, TraceTensor
from nexus_chain.program import ModelShape, Op, Program, Sampling, TensorSpec, decoder, decoder_program
from nexus_chain.program.rotary import plain_frequencies
from nexus_chain.program.tables import committed_tables

SHAPE = ModelShape(
    layers=1,
    width=48,
    heads=4,
    kv_heads=2,
    head_dim=8,
    ffn=40,
    vocab=70,
    context=24,
    attention_bias=True,
    mlp_bias=True,
)
POSITIONS, PROMPT = 10, 4
SAMPLE_BLOCK = 32
REAL: Mapping[str, tuple[int, int]] = {".m": (2**15, 2**16), "_m": (2**15, 2**16), ".e": (-40, 1), "_e": (-40, 1)}


def small_program(window: int, shift: int) -> Program:
    """Every kind of op, with several chunks, blocks and parameters that a real model sets otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "DOWN_CHUNK", 24)
        patch.setattr(decoder, "SAMPLE_BLOCK", SAMPLE_BLOCK)
        patch.setattr(decoder, "ATTENTION_BLOCK", 4)
        made = decoder_program("noise", SHAPE, embed_shift=shift)
    ops = tuple(
        replace(op, params={**op.params, "window": window}) if op.kind == "attention" else op for op in made.ops
    )
    program = replace(made, ops=ops)
    program.validate()
    return program


@dataclass(frozen=True)
class Noise:
    """Random tensors from one generator."""

    generator: torch.Generator

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Tensor:
        """int64 in [low, high)."""
        return torch.randint(low, high, shape, generator=self.generator, dtype=torch.int64)

    def tensor(self, name: str, dtype: str, shape: tuple[int, ...], vocab: int) -> Tensor:
        """Any bit pattern of the type, biased to what is interesting for a tensor of this name."""
        bits = 8 * TORCH_DTYPES[dtype].itemsize
        low, high = -(1 << bits - 1), (1 << bits - 1) - 1
        wide = self.integers(low, high, shape)
        edges = torch.tensor([low, low + 1, -1, 0, 1, high - 1, high])[self.integers(0, 7, shape)]
        modes = torch.stack([wide, wide >> self.integers(0, bits, shape), self.integers(-3, 4, shape), edges])
        picked = modes.gather(0, self._modes(shape)[None])[0]
        real = self._realistic(name, shape, vocab)
        if real is not None:
            picked = torch.where(self.integers(0, 4, shape) > 0, real, picked)
        return picked.to(TORCH_DTYPES[dtype])

    def _modes(self, shape: tuple[int, ...]) -> Tensor:
        """Per tensor one mode more often than the others, so that whole rows of ties and zeros occur."""
        favourite = self.integers(0, 4, (1,)).expand(shape)
        return torch.where(self.integers(0, 2, shape) > 0, favourite, self.integers(0, 4, shape))

    def _realistic(self, name: str, shape: tuple[int, ...], vocab: int) -> Tensor | None:
        if name == "tokens":
            return self.integers(0, vocab, shape)
        if name.endswith(".scale"):
            return torch.stack([self.integers(2**15, 2**16, shape[:1]), self.integers(-40, 1, shape[:1])], dim=1)
        if name.endswith("block_max"):
            return self.integers(-3, 4, shape) << 20
        return next((self.integers(*REAL[end], shape) for end in REAL if name.endswith(end)), None)


class RandomWorld:
    """A program with random weights and a trace of noise over it."""

    def __init__(self, seed: int) -> None:
        self.noise = Noise(torch.Generator().manual_seed(seed))
        window, shift = (int(value) for value in self.noise.integers(0, 7, (2,)))
        self.program = small_program(window, shift)
        beta = 0 if seed % 4 == 0 else int(self.noise.integers(1, 2**31, (1,)))
        self.sampling = Sampling(beta, bytes([seed % 256] * 32))
        tables = committed_tables(SHAPE.context, plain_frequencies(SHAPE.head_dim, SHAPE.rope_theta))
        self.weights = {spec.name: self._weight(spec, tables, seed) for spec in self.program.weights}
        self.layout = TraceLayout(self.program, 0, 1, POSITIONS, PROMPT)
        tensors = [self.fill(spec) for spec in self.layout.tensors]
        prompt = self.noise.tensor("tokens", "i32", (PROMPT,), SHAPE.vocab)
        self.base = StoredTrace(self.layout, tensors, Sequence(tensors[0], prompt, self.sampling, SALT))

    def fill(self, spec: TraceTensor) -> Tensor:
        """Noise in the form of one tensor."""
        return self.noise.tensor(spec.name, spec.dtype, spec.shape, SHAPE.vocab)

    def with_op(self, op: Op) -> StoredTrace:
        """The trace with fresh inputs of ``op`` and the outputs that the reference computes from them."""
        numbers = self.layout.numbers
        changes = {numbers[name]: self.fill(self.layout.tensor(numbers[name])) for name in op.inputs}
        live = {name: changes[numbers[name]] for name in op.inputs}
        outputs = run_op(self.layout, op, live, self.weights, self.sampling)
        changes |= {numbers[spec.name]: output for spec, output in zip(op.outputs, outputs, strict=True)}
        return self.base.replaced(changes)

    def all_wrong(self, trace: StoredTrace, op: Op) -> StoredTrace:
        """Every element of the op's outputs set to something else."""
        return trace.replaced({self.layout.numbers[spec.name]: self._spoiled(trace, spec) for spec in op.outputs})

    def _spoiled(self, trace: StoredTrace, spec: TensorSpec) -> Tensor:
        tensor = trace.tensor(self.layout.numbers[spec.name])
        other = self.noise.tensor(spec.name, spec.dtype, tuple(tensor.shape), SHAPE.vocab)
        near = tensor ^ 1
        return torch.where((other == tensor) | (self.noise.integers(0, 2, tuple(tensor.shape)) > 0), near, other)

    def _weight(self, spec: TensorSpec, tables: Mapping[str, Tensor], seed: int) -> Tensor:
        if spec.name in tables and seed % 2:
            return tables[spec.name]
        return self.noise.tensor(spec.name, spec.dtype, spec.shape, SHAPE.vocab)
