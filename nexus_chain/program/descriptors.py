"""Op descriptors: the one list that every executor, trace, proof and step check reads.

An integer program is a flat list of :class:`Op`. Each op names the tensors it reads, the tensors
it writes, its weights and its integer parameters; what a kind *computes* is written in
``OPERATORS.md`` beside this file. Nothing here knows checkpoints, torch kernels or chains.

Dimensions that depend on the sequence are negative: :data:`POSITIONS` is the number of positions
consumed, :data:`SAMPLED` the number of positions whose token is sampled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from hashlib import sha256
from typing import Any

from nexus_chain.json_text import parse_json
from nexus_chain.program.dtypes import DTYPE_BYTES, DTYPE_CODES
from nexus_chain.program.errors import ProgramFormatError
from nexus_chain.program.op_kinds import AT_LEAST_READ, KINDS, ROWS, broken_limit, layout_of

POSITIONS = -1
SAMPLED = -2
TOKENS = "tokens"
LONGEST_CONTEXT = 16_384  # positions that a dispute can be about
LARGEST_SIZE = 2**31  # what no field of a shape reaches
BOTH_DIRECTIONS = -1  # window of an attention that sees every position

DESCRIPTOR_VERSION = 1
MAX_DIMENSIONS = 3


@dataclass(frozen=True)
class TensorSpec:
    """Name, element type ("i8", "i16", "i32", "i64") and shape of a tensor, at most three dimensions."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def resolve(self, positions: int, sampled: int) -> tuple[int, ...]:
        """Shape with the sequence dimensions filled in."""
        lengths = {POSITIONS: positions, SAMPLED: sampled}
        return tuple(lengths.get(size, size) for size in self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of a tensor whose shape is fixed (weights)."""
        total = DTYPE_BYTES[self.dtype]
        for size in self.shape:
            total *= size
        return total


@dataclass(frozen=True)
class Role:
    """What an op is there for in a network, for those who fill or measure its weights.

    ``part`` is where it stands: "embedding", "attention", "mlp", "pool" or "head". ``matrix`` is what it reads from a
    checkpoint, such as "query", "down" or "norm"; empty for an op that reads nothing. ``chunk`` counts the
    ops that share a matrix by columns. ``remainder`` marks the op that adds what rounding took from the matrix of
    the op before it. The layer is the op's own; an op of a mixture holds every expert's matrix, which
    :meth:`Op.expert_weights` tells apart.
    """

    part: str
    matrix: str = ""
    chunk: int = 0
    remainder: bool = False


@dataclass(frozen=True)
class Op:
    """One step of the program; ``layer`` decides which segment runs it.

    ``inputs`` and ``weights`` are tensor names in the order ``OPERATORS.md`` gives for the kind;
    ``outputs`` are specs whose names are unique in the program. ``role`` is no part of what a program is: it is
    neither written nor compared. Builders state it, so a program that was read has it from the builders' program
    (``reproduction.py``).
    """

    kind: str
    name: str
    layer: int
    inputs: tuple[str, ...]
    outputs: tuple[TensorSpec, ...]
    weights: tuple[str, ...] = ()
    params: Mapping[str, int] = field(default_factory=dict, hash=False)
    role: Role | None = field(default=None, compare=False)

    @property
    def expert_weights(self) -> tuple[tuple[str, ...], ...]:
        """Names of the weights of each expert, in order; none for an op without experts."""
        if not KINDS[self.kind].matrix or "experts" not in self.params:
            return ()
        return tuple(self.weights[start : start + 2] for start in range(0, len(self.weights), 2))

    def written(self) -> dict[str, Any]:
        """Plain JSON values of what a program's JSON holds of it."""
        return {name: value for name, value in asdict(self).items() if name != "role"}


def role_of(op: Op) -> Role:
    """The role of an op of a program that a builder made; :class:`ProgramFormatError` for others."""
    if op.role is None:
        raise ProgramFormatError(f"Op {op.name} has no role", advice="Take the program from `read_program`.")
    return op.role


#: Marks fields of a shape that came after programs were published: not written at their defaults, so
#: that the JSON of a program, once published, stays what it was.
LATER = {"later": True}


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a transformer; ``context`` is the largest number of positions.

    ``attention_bias`` is on all four projections, ``qkv_bias`` on all but the output. ``windows`` is
    how many positions each layer's attention looks back on, itself among them (0: all); empty: all everywhere.
    With ``experts`` a layer has that many feed-forward blocks, of which ``experts_per_token`` see a row.
    ``encoder`` marks a network of the BERT family; its program has one layer more than the network.
    """

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    context: int
    rms_eps: float = 1e-5
    rope_theta: float = 10000.0
    tied: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    qkv_bias: bool = field(default=False, metadata=LATER)
    qk_norm: bool = field(default=False, metadata=LATER)
    windows: tuple[int, ...] = field(default=(), metadata=LATER)
    experts: int = field(default=0, metadata=LATER)
    experts_per_token: int = field(default=0, metadata=LATER)
    encoder: bool = field(default=False, metadata=LATER)

    def bias_of(self, projection: str) -> bool:
        """Whether attention's "query", "key", "value" or "output" has a bias."""
        return self.attention_bias or (self.qkv_bias and projection != "output")

    def window_of(self, layer: int) -> int:
        """How many positions the attention of ``layer`` looks back on; 0 for all."""
        return self.windows[layer] if self.windows else 0

    def written(self) -> dict[str, Any]:
        """Plain JSON values of the fields that a program's JSON holds."""
        values = asdict(self)
        absent = [item.name for item in fields(self) if item.metadata == LATER and values[item.name] == item.default]
        return {name: value for name, value in values.items() if name not in absent}


@dataclass(frozen=True)
class Program:
    """The op list of a model version and the specs of the weights it reads, both in canonical order."""

    name: str
    shape: ModelShape
    ops: tuple[Op, ...]
    weights: tuple[TensorSpec, ...]

    @cached_property
    def tensors(self) -> Mapping[str, TensorSpec]:
        """Every activation by name in trace order: ``tokens`` first, then the ops' outputs."""
        specs = {TOKENS: TensorSpec(TOKENS, "i32", (POSITIONS,))}
        for op in self.ops:
            specs.update({spec.name: spec for spec in op.outputs})
        return specs

    @cached_property
    def weight_specs(self) -> Mapping[str, TensorSpec]:
        """Every weight by name, in canonical order."""
        return {spec.name: spec for spec in self.weights}

    @cached_property
    def is_encoder(self) -> bool:
        """Whether a position sees later ones, so that all positions of a sequence must enter at once."""
        return any(op.params.get("window") == BOTH_DIRECTIONS or op.kind == "prefix_mean" for op in self.ops)

    @property
    def embedding_layer(self) -> int | None:
        """The layer that an encoder's embedding enters, the last row of its boundary; None for a decoder."""
        return self.shape.layers - 1 if self.is_encoder else None

    def segment(self, start: int, end: int) -> tuple[Op, ...]:
        """Ops of layers ``[start, end)``; the ranges of a split cover every op once."""
        self._check_range(start, end)
        return tuple(op for op in self.ops if start <= op.layer < end)

    def weights_of(self, start: int, end: int) -> tuple[TensorSpec, ...]:
        """Weights that the segment ``[start, end)`` reads, in canonical order (tables are shared)."""
        used = {name for op in self.segment(start, end) for name in op.weights}
        return tuple(spec for spec in self.weights if spec.name in used)

    def input_of(self, start: int, end: int) -> str:
        """Name of the tensor that enters a segment: ``tokens``, or the residual of the layer before."""
        return self.segment(start, end)[0].inputs[0]

    def output_of(self, start: int, end: int) -> str:
        """Name of the tensor that leaves a segment: a residual, or the sampled tokens."""
        return self.segment(start, end)[-1].outputs[0].name

    def descriptors(self) -> list[bytes]:
        """Canonical bytes of every op; the layout is in ``OPERATORS.md``."""
        activation = {name: number for number, name in enumerate(self.tensors)}
        weight = {name: number for number, name in enumerate(self.weight_specs)}
        return [self._encode(op, activation, weight) for op in self.ops]

    def to_json(self) -> str:
        """Canonical JSON text (sorted keys, no spaces)."""
        return json.dumps(self._written(), sort_keys=True, separators=(",", ":"))

    def _written(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "shape": self.shape.written(),
            "ops": [op.written() for op in self.ops],
            "weights": [asdict(spec) for spec in self.weights],
        }

    @classmethod
    def from_json(cls, text: str | bytes) -> Program:
        """Parse what :meth:`to_json` wrote; :class:`ProgramFormatError` if it is anything else."""
        try:
            program = _program_from(parse_json(text))
        except (ValueError, KeyError, TypeError) as cause:
            raise ProgramFormatError(
                f"This is not an integer program ({cause})", advice="Import or download the model again."
            ) from cause
        program.validate()
        return program

    def validate(self) -> None:
        """Raise :class:`ProgramFormatError` unless names resolve, layouts follow from parameters, layers ascend."""
        seen, layer = {TOKENS}, 0
        if len(self.weight_specs) != len(self.weights):
            raise ProgramFormatError("A weight has two specs of one name", advice="Import the model again.")
        for op in self.ops:
            problem = _problem_of(op, seen, self.weight_specs, layer) or self._layout_problem(op)
            if problem:
                raise ProgramFormatError(f"Op {op.name}: {problem}", advice="Import the model again.")
            seen.update(spec.name for spec in op.outputs)
            layer = op.layer
        if layer != self.shape.layers - 1:
            raise ProgramFormatError(
                f"Ops end at layer {layer} of {self.shape.layers}", advice="Import the model again."
            )

    def _check_range(self, start: int, end: int) -> None:
        if not 0 <= start < end <= self.shape.layers:
            raise ProgramFormatError(
                f"Layers [{start}, {end}) are not a range of a model with {self.shape.layers} layers",
                advice="Ask for 0 <= start < end <= layers.",
            )

    def _layout_problem(self, op: Op) -> str:
        """Which tensor of an op contradicts its parameters, or an empty string."""
        if problem := broken_limit(op.params):
            return problem
        layout = layout_of(op.kind, op.params, self.shape.context)
        inputs = [self.tensors[name] for name in op.inputs]
        weights = [self.weight_specs[name] for name in op.weights]
        endings = [ending for _, _, ending in layout.weights]
        expected = (*layout.inputs, *layout.outputs, *((dtype, shape) for dtype, shape, _ in layout.weights))
        specs = (*inputs, *op.outputs, *weights)
        counts = (len(layout.inputs), len(layout.outputs), len(layout.weights))
        if counts != (len(inputs), len(op.outputs), len(weights)):
            return f"it has {len(inputs)} inputs, {len(op.outputs)} outputs and {len(weights)} weights, not {counts}"
        for spec, (dtype, shape) in zip(specs, expected, strict=True):
            if spec.dtype != dtype or not _fits(spec.shape, shape, op.params.get("stop", op.params.get("vocab", 0))):
                return f"{spec.name} is {spec.dtype} {spec.shape}, its parameters make it {dtype} {shape}"
        for name, ending in zip(op.weights, endings, strict=True):
            if not name.endswith(ending):
                return f"weight {name} stands where one named *{ending} belongs"
        lengths = {size for spec in op.outputs for size in spec.shape if size < 0}
        if len(lengths) != 1 or (SAMPLED in {size for spec in inputs for size in spec.shape} and POSITIONS in lengths):
            return "its outputs do not have the rows of its inputs"
        if KINDS[op.kind].every_position and lengths != {POSITIONS}:
            return "it runs over all positions, not over the sampled ones"
        return ""

    def _encode(self, op: Op, activation: Mapping[str, int], weight: Mapping[str, int]) -> bytes:
        outputs = [spec.name for spec in op.outputs]
        header = bytes([DESCRIPTOR_VERSION, KINDS[op.kind].code]) + op.layer.to_bytes(2, "big")
        header += bytes([len(op.params), len(op.inputs), len(outputs), len(op.weights)])
        words = [header.ljust(32, b"\0")]
        words += [op.params[name].to_bytes(32, "big", signed=True) for name in KINDS[op.kind].params]
        for name in (*op.inputs, *outputs):
            words += _tensor_words(self.tensors[name], activation[name])
        for name in op.weights:
            words += _tensor_words(self.weight_specs[name], weight[name])
        return b"".join(words)


def _tensor_words(spec: TensorSpec, number: int) -> list[bytes]:
    """Two 32-byte words: SHA-256 of the name, then type, rank, number and dimensions."""
    dimensions = spec.shape + (1,) * (MAX_DIMENSIONS - len(spec.shape))
    word = bytes([DTYPE_CODES[spec.dtype], len(spec.shape), 0, 0]) + number.to_bytes(4, "big")
    word += b"".join(size.to_bytes(8, "big", signed=True) for size in dimensions)
    return [sha256(spec.name.encode()).digest(), word]


def _problem_of(op: Op, seen: set[str], weights: Mapping[str, TensorSpec], layer: int) -> str:
    """What makes an op malformed where it stands, or an empty string."""
    if op.kind not in KINDS:
        return f"kind {op.kind} is unknown"
    if tuple(sorted(op.params)) != tuple(sorted(KINDS[op.kind].params)):
        return f"parameters {sorted(op.params)} are not those of {op.kind}"
    if unknown := [name for name in op.inputs if name not in seen]:
        return f"input {unknown[0]} is produced by no earlier op"
    if unknown := [name for name in op.weights if name not in weights]:
        return f"weight {unknown[0]} is not declared"
    if repeated := [spec.name for spec in op.outputs if spec.name in seen]:
        return f"output {repeated[0]} has two producers"
    if any(len(spec.shape) > MAX_DIMENSIONS or spec.dtype not in DTYPE_CODES for spec in op.outputs):
        return "an output has more than three dimensions or an unknown type"
    return "" if layer <= op.layer else "layers do not ascend"


def _fits(found: tuple[int, ...], expected: tuple[int, ...], read: int) -> bool:
    """Shapes agree, either sequence dimension standing for ``ROWS``; ``read`` columns are read of a wider row."""
    if len(found) != len(expected):
        return False
    for size, wanted in zip(found, expected, strict=True):
        if wanted == ROWS and size in (POSITIONS, SAMPLED):
            continue
        if wanted == AT_LEAST_READ and size >= read:
            continue
        if size != wanted or size < 1:
            return False
    return True


def _spec_from(data: Mapping[str, Any]) -> TensorSpec:
    return TensorSpec(str(data["name"]), str(data["dtype"]), tuple(int(size) for size in data["shape"]))


def _op_from(data: Mapping[str, Any]) -> Op:
    return Op(
        kind=str(data["kind"]),
        name=str(data["name"]),
        layer=int(data["layer"]),
        inputs=tuple(data["inputs"]),
        outputs=tuple(_spec_from(spec) for spec in data["outputs"]),
        weights=tuple(data["weights"]),
        params={str(key): int(value) for key, value in data["params"].items()},
    )


def _shape_from(data: Mapping[str, Any]) -> ModelShape:
    shape = ModelShape(**{**data, "windows": tuple(data.get("windows", ()))})
    for item in fields(shape):
        _check_size(item.name, item.type, getattr(shape, item.name))
    return shape


def _check_size(name: str, kind: Any, value: Any) -> None:
    """Raise ValueError unless a field of a shape has its type, and a value that some network could have."""
    if kind == "bool" and type(value) is bool:
        return
    if kind == "float" and type(value) in (int, float) and 0 <= value < float("inf"):
        return
    least = 0 if name.startswith("experts") else 1
    if kind == "int" and type(value) is int and least <= value < LARGEST_SIZE:
        return
    if kind == "tuple[int, ...]" and all(type(size) is int and abs(size) < LARGEST_SIZE for size in value):
        return
    raise ValueError(f"{name} of its shape is {value!r}")


def _program_from(data: Mapping[str, Any]) -> Program:
    return Program(
        name=str(data["name"]),
        shape=_shape_from(data["shape"]),
        ops=tuple(_op_from(op) for op in data["ops"]),
        weights=tuple(_spec_from(spec) for spec in data["weights"]),
    )
