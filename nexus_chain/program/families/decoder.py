"""Decoders with the tensor names of ``LlamaForCausalLM``, from checkpoint to integer model.

This file says which constants are folded into which matrix. Each architecture has a file of its own beside this one. It
says what the configuration means and where the checkpoint keeps experts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import zip_longest

import torch
from torch import Tensor

from nexus_chain.program.blocks import down_chunks
from nexus_chain.program.builder import ACTIVATION_FRACTION
from nexus_chain.program.checkpoint import Checkpoint, MatrixSource
from nexus_chain.program.decoder import decoder_program
from nexus_chain.program.descriptors import ModelShape, Op, role_of
from nexus_chain.program.families.experts import SEPARATE, ExpertTensors
from nexus_chain.program.families.folding import Folded, embedding_table, in_order, linear_weights, matrix_weights
from nexus_chain.program.families.pooling import require_no_pooling
from nexus_chain.program.fixed_point import LEVELS
from nexus_chain.program.memory_check import require_memory
from nexus_chain.program.model import IntegerModel
from nexus_chain.program.quantisation import MIXED_UNIT, quantise_gain
from nexus_chain.program.recipe import Recipe
from nexus_chain.program.rotary import Rotation
from nexus_chain.program.smoothing import Smoothing
from nexus_chain.program.tables import committed_tables

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
#: Buffers that old versions saved; the table replaces them.
IGNORED = ("rotary_emb.inv_freq", "rotary_emb.cos_cached", "rotary_emb.sin_cached")
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
HEAD_NORMS = {"query": "self_attn.q_norm", "key": "self_attn.k_norm"}


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
        for expert, names in enumerate(op.expert_weights):
            source = self.expert_tensors.matrix(op.layer, expert, role_of(op).matrix)
            self.weights.update(matrix_weights(self.checkpoint, op, names, self._mlp_folded(source, op, expert)))

    def head_norm(self, op: Op) -> None:
        """The gain of a norm of queries or keys."""
        name = role_of(op).matrix
        gain = self.checkpoint.read(f"model.layers.{op.layer}.{HEAD_NORMS[name]}.weight")
        if name == "query":
            gain = gain * self._query_factor
        smooth = self.smoothing.head_norm(op.layer, name)
        self.weights[op.weights[0]] = quantise_gain(gain * smooth, ACTIVATION_FRACTION)

    def _folded(self, op: Op) -> Folded:
        role = role_of(op)
        if role.part == "head":
            source = MatrixSource(EMBEDDING if self.shape.tied else HEAD)
            return Folded(source, self._norm_unit(op), self.checkpoint.read("model.norm.weight"))
        if role.matrix == "router":
            logits = torch.full((self.shape.experts,), math.log2(math.e), dtype=torch.float64)
            source = MatrixSource(self.expert_tensors.router(op.layer))
            return Folded(source, self._norm_unit(op), self._gain(op), logits)
        source = MatrixSource(f"model.layers.{op.layer}.{MODULES[f'{role.part}.{role.matrix}']}.weight")
        return self._mlp_folded(source, op) if role.part == "mlp" else self._attention_folded(source, op)

    def _attention_folded(self, source: MatrixSource, op: Op) -> Folded:
        name = role_of(op).matrix
        if name == "output":
            return Folded(source, MIXED_UNIT / LEVELS[op.params["bits"]], self.smoothing.read(op.layer, name))
        made = self.smoothing.made(op.layer, name)
        scored = name == "query" and not self.shape.qk_norm  # a norm would cancel the factor; it is in the norm's gain
        factor = made * self._query_factor if scored else made
        return Folded(source, self._norm_unit(op), self._gain(op), factor)

    def _mlp_folded(self, source: MatrixSource, op: Op, expert: int | None = None) -> Folded:
        role = role_of(op)
        if role.matrix == "down":
            start, stop = list(down_chunks(self.shape.ffn))[role.chunk]
            read = self.smoothing.read(op.layer, role.matrix, expert)[start:stop]
            unit = 2.0**-ACTIVATION_FRACTION / LEVELS[op.params["bits"]]
            return Folded(source, unit, read, columns=(start, stop))
        made = self.smoothing.made(op.layer, role.matrix, expert)
        return Folded(source, self._norm_unit(op), self._gain(op), made)

    def _gain(self, op: Op) -> Tensor:
        """The gain of the norm whose rows the op reads."""
        return self.checkpoint.read(f"model.layers.{op.layer}.{NORMS[role_of(op).part]}.weight")

    def _norm_unit(self, op: Op) -> float:
        return math.sqrt(self.shape.width) / LEVELS[op.params["bits"]]

    @property
    def _query_factor(self) -> float:
        """What makes scores of queries and keys base-2 logarithms of weights."""
        return math.log2(math.e) / math.sqrt(self.shape.head_dim) * self.rotation.factor**2


def import_decoder(
    checkpoint: Checkpoint, shape: ModelShape, turning: Rotation, recipe: Recipe, experts: ExpertTensors = SEPARATE
) -> IntegerModel:
    """Make an integer model of a decoder's checkpoint whose configuration says ``shape`` and ``turning``.

    ``experts`` says where the experts are, of a shape that has some.
    Raises :class:`CheckpointLayoutError`, :class:`TensorMismatchError`, :class:`NonFiniteWeightError`,
    :class:`RecipeError` or :class:`NotEnoughMemoryError`, each saying what is wrong and where.
    """
    require_no_pooling(checkpoint.folder)
    if shape.tied and checkpoint.holds(HEAD) and not checkpoint.holds(EMBEDDING):
        checkpoint.rename(HEAD, EMBEDDING)  # of two names of one tensor some tools keep the other
    checkpoint.require(expected_tensors(shape, experts), _ignored(shape))
    if shape.tied and _has_own_head(checkpoint):
        shape = replace(shape, tied=False)
        checkpoint.require(expected_tensors(shape, experts), _ignored(shape))
    require_memory(decoder_program(checkpoint.name, shape, finer=recipe.finer))
    importer = _Importer(checkpoint, shape, turning, Smoothing(shape, recipe), experts)
    shift = importer.embedding()
    program = decoder_program(checkpoint.name, shape, recipe.widths, shift, recipe.wider, recipe.finer)
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
    return expected if shape.tied else {**expected, HEAD: (shape.vocab, shape.width)}


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
    return (*IGNORED, HEAD) if shape.tied else IGNORED


def _has_own_head(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint that says it is tied stores another head than its embedding, which then is its head."""
    if not checkpoint.holds(HEAD):
        return False
    pairs = zip_longest(checkpoint.blocks(EMBEDDING), checkpoint.blocks(HEAD), fillvalue=(0, None))
    return any(one is None or other is None or not torch.equal(one, other) for (_, one), (_, other) in pairs)
