"""Traces full of arbitrary bit patterns, one op of which is computed by the reference semantics.

A step looks at one op only, so everything else in the trace may be noise; boundary values (least,
greatest, zero, ties) and realistic ones are mixed element by element.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from nexus_chain.disputes.stored_trace import StoredTrace
from nexus_chain.disputes.trace import TracedSequence
from nexus_chain.disputes.trace_layout import TraceLayout, TraceTensor
from nexus_chain.program import SAMPLED, ModelShape, Op, Program, Sampling, TensorSpec, blocks, decoder_program
from nexus_chain.program.builder import ProgramBuilder
from nexus_chain.program.descriptors import POSITIONS as POSITION_ROWS
from nexus_chain.program.rotary import plain_frequencies
from nexus_chain.program.table_specs import EXP2_SPEC, PHI_SPEC
from nexus_chain.program.tables import committed_tables, phi_table
from nexus_chain.program.torch_dtypes import TORCH_DTYPES
from tests.support.lies import run_op
from tests.support.referee import SALT

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
QUERY_ROWS, DOWN_ROWS = (
    (f"layers.0.{name}.q", f"layers.0.{name}.m", f"layers.0.{name}.e") for name in ("attention.norm", "mlp.down.0")
)
EXPERTS, SLOTS = 5, 3
REAL: Mapping[str, tuple[int, int]] = {
    ".m": (2**15, 2**16),
    "_m": (2**15, 2**16),
    ".e": (-40, 1),
    "_e": (-40, 1),
    "route.0": (-1, EXPERTS + 1),
    "route.1": (-1, 2**16 + 2),
}


def small_program(window: int, shift: int, epsilon: int) -> Program:
    """Every kind of op, with several chunks, blocks and parameters that a real model sets otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "DOWN_CHUNK", 24)
        patch.setattr(blocks, "SAMPLE_BLOCK", SAMPLE_BLOCK)
        patch.setattr(blocks, "ATTENTION_BLOCK", 4)
        made = decoder_program("noise", SHAPE, embed_shift=shift)
    ops = tuple(
        replace(op, params={**op.params, "window": window}) if op.kind == "attention" else op for op in made.ops
    )
    more = further_kinds(shift, epsilon)
    head = next(number for number, op in enumerate(ops) if op.name.startswith("head."))
    weights = {spec.name: spec for spec in (*made.weights, *more.weights.values())}
    program = replace(made, ops=(*ops[:head], *more.ops, *ops[head:]), weights=tuple(weights.values()))
    program.validate()
    return program


def further_kinds(shift: int, epsilon: int) -> ProgramBuilder:
    """What no Llama has: the other kinds, row by row also over the sampled ones; nothing reads their outputs."""
    made, row, width = ProgramBuilder(context=SHAPE.context), "layers.0.attention.residual", SHAPE.width
    (columns,) = made.implied("row_layout", "columns", (row,), width=width)
    made.implied("prefix_mean", "mean", (columns,), width=width)
    made.implied("position_embed", "place", (row,), "place.table", width=width, shift=shift)
    for rows, end in ((POSITION_ROWS, ""), (SAMPLED, ".sampled")):
        made.rows = rows
        for groups, centred, bias in ((1, 1, 1), (4, 0, 0), (3, 1, 0)):
            weights = [f"norm{groups}.gain", f"norm{groups}.bias"][: 1 + bias]
            sizes = {"groups": groups, "size": width // groups, "centred": centred, "epsilon": epsilon, "bias": bias}
            made.implied("normalise", f"norm{groups}{end}", (row,), *weights, **sizes)
        made.implied("gelu", f"gelu{end}", (row,), PHI_SPEC.name, width=width)
        _experts(made, row, end)
    return made


def _experts(made: ProgramBuilder, row: str, end: str) -> None:
    """Routes over few and over many experts, and products with a matrix of either width of row."""
    wide = {"experts": SHAPE.width, "slots": 8}
    made.implied("route", f"wide{end}", (row,), EXP2_SPEC.name, **wide)
    logits = made.linear(f"router{end}", QUERY_ROWS, (EXPERTS, SHAPE.width), 8)
    choice = {"experts": EXPERTS, "slots": SLOTS}
    route = made.implied("route", f"{end}route", (logits,), EXP2_SPEC.name, **choice)
    for name, rows, columns, bits, slot in (("up", QUERY_ROWS, SHAPE.width, 8, 0), ("down", DOWN_ROWS, 24, 15, 2)):
        weights = [f"experts.{expert}.{name}.{part}" for expert in range(EXPERTS) for part in ("weight", "scale")]
        inputs = (*rows, route[0]) if name == "up" else (*rows, *route, row)
        sizes = {"rows": SHAPE.width, "columns": columns, "bits": bits, "fraction": 12, "slot": slot}
        combine = int(name == "down")
        made.implied(
            "expert_linear",
            f"{name}{end}",
            inputs,
            *weights,
            **sizes,
            **choice,
            combine=combine,
        )


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
        window, shift = (int(value) for value in self.noise.integers(0, 8, (2,)))
        self.program = small_program(window - 1, shift, int(self.noise.integers(0, 2**60, (1,))) >> 3 * (seed % 20))
        beta = 0 if seed % 4 == 0 else int(self.noise.integers(1, 2**31, (1,)))
        self.sampling = Sampling(beta, bytes([seed % 256] * 32))
        turning = plain_frequencies(SHAPE.head_dim, SHAPE.rope_theta)
        tables = committed_tables(SHAPE.context, turning) | {PHI_SPEC.name: phi_table()}
        self.weights = {spec.name: self._weight(spec, tables, seed) for spec in self.program.weights}
        self.layout = TraceLayout(self.program, 0, 1, POSITIONS, PROMPT)
        tensors = [self.fill(spec) for spec in self.layout.tensors]
        prompt = self.noise.tensor("tokens", "i32", (PROMPT,), SHAPE.vocab)
        self.base = StoredTrace(self.layout, tensors, TracedSequence(tensors[0], prompt, self.sampling, SALT))

    def fill(self, spec: TraceTensor) -> Tensor:
        """Noise in the form of one tensor."""
        return self.noise.tensor(spec.name, spec.dtype, spec.shape, SHAPE.vocab)

    def inputs(self, op: Op) -> dict[str, Tensor]:
        """Fresh noise for every input of ``op``, by name."""
        return {name: self.fill(self.layout.tensor(self.layout.numbers[name])) for name in op.inputs}

    def with_op(self, op: Op) -> StoredTrace:
        """The trace with fresh inputs of ``op`` and the outputs that the reference computes from them."""
        numbers, live = self.layout.numbers, self.inputs(op)
        changes = {numbers[name]: tensor for name, tensor in live.items()}
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
