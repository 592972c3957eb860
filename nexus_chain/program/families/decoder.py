"""Decoders with the tensor names of ``LlamaForCausalLM``, from checkpoint to integer model.

This file says which constants are folded into which matrix. Each architecture has a file of its own beside this one. It
says what the configuration means and where the checkpoint keeps experts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nexus_chain.program.blocks import down_chunks
from nexus_chain.program.builder import ACTIVATION_FRACTION
from nexus_chain.program.checkpoint import Checkpoint, MatrixSource
from nexus_chain.program.decoder import decoder_program
from nexus_chain.program.descriptors import ModelShape, Op
from nexus_chain.program.families.configuration import rotation
from nexus_chain.program.families.experts import SEPARATE, ExpertTensors
from nexus_chain.program.families.folding import Folded, embedding_table, in_order, linear_weights, matrix_weights
from nexus_chain.program.memory import require_memory
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
    expert_tensors: ExpertTensors
    weights: dict[str, Tensor] = field(default_factory=dict)

    def embedding(self) -> int:
        """Store ``embed.table``; the shift that its op needs."""
        self.weights["embed.table"], shift = embedding_table(self.checkpoint, EMBEDDING)
        return shift

    def linear(self, op: Op) -> None:
        """Quantise what the checkpoint holds for a linear op into the weights that ``op`` names."""
        self.weights.update(linear_weights(self.checkpoint, op, self._folded(op)))

    def experts(self, op: Op) -> None:
        """Quantise the matrices of every expert, unless the op of another slot has done so."""
        if op.weights[0] in self.weights:
            return
        _, layer, _, _, _, name, *chunk = op.name.split(".")
        for expert in range(op.params["experts"]):
            source = self.expert_tensors.matrix(int(layer), expert, name)
            folded = self._mlp_folded(source, int(layer), name, chunk, LEVELS[op.params["bits"]], expert)
            names = op.weights[2 * expert : 2 * expert + 2]
            self.weights.update(matrix_weights(self.checkpoint, op, names, folded))

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
        if op.name == "head":
            source = MatrixSource(EMBEDDING if self.shape.tied else "lm_head.weight")
            return Folded(source, self._norm_unit(levels), self.checkpoint.read("model.norm.weight"))
        _, layer, family, name, *chunk = op.name.split(".")
        if name == "router":
            logits = torch.full((self.shape.experts,), math.log2(math.e), dtype=torch.float64)
            source = MatrixSource(self.expert_tensors.router(int(layer)))
            return Folded(source, self._norm_unit(levels), self._gain(int(layer), family), logits)
        source = MatrixSource(f"model.layers.{layer}.{MODULES[f'{family}.{name}']}.weight")
        if family == "mlp":
            return self._mlp_folded(source, int(layer), name, chunk, levels)
        return self._attention_folded(source, int(layer), name, levels)

    def _attention_folded(self, source: MatrixSource, layer: int, name: str, levels: int) -> Folded:
        if name == "output":
            return Folded(source, MIXED_UNIT / levels, self.smoothing.read(layer, name))
        made = self.smoothing.made(layer, name)
        scored = name == "query" and not self.shape.qk_norm  # a norm would cancel the factor; it is in the norm's gain
        factor = made * self._query_factor if scored else made
        return Folded(source, self._norm_unit(levels), self._gain(layer, "attention"), factor)

    def _mlp_folded(
        self,
        source: MatrixSource,
        layer: int,
        name: str,
        chunk: Sequence[str],
        levels: int,
        expert: int | None = None,
    ) -> Folded:
        if name == "down":
            start, stop = list(down_chunks(self.shape.ffn))[int(chunk[0])]
            read = self.smoothing.read(layer, name, expert)[start:stop]
            return Folded(source, 2.0**-ACTIVATION_FRACTION / levels, read, columns=(start, stop))
        made = self.smoothing.made(layer, name, expert)
        return Folded(source, self._norm_unit(levels), self._gain(layer, "mlp"), made)

    def _gain(self, layer: int, family: str) -> Tensor:
        return self.checkpoint.read(f"model.layers.{layer}.{NORMS[family]}.weight")

    def _norm_unit(self, levels: int) -> float:
        return math.sqrt(self.shape.width) / levels

    @property
    def _query_factor(self) -> float:
        """What makes scores of queries and keys base-2 logarithms of weights."""
        return math.log2(math.e) / math.sqrt(self.shape.head_dim) * self.rotation.factor**2


def import_decoder(
    checkpoint: Checkpoint, shape: ModelShape, recipe: Recipe, experts: ExpertTensors = SEPARATE
) -> IntegerModel:
    """Make an integer model of a decoder's checkpoint whose configuration says ``shape``.

    ``experts`` says where the experts are, of a shape that has some.
    Raises :class:`CheckpointLayoutError`, :class:`TensorMismatchError`, :class:`NonFiniteWeightError`,
    :class:`RecipeError` or :class:`NotEnoughMemoryError`, each saying what is wrong and where.
    """
    turning = rotation(checkpoint.config, shape)
    checkpoint.require(expected_tensors(shape, experts), _ignored(shape))
    require_memory(decoder_program(checkpoint.name, shape))
    importer = _Importer(checkpoint, shape, turning, Smoothing(shape, recipe), experts)
    program = decoder_program(checkpoint.name, shape, recipe.widths, importer.embedding(), recipe.wider)
    for op in program.ops:
        if op.kind == "linear":
            importer.linear(op)
        elif op.kind == "expert_linear":
            importer.experts(op)
        elif op.kind == "normalise":
            importer.head_norm(op)
    importer.weights.update(committed_tables(shape.context, turning.frequencies))
    return IntegerModel(program, in_order(program, importer.weights))


def expected_tensors(shape: ModelShape, experts: ExpertTensors = SEPARATE) -> dict[str, tuple[int, ...]]:
    """Names and shapes of every tensor a checkpoint of this shape holds."""
    expected: dict[str, tuple[int, ...]] = {EMBEDDING: (shape.vocab, shape.width)}
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}"
        expected.update({f"{prefix}.{norm}.weight": (shape.width,) for norm in NORMS.values()})
        if shape.qk_norm:
            expected.update({f"{prefix}.{norm}.weight": (shape.head_dim,) for norm in HEAD_NORMS.values()})
        if shape.experts:
            expected.update(experts.shapes(shape, layer))
        for name, size in _matrices(shape).items():
            expected[f"{prefix}.{MODULES[name]}.weight"] = size
            family, _, projection = name.partition(".")
            if shape.bias_of(projection) if family == "attention" else shape.mlp_bias:
                expected[f"{prefix}.{MODULES[name]}.bias"] = size[:1]
    expected["model.norm.weight"] = (shape.width,)
    return expected if shape.tied else {**expected, "lm_head.weight": (shape.vocab, shape.width)}


def _matrices(shape: ModelShape) -> dict[str, tuple[int, int]]:
    """Sizes of the matrices of a layer, experts aside."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    dense = {
        "mlp.gate": (shape.ffn, shape.width),
        "mlp.up": (shape.ffn, shape.width),
        "mlp.down": (shape.width, shape.ffn),
    }
    return {
        "attention.query": (queries, shape.width),
        "attention.key": (keys, shape.width),
        "attention.value": (keys, shape.width),
        "attention.output": (shape.width, queries),
        **({} if shape.experts else dense),
    }


def _ignored(shape: ModelShape) -> tuple[str, ...]:
    """A tied checkpoint may carry a copy of its head; it is the embedding, so it is not read."""
    return (*IGNORED, "lm_head.weight") if shape.tied else IGNORED
