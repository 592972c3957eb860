"""Programs that a hostile publisher might register: real ones, rewired, and honest ones of any shape.

Everything depends on the ``random.Random`` that is handed in.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from nexus_chain.program import POSITIONS, SAMPLED, ActivationBits, ModelShape, Op, Program, TensorSpec, random_model
from nexus_chain.program.decoder import decoder_program
from nexus_chain.program.encoder import EmbeddingShifts, encoder_program
from nexus_chain.program.model import _ranges
from nexus_chain.program.op_kinds import KINDS
from nexus_chain.program.reproduction import LAYER_INPUTS, LAYER_MATRICES
from nexus_chain.program.torch_dtypes import TORCH_DTYPES

INTERESTING = (-(2**31), -2, -1, 0, 1, 2, 3, 7, 8, 15, 16, 31, 64, 127, 1024, 32767, 2**31 - 1, 2**62)


def real_shape(source: random.Random) -> ModelShape:
    """A small network of any family."""
    kv_heads, head_dim = source.choice((1, 2)), source.choice((4, 8, 16))
    encoder = source.random() < 0.2
    layers = source.randint(2 if encoder else 1, 3)
    heads = kv_heads if encoder else kv_heads * source.choice((1, 2))
    experts = 0 if encoder or source.random() < 0.8 else source.randint(1, 5)
    return ModelShape(
        layers, source.choice((8, 24, 32)), heads, kv_heads, head_dim, source.choice((8, 40, 8200)),
        source.choice((5, 70, 640)), source.choice((8, 24, 64)), encoder=encoder, experts=experts,
        experts_per_token=source.randint(1, min(3, experts)) if experts else 0,
        attention_bias=source.random() < 0.3, mlp_bias=not experts and source.random() < 0.3,
        qkv_bias=source.random() < 0.3, qk_norm=not encoder and source.random() < 0.3,
        windows=tuple(source.randint(0, 5) for _ in range(layers)) if not encoder and source.random() < 0.3 else (),
    )  # fmt: skip


def real_program(source: random.Random) -> Program:
    """What a builder makes of some shape, widths and shifts."""
    shape = real_shape(source)
    bits = ActivationBits(*(source.choice((8, 15)) for _ in range(5)))
    network = shape.layers - 1 if shape.encoder else shape.layers
    wider = [f"{n}.{family}" for n in range(network) for family in LAYER_INPUTS if source.random() < 0.2]
    finer = [matrix for matrix in _finest(shape) if source.random() < 0.1]
    shift = source.randint(0, 15)
    if shape.encoder:
        return encoder_program("fuzzed", shape, bits, EmbeddingShifts(shift, source.randint(0, 15)), wider)
    return decoder_program("fuzzed", shape, bits, shift, wider, finer)


def hostile_program(source: random.Random) -> Program:
    """A real program after one to three changes."""
    program = real_program(source)
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        program = source.choice(CHANGES)(program, source)
    return program


def weights_for(program: Program, source: random.Random) -> dict[str, Tensor]:
    """Weights that pass the ranges of the node's checks: realistic ones, or whatever bits are allowed."""
    if source.random() < 0.5:
        made = random_model(program.shape, seed=source.randrange(1000), finer=_finest(program.shape)).weights
        return {spec.name: made[spec.name] for spec in program.weights if spec.name in made}
    generator = torch.Generator().manual_seed(source.randrange(2**31))
    return {spec.name: _any_weight(spec, generator) for spec in program.weights}


def _finest(shape: ModelShape) -> list[str]:
    """Every matrix that may have two parts, as recipes name them."""
    matrices = LAYER_MATRICES[:4] if shape.experts else LAYER_MATRICES
    return [] if shape.encoder else ["head", *(f"{n}.{name}" for n in range(shape.layers) for name in matrices)]


def rows_for(shape: tuple[int, ...], source: random.Random) -> Tensor:
    """Boundary rows that a client may send, i32: any bits, extreme ones, small ones."""
    generator = torch.Generator().manual_seed(source.randrange(2**31))
    wide = torch.randint(-(2**31), 2**31, shape, generator=generator)
    wide >>= torch.randint(0, 32, (shape[0], *(1,) * (len(shape) - 1)), generator=generator)
    edges = torch.tensor([-(2**31), 2**31 - 1, 0, 1])[torch.randint(0, 4, shape, generator=generator)]
    return torch.where(torch.rand(shape, generator=generator) < source.choice((0, 0.1, 1)), edges, wide).to(torch.int32)


