"""Dense decoders with the tensor names of ``LlamaForCausalLM``, from checkpoint to integer model.

Says which constant that stands beside a matrix is folded into it. What one architecture's
configuration says is the business of its own file beside this one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from nexus_chain.program.blocks import down_chunks
from nexus_chain.program.builder import ACTIVATION_FRACTION
from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.decoder import decoder_program
from nexus_chain.program.descriptors import ModelShape, Op
from nexus_chain.program.families.configuration import rotation
from nexus_chain.program.families.folding import Folded, embedding_table, in_order, linear_weights
from nexus_chain.program.model import IntegerModel
from nexus_chain.program.primitives import LEVELS
from nexus_chain.program.quantisation import MIXED_UNIT, quantise_gain
from nexus_chain.program.recipe import Recipe
from nexus_chain.program.rotary import Rotation
from nexus_chain.program.smoothing import Smoothing
from nexus_chain.program.tables import committed_tables

EMBEDDING = "model.embed_tokens.weight"
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
HEAD_NORMS = {"query_norm": "self_attn.q_norm", "key_norm": "self_attn.k_norm"}


@dataclass
class _Importer:
    checkpoint: Checkpoint
    shape: ModelShape
    rotation: Rotation
    smoothing: Smoothing
    weights: dict[str, Tensor] = field(default_factory=dict)

    def embedding(self) -> int:
        """Store ``embed.table``; the shift that its op needs."""
        self.weights["embed.table"], shift = embedding_table(self.checkpoint, EMBEDDING)
        return shift

    def linear(self, op: Op) -> None:
        """Quantise what the checkpoint holds for a linear op into the weights that ``op`` names."""
        self.weights.update(linear_weights(self.checkpoint, op, self._folded(op)))

    def head_norm(self, op: Op) -> None:
        """The gain of a norm of queries or keys."""
        _, layer, _, name = op.name.split(".")
        gain = self.checkpoint.read(f"model.layers.{layer}.{HEAD_NORMS[name]}.weight")
        if name == "query_norm":
            gain = gain * self._query_factor
        smooth = self.smoothing.head_norm(int(layer), name)
        self.weights[op.weights[0]] = quantise_gain(gain * smooth, ACTIVATION_FRACTION)

    def _folded(self, op: Op) -> Folded:
        levels = LEVELS[op.params["bits"]]
        norm_unit = math.sqrt(self.shape.width) / levels
        if op.name == "head":
            source = "model.embed_tokens" if self.shape.tied else "lm_head"
            return Folded(source, norm_unit, self.checkpoint.read("model.norm.weight"))
        _, layer, family, name, *chunk = op.name.split(".")
        module = f"model.layers.{layer}.{MODULES[f'{family}.{name}']}"
        read, made = self.smoothing.read(int(layer), name), self.smoothing.made(int(layer), name)
        if name == "output":
            return Folded(module, MIXED_UNIT / levels, read)
        if name == "down":
            start, stop = list(down_chunks(self.shape.ffn))[int(chunk[0])]
            return Folded(module, 2.0**-ACTIVATION_FRACTION / levels, read[start:stop], columns=(start, stop))
        gain = self.checkpoint.read(f"model.layers.{layer}.{NORMS[family]}.weight")
        scored = name == "query" and not self.shape.qk_norm  # a norm would cancel the factor; it is in the norm's gain
        return Folded(module, norm_unit, gain, made * self._query_factor if scored else made)

    @property
    def _query_factor(self) -> float:
        """What makes scores of queries and keys base-2 logarithms of weights."""
        return math.log2(math.e) / math.sqrt(self.shape.head_dim) * self.rotation.factor**2


def import_decoder(checkpoint: Checkpoint, shape: ModelShape, recipe: Recipe) -> IntegerModel:
    """Make an integer model of a dense decoder's checkpoint whose configuration says ``shape``.

    Raises :class:`CheckpointLayoutError`, :class:`TensorMismatchError` or :class:`NonFiniteWeightError`,
    each naming what is wrong and where.
    """
    turning = rotation(checkpoint.config, shape)
    checkpoint.require(expected_tensors(shape), _ignored(shape))
    importer = _Importer(checkpoint, shape, turning, Smoothing(shape, recipe))
    program = decoder_program(checkpoint.name, shape, recipe.widths, importer.embedding(), recipe.wider)
    for op in program.ops:
        if op.kind == "linear":
            importer.linear(op)
        elif op.kind == "normalise":
            importer.head_norm(op)
    importer.weights.update(committed_tables(shape.context, turning.frequencies))
    return IntegerModel(program, in_order(program, importer.weights))


def expected_tensors(shape: ModelShape) -> dict[str, tuple[int, ...]]:
    """Names and shapes of every tensor a checkpoint of this shape holds."""
    expected: dict[str, tuple[int, ...]] = {EMBEDDING: (shape.vocab, shape.width)}
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}"
        expected.update({f"{prefix}.{norm}.weight": (shape.width,) for norm in NORMS.values()})
        if shape.qk_norm:
            expected.update({f"{prefix}.{norm}.weight": (shape.head_dim,) for norm in HEAD_NORMS.values()})
        for name, size in _matrices(shape).items():
            expected[f"{prefix}.{MODULES[name]}.weight"] = size
            family, _, projection = name.partition(".")
            if shape.bias_of(projection) if family == "attention" else shape.mlp_bias:
                expected[f"{prefix}.{MODULES[name]}.bias"] = size[:1]
    expected["model.norm.weight"] = (shape.width,)
    return expected if shape.tied else {**expected, "lm_head.weight": (shape.vocab, shape.width)}


def _matrices(shape: ModelShape) -> dict[str, tuple[int, int]]:
    """Sizes of the matrices of a layer."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    return {
        "attention.query": (queries, shape.width),
        "attention.key": (keys, shape.width),
        "attention.value": (keys, shape.width),
        "attention.output": (shape.width, queries),
        "mlp.gate": (shape.ffn, shape.width),
        "mlp.up": (shape.ffn, shape.width),
        "mlp.down": (shape.width, shape.ffn),
    }


def _ignored(shape: ModelShape) -> tuple[str, ...]:
    """A tied checkpoint may carry a copy of its head; it is the embedding, so it is not read."""
    return (*IGNORED, "lm_head.weight") if shape.tied else IGNORED
