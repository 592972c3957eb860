"""``BertModel``: encoders of the BERT family with mean pooling, such as sentence embedding models.

Every token of a single text has token type 0, so that type's row is folded into the position table.
The pooler is left out: the embedding of a text is the mean of its last rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nexus_chain.program.blocks import down_chunks
from nexus_chain.program.builder import ACTIVATION_FRACTION, RESIDUAL_FRACTION
from nexus_chain.program.checkpoint import Checkpoint, MatrixSource
from nexus_chain.program.descriptors import ModelShape, Op, role_of
from nexus_chain.program.encoder import EmbeddingShifts, encoder_program
from nexus_chain.program.errors import RecipeError
from nexus_chain.program.families.fields import layout_error, read_fields
from nexus_chain.program.families.folding import Folded, embedding_table, in_order, linear_weights
from nexus_chain.program.families.pooling import require_mean
from nexus_chain.program.fixed_point import LEVELS
from nexus_chain.program.memory_check import require_memory
from nexus_chain.program.model import IntegerModel
from nexus_chain.program.overflow import NORM_SIZE_MAX
from nexus_chain.program.quantisation import (
    MIXED_UNIT,
    embedding_shift,
    quantise_bias,
    quantise_embedding,
    quantise_gain,
)
from nexus_chain.program.recipe import Recipe
from nexus_chain.program.tables import STILL_COSINE, encoder_tables

TOKENS, POSITIONS, TYPES = (f"embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type"))
IGNORED = ("embeddings.position_ids", "embeddings.token_type_ids", "pooler.dense.weight", "pooler.dense.bias")
MODULES = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "attention.norm": "attention.output.LayerNorm",
    "mlp.up": "intermediate.dense",
    "mlp.down": "output.dense",
    "mlp.norm": "output.LayerNorm",
}


@dataclass
class _Importer:
    checkpoint: Checkpoint
    shape: ModelShape
    weights: dict[str, Tensor] = field(default_factory=dict)

    def embeddings(self) -> EmbeddingShifts:
        """Store both tables; the shifts that their ops need."""
        self.weights["embed.table"], tokens = embedding_table(self.checkpoint, TOKENS)
        table = self.checkpoint.read(POSITIONS) + self.checkpoint.read(TYPES)[0]
        positions = embedding_shift(float(table.abs().max()), RESIDUAL_FRACTION)
        self.weights["embed.position.table"] = quantise_embedding(table, RESIDUAL_FRACTION, positions)
        return EmbeddingShifts(tokens, positions)

    def norm(self, op: Op) -> None:
        """Gain and bias of a layer norm."""
        module = "embeddings.LayerNorm" if role_of(op).part == "embedding" else _module(op)
        gain, bias = (self.checkpoint.read(f"{module}.{name}") for name in ("weight", "bias"))
        self.weights[op.weights[0]] = quantise_gain(gain, RESIDUAL_FRACTION)
        self.weights[op.weights[1]] = quantise_bias(bias, RESIDUAL_FRACTION)

    def linear(self, op: Op) -> None:
        """Quantise what the checkpoint holds for a linear op."""
        self.weights.update(linear_weights(self.checkpoint, op, self._folded(op)))

    def _folded(self, op: Op) -> Folded:
        levels, role = LEVELS[op.params["bits"]], role_of(op)
        name = role.matrix
        source = MatrixSource(f"{_module(op)}.weight")
        if name == "output":
            return Folded(source, MIXED_UNIT / levels)
        if name == "down":
            columns = list(down_chunks(self.shape.ffn))[role.chunk]
            return Folded(source, 2.0**-ACTIVATION_FRACTION / levels, columns=columns)
        factor = 1 / STILL_COSINE if name in ("query", "key") else 1.0
        if name == "query":  # scores are base-2 logarithms of weights
            factor *= math.log2(math.e) / math.sqrt(self.shape.head_dim)
        unit = 2.0**-RESIDUAL_FRACTION / levels
        return Folded(source, unit, factor=torch.full((op.params["rows"],), factor, dtype=torch.float64))


def _module(op: Op) -> str:
    """The checkpoint's module behind an op of a layer."""
    return f"encoder.layer.{op.layer}.{MODULES[f'{role_of(op).part}.{role_of(op).matrix}']}"