def _any_weight(spec: TensorSpec, generator: torch.Generator) -> Tensor:
    dtype = TORCH_DTYPES[spec.dtype]
    limits = torch.iinfo(dtype)
    made = torch.randint(limits.min, limits.max + 1, spec.shape, generator=generator)
    edges = torch.tensor([limits.min, limits.max, 0, -1])[torch.randint(0, 4, spec.shape, generator=generator)]
    made = torch.where(torch.rand(spec.shape, generator=generator) < 0.3, edges, made)
    for column, (low, high) in enumerate(_ranges(spec.name)):
        part = made if spec.name.startswith("tables.") else made[:, column]
        part.copy_(part.clamp(low, high) if column else part.remainder(high - low + 1) + low)
    return made.to(dtype)


def _with_op(program: Program, at: int, **changes: object) -> Program:
    ops = list(program.ops)
    ops[at] = replace(ops[at], **changes)  # type: ignore[arg-type]
    return replace(program, ops=tuple(ops))


def _rewired(program: Program, source: random.Random) -> Program:
    """One input is another tensor of the same type and shape, where there is one."""
    at = source.randrange(1, len(program.ops))
    op = program.ops[at]
    place = source.randrange(len(op.inputs))
    wanted = program.tensors[op.inputs[place]]
    earlier = [spec for other in program.ops[:at] for spec in other.outputs]
    alike = [s.name for s in earlier if (s.dtype, s.shape) == (wanted.dtype, wanted.shape) and s.name != wanted.name]
    name = source.choice(alike or [spec.name for spec in earlier])
    return _with_op(program, at, inputs=(*op.inputs[:place], name, *op.inputs[place + 1 :]))


def _inserted(program: Program, source: random.Random) -> Program:
    """One op more that nothing reads: a copy of another, over some rows like its own."""
    op = source.choice(program.ops)
    outputs = tuple(replace(spec, name=f"{spec.name}.more") for spec in op.outputs)
    at = source.randrange(program.ops.index(op) + 1, len(program.ops) + 1)
    layer = program.ops[at - 1].layer
    more = replace(op, name=f"{op.name}.more", outputs=outputs, layer=layer)
    program = replace(program, ops=(*program.ops[:at], more, *program.ops[at:]))
    if source.random() < 0.5:
        return program
    mutated = _rewired(replace(program, ops=program.ops[: at + 1]), source).ops[-1]
    return replace(program, ops=(*program.ops[:at], mutated, *program.ops[at + 1 :]))


def _copied_boundary(program: Program, source: random.Random) -> Program:
    """A raw copy of some i32 rows."""
    at = source.randrange(1, len(program.ops))
    rows = [s for op in program.ops[:at] for s in op.outputs if s.dtype == "i32" and len(s.shape) == 2]
    name, _, (_, width) = (lambda s: (s.name, s.dtype, s.shape))(source.choice(rows))
    output = TensorSpec("copied.columns", "i32", (width, POSITIONS))
    copy = Op("row_layout", "copied", program.ops[at - 1].layer, (name,), (output,), (), {"width": width})
    return replace(program, ops=(*program.ops[:at], copy, *program.ops[at:]))


def _swapped(program: Program, source: random.Random) -> Program:
    ops, at = list(program.ops), source.randrange(len(program.ops) - 1)
    ops[at], ops[at + 1] = ops[at + 1], ops[at]
    return replace(program, ops=tuple(ops))


def _removed(program: Program, source: random.Random) -> Program:
    at = source.randrange(len(program.ops))
    return replace(program, ops=(*program.ops[:at], *program.ops[at + 1 :])) if len(program.ops) > 2 else program


def _other_param(program: Program, source: random.Random) -> Program:
    at = source.choice([index for index, op in enumerate(program.ops) if op.params])
    params = dict(program.ops[at].params)
    name = source.choice(sorted(params))
    params[name] = source.choice((params[name] - 1, params[name] + 1, *INTERESTING))
    return _with_op(program, at, params=params)


def _other_kind(program: Program, source: random.Random) -> Program:
    return _with_op(program, source.randrange(len(program.ops)), kind=source.choice(sorted(KINDS)))


def _other_layer(program: Program, source: random.Random) -> Program:
    """An op, or the cut itself, moves to the next layer or the one before."""
    edges = [i for i in range(1, len(program.ops)) if program.ops[i - 1].layer != program.ops[i].layer]
    at = source.choice(edges) if edges and source.random() < 0.7 else source.randrange(len(program.ops))
    if source.random() < 0.5:
        return _with_op(program, at, layer=max(0, program.ops[at].layer - 1))
    return _with_op(program, max(0, at - 1), layer=program.ops[at].layer)


