"""Integer models with random weights, for tests and benchmarks, and presets of their shapes.

Weights are drawn as integers directly (no float model is ever built), with scales that keep the
activations of a normalised network in a realistic range.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from nexus_chain.program.builder import ACTIVATION_FRACTION, RESIDUAL_FRACTION
from nexus_chain.program.decoder import decoder_program
from nexus_chain.program.descriptors import ModelShape, Op, Program, role_of
from nexus_chain.program.encoder import encoder_program
from nexus_chain.program.fixed_point import LEVELS
from nexus_chain.program.model import IntegerModel
from nexus_chain.program.quantisation import MIXED_UNIT, mantissa_exponent, quantise_gain
from nexus_chain.program.recipe import ActivationBits
from nexus_chain.program.rotary import plain_frequencies
from nexus_chain.program.tables import committed_tables, encoder_tables

PRESETS: Mapping[str, ModelShape] = {
    "tiny": ModelShape(layers=3, width=64, heads=4, kv_heads=2, head_dim=16, ffn=96, vocab=640, context=64),
    "tiny-bias": ModelShape(
        layers=2,
        width=32,
        heads=2,
        kv_heads=2,
        head_dim=16,
        ffn=64,
        vocab=300,
        context=48,
        attention_bias=True,
        mlp_bias=True,
    ),
    "tiny-long": ModelShape(layers=2, width=32, heads=2, kv_heads=1, head_dim=16, ffn=64, vocab=128, context=2304),
    "tiny-odd": ModelShape(layers=1, width=32, heads=2, kv_heads=1, head_dim=16, ffn=64, vocab=2051, context=32),
    "tiny-wide": ModelShape(layers=1, width=32, heads=2, kv_heads=1, head_dim=16, ffn=8448, vocab=64, context=32),
    "tiny-encoder": ModelShape(
        layers=3, width=48, heads=4, kv_heads=4, head_dim=12, ffn=80, vocab=200, context=96, rms_eps=1e-12, encoder=True
    ),
    "tiny-experts": ModelShape(
        layers=2,
        width=32,
        heads=2,
        kv_heads=1,
        head_dim=16,
        ffn=48,
        vocab=128,
        context=64,
        experts=5,
        experts_per_token=2,
    ),
    "tiny-head-norm": ModelShape(
        layers=2,
        width=32,
        heads=4,
        kv_heads=2,
        head_dim=16,
        ffn=48,
        vocab=128,
        context=64,
        qkv_bias=True,
        qk_norm=True,
        windows=(5, 0),
    ),
    "llama-135m": ModelShape(
        layers=30, width=576, heads=9, kv_heads=3, head_dim=64, ffn=1536, vocab=49152, context=2048
    ),
    "llama-1.1b": ModelShape(
        layers=22, width=2048, heads=32, kv_heads=4, head_dim=64, ffn=5632, vocab=32000, context=2048
    ),
    "mixtral-1b": ModelShape(
        layers=12,
        width=1024,
        heads=16,
        kv_heads=4,
        head_dim=64,
        ffn=3072,
        vocab=32000,
        context=2048,
        experts=8,
        experts_per_token=2,
    ),
}


def random_model(
    shape: ModelShape, seed: int = 0, bits: ActivationBits | None = None, finer: Collection[str] = ()
) -> IntegerModel:
    """A model of ``shape`` whose weights depend on ``seed`` alone; ``finer`` is that of a recipe."""
    program = program_of(f"random-{seed}", shape, bits, finer)
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, Tensor] = dict(_tables(shape))
    for op in program.ops:
        if op.kind == "linear":
            weights.update(_random_linear(op, op.weights, program, generator))
        if op.kind == "expert_linear" and op.weights[0] not in weights:  # every slot has the same matrices
            for names in op.expert_weights:
                weights.update(_random_linear(op, names, program, generator))
        if op.kind == "normalise":
            weights.update(_random_norm(op, generator))
        if op.kind in ("embed", "position_embed"):
            size = program.weight_specs[op.weights[0]].shape
            weights[op.weights[0]] = torch.randint(-(2**15), 2**15, size, generator=generator, dtype=torch.int16)
    return IntegerModel(program, weights)


def program_of(
    name: str, shape: ModelShape, bits: ActivationBits | None = None, finer: Collection[str] = ()
) -> Program:
    """The op list of a network of ``shape``, whatever its family; encoders have no matrices in two parts."""
    return encoder_program(name, shape, bits) if shape.encoder else decoder_program(name, shape, bits, finer=finer)


def _tables(shape: ModelShape) -> dict[str, Tensor]:
    if shape.encoder:
        return encoder_tables(shape.context, shape.head_dim)
    return committed_tables(shape.context, plain_frequencies(shape.head_dim, shape.rope_theta))


def _random_norm(op: Op, generator: torch.Generator) -> dict[str, Tensor]:
    """Gains around 1 and biases below 1: centred for rows of the residual stream, else for heads."""
    size = op.params["size"]
    gain = 0.5 + torch.rand(size, generator=generator, dtype=torch.float64)
    result = {op.weights[0]: quantise_gain(gain, RESIDUAL_FRACTION if op.params["centred"] else ACTIVATION_FRACTION)}
    if op.params["bias"]:
        limit = 1 << RESIDUAL_FRACTION
        result[op.weights[1]] = torch.randint(-limit, limit, (size,), generator=generator, dtype=torch.int32)
    return result


def _random_linear(op: Op, weights: Sequence[str], program: Program, generator: torch.Generator) -> dict[str, Tensor]:
    """Uniform int8 rows, named ``weights``, whose scales give outputs of about unit size for unit inputs."""
    rows, columns = op.params["rows"], op.params["columns"]
    names = dict(zip(("weight", "scale", "bias"), weights, strict=False))
    weight = torch.randint(-127, 128, (rows, columns), generator=generator, dtype=torch.int8)
    spread = 0.75 + 0.5 * torch.rand(rows, generator=generator, dtype=torch.float64)
    result = {
        names["weight"]: weight,
        names["scale"]: mantissa_exponent(_input_unit(op, program) * spread / (73 * math.sqrt(columns))),
    }
    if "bias" in names:
        limit = 1 << (RESIDUAL_FRACTION if op.params["residual"] else ACTIVATION_FRACTION)
        result[names["bias"]] = torch.randint(-limit, limit, (rows,), generator=generator, dtype=torch.int32)
    return result


def _input_unit(op: Op, program: Program) -> float:
    """Real value of one quantised input unit times its row scale, by what feeds the op."""
    level = LEVELS[op.params["bits"]]
    matrix = role_of(op).matrix
    if matrix == "output":
        return MIXED_UNIT / level
    if matrix == "down":
        return 2.0**-ACTIVATION_FRACTION / level
    return (2.0**-RESIDUAL_FRACTION if program.shape.encoder else math.sqrt(program.shape.width)) / level
