"""The op list of an encoder of the BERT family with mean pooling, for embeddings.

Every position looks at every other, norms follow the sums, and the answer is the mean of the last
rows. Turns a :class:`ModelShape` and activation widths into the ops of ``OPERATORS.md``; it knows
neither checkpoints (``families``) nor how an op is computed.

A program has one layer more than the network. The pooled rows i32[T, width], with 16 fraction bits, leave the last but
one layer. The last of them is the embedding, so whoever serves that layer signs a receipt over the embedding. The last
layer only samples, with the pooled row as its logits. The "token" that an encoder answers is the index of its
embedding's largest component.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from nexus_chain.program.blocks import TransformerBlocks, norm_epsilon, require_inputs
from nexus_chain.program.builder import RESIDUAL_FRACTION
from nexus_chain.program.descriptors import BOTH_DIRECTIONS, POSITIONS, ModelShape, Program
from nexus_chain.program.recipe import ActivationBits
from nexus_chain.program.table_specs import PHI_SPEC

POOLED = "pool.mean"


@dataclass(frozen=True)
class EmbeddingShifts:
    """Left shifts that bring the token and the position table to the residual's fraction."""

    tokens: int = 0
    positions: int = 0


@dataclass
class _Encoder(TransformerBlocks):
    """The layers of an encoder of one shape."""

    def normalised(self, name: str, source: str, output: str) -> str:
        """Layer norm of whole rows, gain and bias included."""
        width = self.shape.width
        return self.add(
            "normalise",
            name,
            (source,),
            {output: ("i32", (POSITIONS, width))},
            (self.weight(f"{name}.gain", "i32", width), self.weight(f"{name}.bias", "i32", width)),
            matrix="norm",
            groups=1,
            size=width,
            centred=1,
            epsilon=norm_epsilon(self.shape.rms_eps, width, RESIDUAL_FRACTION),
            bias=1,
        )[0]

    def embedding(self, shifts: EmbeddingShifts) -> str:
        """Token and position rows, added and normalised."""
        width = self.shape.width
        (placed,) = self.add(
            "position_embed",
            "embed.position",
            (self.embedded(shifts.tokens, "embed.tokens"),),
            {"embed.positions": ("i32", (POSITIONS, width))},
            (self.weight("embed.position.table", "i16", self.shape.context, width),),
            width=width,
            shift=shifts.positions,
        )
        return self.normalised("embed.norm", placed, "embed.residual")

    def attention(self, layer: int, residual: str) -> str:
        shape, prefix, bits = self.shape, f"layers.{layer}.attention", self.width_of("attention_input")
        self.part = "attention"
        rows = self.scaled_rows(f"{prefix}.input", residual, 0, shape.width, bits)
        inner = shape.heads * shape.head_dim
        query, key, value = (
            self.linear(f"{prefix}.{name}", rows, (inner, shape.width), bits, matrix=name, bias=True)
            for name in ("query", "key", "value")
        )
        q, k = (
            self.rotated_heads(f"{prefix}.{name}", source, shape.heads) for name, source in (("q", query), ("k", key))
        )
        mixed = self.mixed_values(prefix, (*q, *k, *self.values(prefix, value)), BOTH_DIRECTIONS)
        bits = self.width_of("attention_output")
        rows = self.scaled_rows(f"{prefix}.mixed", mixed, 0, inner, bits)
        total = self.linear(
            f"{prefix}.output",
            rows,
            (shape.width, inner),
            bits,
            matrix="output",
            bias=True,
            residual=residual,
            output=f"{prefix}.sum",
        )
        return self.normalised(f"{prefix}.norm", total, f"{prefix}.residual")

    def mlp(self, layer: int, residual: str) -> str:
        shape, prefix, bits = self.shape, f"layers.{layer}.mlp", self.width_of("mlp_input")
        self.part = "mlp"
        rows = self.scaled_rows(f"{prefix}.input", residual, 0, shape.width, bits)
        up = self.linear(f"{prefix}.up", rows, (shape.ffn, shape.width), bits, matrix="up", bias=True)
        hidden = {f"{prefix}.hidden": ("i32", (POSITIONS, shape.ffn))}
        (source,) = self.add("gelu", f"{prefix}.gelu", (up,), hidden, (self.table(PHI_SPEC),), width=shape.ffn)
        return self.normalised(f"{prefix}.norm", self.down(prefix, source, residual), f"{prefix}.residual")

    def pooled(self, residual: str) -> str:
        """The mean of every prefix of the rows; the last one is the embedding."""
        width, self.part = self.shape.width, "pool"
        columns = {"pool.columns": ("i32", (width, POSITIONS))}
        means = {POOLED: ("i32", (POSITIONS, width))}
        return self.add(
            "prefix_mean",
            "pool.prefix_mean",
            self.add("row_layout", "pool.row_layout", (residual,), columns, width=width),
            means,
            width=width,
        )[0]


def encoder_program(
    name: str,
    shape: ModelShape,
    bits: ActivationBits | None = None,
    shifts: EmbeddingShifts | None = None,
    wider: Collection[str] = (),
) -> Program:
    """Op list of an encoder whose network has ``shape.layers - 1`` layers.

    ``wider`` is what it is to ``decoder_program``; raises :class:`RecipeError` for unknown names in it.
    """
    require_inputs(wider, shape.layers - 1)
    build = _Encoder(shape=shape, bits=bits or ActivationBits(), wider=wider)
    residual = build.embedding(shifts or EmbeddingShifts())
    for build.layer in range(shape.layers - 1):
        residual = build.mlp(build.layer, build.attention(build.layer, residual))
    embedding = build.pooled(residual)
    build.layer = shape.layers - 1
    build.sample(embedding, shape.width)
    program = Program(name, shape, tuple(build.ops), tuple(build.weights.values()))
    program.validate()
    return program