def _sampled_rows(program: Program, source: random.Random) -> Program:
    """Outputs over the sampled positions where all were, or the other way round."""
    at = source.randrange(len(program.ops))
    other = {POSITIONS: SAMPLED, SAMPLED: POSITIONS}
    outputs = [replace(s, shape=tuple(other.get(size, size) for size in s.shape)) for s in program.ops[at].outputs]
    return _with_op(program, at, outputs=tuple(outputs))


def _reshaped(program: Program, source: random.Random) -> Program:
    at = source.randrange(len(program.ops))
    spec = program.ops[at].outputs[0]
    shape = source.choice((spec.shape[::-1], (*spec.shape, 1), spec.shape[1:], (*spec.shape[:-1], spec.shape[-1] + 1)))
    changed = replace(spec, shape=shape, dtype=source.choice((spec.dtype, spec.dtype, "i8", "i64")))
    return _with_op(program, at, outputs=(changed, *program.ops[at].outputs[1:]))


def _repeated_weight(program: Program, source: random.Random) -> Program:
    spec, at = source.choice(program.weights), source.randrange(len(program.weights) + 1)
    return replace(program, weights=(*program.weights[:at], spec, *program.weights[at:]))


def _other_weight(program: Program, source: random.Random) -> Program:
    """An op reads another weight with the same ending, or one more that is declared."""
    at = source.choice([index for index, op in enumerate(program.ops) if op.weights])
    op = program.ops[at]
    place = source.randrange(len(op.weights))
    spec, specs = program.weight_specs[op.weights[place]], program.weights
    alike = [s.name for s in specs if (s.shape, s.dtype) == (spec.shape, spec.dtype)]
    name = source.choice(alike)
    if source.random() < 0.4:
        name = f"other.{spec.name}"
        specs = (*specs, replace(spec, name=name))
    weights = (*op.weights[:place], name, *op.weights[place + 1 :])
    return _with_op(replace(program, weights=specs), at, weights=weights)


def _weights_reordered(program: Program, source: random.Random) -> Program:
    weights = list(program.weights)
    source.shuffle(weights)
    return replace(program, weights=tuple(weights[: source.choice((len(weights), len(weights) - 1))]))


def _other_shape(program: Program, source: random.Random) -> Program:
    """The shape says something else than the ops."""
    fields = ("layers", "width", "heads", "kv_heads", "head_dim", "ffn", "vocab", "context", "experts")
    name = source.choice((*fields, "experts_per_token", "encoder", "windows", "qk_norm", "mlp_bias", "rms_eps"))
    found = getattr(program.shape, name)
    value: object = not found
    if type(found) is int:
        value = source.choice((found - 1, found + 1, *INTERESTING))
    elif name == "windows":
        value = tuple(source.choice(INTERESTING) for _ in range(source.randint(0, 4)))
    elif name == "rms_eps":
        value = source.choice((0, -1.0, 1e300, 0.5, float("inf")))
    return replace(program, shape=replace(program.shape, **{name: value}))  # type: ignore[arg-type]


def _other_widths(program: Program, source: random.Random) -> Program:
    """Some rows are quantised with the other number of bits, as one linear op and its input say, or one of them."""
    at = source.choice([index for index, op in enumerate(program.ops) if op.kind == "quantise"])
    op, spec = program.ops[at], program.ops[at].outputs[0]
    bits = 23 - op.params["bits"]
    shape = (spec.shape[0], *((2,) if bits == 15 else ()), spec.shape[-1])
    changed = _with_op(program, at, params={**op.params, "bits": bits}, outputs=(replace(spec, shape=shape),))
    readers = [index for index, other in enumerate(program.ops) if spec.name in other.inputs]
    for reader in readers if source.random() < 0.7 else readers[:1]:
        changed = _with_op(changed, reader, params={**changed.ops[reader].params, "bits": bits})
    return changed


Change = Callable[[Program, random.Random], Program]
CHANGES: tuple[Change, ...] = (
    _rewired, _rewired, _inserted, _inserted, _copied_boundary, _swapped, _removed, _other_param, _other_kind,
    _other_layer, _sampled_rows, _reshaped, _repeated_weight, _other_weight, _weights_reordered, _other_shape,
    _other_widths,
)  # fmt: skip
