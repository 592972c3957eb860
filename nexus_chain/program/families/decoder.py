"""Dense decoders with the tensor names of ``LlamaForCausalLM``, from checkpoint to integer model.

Folds every constant that stands beside a matrix into it in float64, and quantises. What one
architecture's configuration says is the business of its own file beside this one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from nexus_chain.program.blocks import down_chunks
from nexus_chain.program.builder import ACTIVATION_FRACTION, RESIDUAL_FRACTION
from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.decoder import decoder_program
from nexus_chain.program.descriptors import ModelShape, Op, Program
from nexus_chain.program.model import IntegerModel
from nexus_chain.program.primitives import LEVELS
from nexus_chain.program.quantisation import MIXED_UNIT, quantise_bias, quantise_embedding, quantise_matrix
from nexus_chain.program.recipe import ActivationBits, Recipe
from nexus_chain.program.tables import committed_tables

IGNORED = ("rotary_emb.inv_freq",)  # buffers that old versions saved; the table replaces them
MODULES = {
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.output": "self_attn.o_proj",
    "mlp.gate": "mlp.gate_proj",
    "mlp.up": "mlp.up_proj",
    "mlp.down": "mlp.down_proj",
}
NORMS = {"attention": "input_layernorm", "mlp": "post_attention_layernorm"}


@dataclass(frozen=True)
class _Matrix:
    """A linear op's float64 matrix with what is folded into it, and the unit of its input rows."""

    weight: Tensor
    bias: Tensor | None
    input_unit: float


@dataclass
class _Importer:
    checkpoint: Checkpoint
    shape: ModelShape
    bits: ActivationBits
    weights: dict[str, Tensor] = field(default_factory=dict)

    def embedding(self) -> int:
        """Store ``embed.table``; the shift that its op needs."""
        table = self.checkpoint.read("model.embed_tokens.weight")
        self.weights["embed.table"], shift = quantise_embedding(table, RESIDUAL_FRACTION)
        return shift

    def linear(self, op: Op, matrix: _Matrix) -> None:
        """Quantise one matrix into the weights that ``op`` names."""
        fraction = RESIDUAL_FRACTION if op.params["residual"] else ACTIVATION_FRACTION
        rows, scale = quantise_matrix(matrix.weight, matrix.input_unit)
        self.weights[op.weights[0]], self.weights[op.weights[1]] = rows, scale
        if op.params["bias"] and matrix.bias is not None:
            self.weights[op.weights[2]] = quantise_bias(matrix.bias, fraction)

    def matrix(self, op: Op) -> _Matrix:
        """What the checkpoint holds for a linear op, everything folded."""
        if op.name == "head":
            source = "model.embed_tokens" if self.shape.tied else "lm_head"
            gain = self.checkpoint.read("model.norm.weight")
            return _Matrix(self.checkpoint.read(f"{source}.weight") * gain, None, self._norm_unit(self.bits.head))
        _, layer, family, name, *chunk = op.name.split(".")
        module = f"model.layers.{layer}.{MODULES[f'{family}.{name}']}"
        weight = self.checkpoint.read(f"{module}.weight")
        bias = self.checkpoint.read(f"{module}.bias") if op.params["bias"] else None
        if name == "output":
            return _Matrix(weight, bias, MIXED_UNIT / LEVELS[self.bits.attention_output])
        if name == "down":
            start, stop = list(down_chunks(self.shape.ffn))[int(chunk[0])]
            return _Matrix(weight[:, start:stop], bias, 2.0**-ACTIVATION_FRACTION / LEVELS[self.bits.down])
        gain = self.checkpoint.read(f"model.layers.{layer}.{NORMS[family]}.weight")
        factor = math.log2(math.e) / math.sqrt(self.shape.head_dim) if name == "query" else 1.0
        levels = self.bits.attention_input if family == "attention" else self.bits.mlp_input
        return _Matrix(weight * gain * factor, None if bias is None else bias * factor, self._norm_unit(levels))

    def _norm_unit(self, bits: int) -> float:
        return math.sqrt(self.shape.width) / LEVELS[bits]


def import_decoder(checkpoint: Checkpoint, shape: ModelShape, recipe: Recipe) -> IntegerModel:
    """Make an integer model of a dense decoder's checkpoint whose configuration says ``shape``.

    Raises :class:`TensorMismatchError` or :class:`NonFiniteWeightError`, each naming what is wrong and where.
    """
    checkpoint.require(expected_tensors(shape), _ignored(shape))
    importer = _Importer(checkpoint, shape, recipe.widths)
    shift = importer.embedding()
    program = decoder_program(checkpoint.name, shape, importer.bits, shift)
    for op in program.ops:
        if op.kind == "linear":
            importer.linear(op, importer.matrix(op))
    importer.weights.update(committed_tables(shape.context, shape.head_dim, shape.rope_theta))
    return IntegerModel(program, _in_order(program, importer.weights))


def expected_tensors(shape: ModelShape) -> dict[str, tuple[int, ...]]:
    """Names and shapes of every tensor a checkpoint of this shape holds."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    sizes = {
        "attention.query": (queries, shape.width),
        "attention.key": (keys, shape.width),
        "attention.value": (keys, shape.width),
        "attention.output": (shape.width, queries),
        "mlp.gate": (shape.ffn, shape.width),
        "mlp.up": (shape.ffn, shape.width),
        "mlp.down": (shape.width, shape.ffn),
    }
    expected: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (shape.vocab, shape.width)}
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}"
        expected.update({f"{prefix}.{norm}.weight": (shape.width,) for norm in NORMS.values()})
        for name, size in sizes.items():
            expected[f"{prefix}.{MODULES[name]}.weight"] = size
            if shape.attention_bias if name.startswith("attention") else shape.mlp_bias:
                expected[f"{prefix}.{MODULES[name]}.bias"] = size[:1]
    expected["model.norm.weight"] = (shape.width,)
    return expected if shape.tied else {**expected, "lm_head.weight": (shape.vocab, shape.width)}


def _ignored(shape: ModelShape) -> tuple[str, ...]:
    """A tied checkpoint may carry a copy of its head; it is the embedding, so it is not read."""
    return (*IGNORED, "lm_head.weight") if shape.tied else IGNORED


def _in_order(program: Program, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {spec.name: weights[spec.name] for spec in program.weights}