def import_bert(checkpoint: Checkpoint, recipe: Recipe) -> IntegerModel:
    """Make an integer model of an encoder, one layer longer than its network; raises the importer's errors."""
    fields = read_fields(checkpoint.config, "bert")
    shape = encoder_shape(fields)
    require_mean(checkpoint.folder, shape.width)
    if recipe.smoothing:
        raise RecipeError("Encoders are not smoothed", advice="Import with a recipe that has no smoothing.")
    if recipe.finer:
        raise RecipeError("Encoders have no matrices in two parts", advice="Import with a recipe that names none.")
    checkpoint.require(expected_tensors(shape, fields["type_vocab_size"]), IGNORED)
    require_memory(encoder_program(checkpoint.name, shape))
    importer = _Importer(checkpoint, shape)
    program = encoder_program(checkpoint.name, shape, recipe.widths, importer.embeddings(), recipe.wider)
    for op in program.ops:
        if op.kind == "linear":
            importer.linear(op)
        elif op.kind == "normalise":
            importer.norm(op)
    importer.weights.update(encoder_tables(shape.context, shape.head_dim))
    return IntegerModel(program, in_order(program, importer.weights))


def encoder_shape(fields: Mapping[str, Any]) -> ModelShape:
    """Sizes from the fields of a configuration; :class:`CheckpointLayoutError` if one is impossible."""
    heads, width = fields["num_attention_heads"], fields["hidden_size"]
    shape = ModelShape(
        layers=fields["num_hidden_layers"] + 1,
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=width // max(heads, 1),
        ffn=fields["intermediate_size"],
        vocab=fields["vocab_size"],
        context=fields["max_position_embeddings"],
        rms_eps=float(fields["layer_norm_eps"]),
        attention_bias=True,
        mlp_bias=True,
        encoder=True,
    )
    _require_sizes(shape, fields["type_vocab_size"])
    return shape


def _require_sizes(shape: ModelShape, types: int) -> None:
    sizes = (shape.layers - 1, shape.width, shape.heads, shape.head_dim, shape.ffn, shape.vocab, shape.context, types)
    if min(sizes) < 1:
        raise layout_error(f"A size in config.json is not positive: {shape}")
    if shape.width != shape.heads * shape.head_dim:
        raise layout_error(f"A width of {shape.width} does not divide into {shape.heads} heads")
    if shape.head_dim % 2:
        raise layout_error(f"Head size {shape.head_dim} is odd, heads are quantised in pairs")
    if shape.width > NORM_SIZE_MAX:
        raise layout_error(f"A hidden_size of {shape.width} is more than the {NORM_SIZE_MAX} of one norm")


def expected_tensors(shape: ModelShape, types: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of every tensor that is read from a checkpoint with ``types`` token types."""
    width, ffn = shape.width, shape.ffn
    sizes = {name: (width, width) for name in MODULES if name.startswith("attention")}
    sizes |= {"mlp.up": (ffn, width), "mlp.down": (width, ffn)}
    tables = {TOKENS: shape.vocab, POSITIONS: shape.context, TYPES: types}
    expected: dict[str, tuple[int, ...]] = {name: (count, width) for name, count in tables.items()}
    modules = {f"encoder.layer.{n}.{part}": name for n in range(shape.layers - 1) for name, part in MODULES.items()}
    for module, name in {"embeddings.LayerNorm": "embed.norm", **modules}.items():
        size = (width,) if name.endswith("norm") else sizes[name]
        expected |= {f"{module}.weight": size, f"{module}.bias": size[:1]}
    return expected
