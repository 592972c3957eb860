"""The op list of a dense decoder: Llama and its relatives.

Turns a :class:`ModelShape` and one activation width per linear input into the ops of
``OPERATORS.md``. It decides *what* runs in which order and under which tensor names; it knows
neither checkpoints (``families``) nor how an op is computed.
"""

from __future__ import annotations

from dataclasses import dataclass

from nexus_chain.program.blocks import TransformerBlocks
from nexus_chain.program.builder import RESIDUAL_FRACTION
from nexus_chain.program.descriptors import POSITIONS, SAMPLED, ModelShape, Program
from nexus_chain.program.recipe import ActivationBits
from nexus_chain.program.tables import EXP2_SPEC


@dataclass
class _Decoder(TransformerBlocks):
    """The layers of a decoder of one shape."""

    def normed_rows(self, name: str, source: str, bits: int) -> tuple[str, str, str]:
        """Rows divided by their root mean square (gain and sqrt(width) live in the weights): (q, m, e)."""
        width = self.shape.width
        largest = self.row_max(name, source, 0, width)
        squares = {f"{name}.squares": ("i64", (self.rows,))}
        (total,) = self.add("row_squares", f"{name}.row_squares", (source, largest), squares, start=0, stop=width)
        outputs = {f"{name}.m": ("i32", (self.rows,)), f"{name}.e": ("i32", (self.rows,))}
        epsilon = norm_epsilon(self.shape)
        m, e = self.add("norm_scale", f"{name}.norm_scale", (largest, total), outputs, epsilon=epsilon)
        return self.quantise(name, source, largest, 0, width, bits), m, e

    def attention(self, layer: int, residual: str) -> str:
        shape, prefix, bits = self.shape, f"layers.{layer}.attention", self.bits.attention_input
        rows = self.normed_rows(f"{prefix}.norm", residual, bits)
        queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        projected = {
            name: self.linear(f"{prefix}.{name}", rows, (count, shape.width), bits, bias=shape.attention_bias)
            for name, count in (("query", queries), ("key", keys), ("value", keys))
        }
        q = self.rotated_heads(f"{prefix}.q", projected["query"], shape.heads)
        k = self.rotated_heads(f"{prefix}.k", projected["key"], shape.kv_heads)
        v = self.values(prefix, projected["value"])
        mixed = self.mixed_values(prefix, (*q, *k, *v), window=0)
        bits = self.bits.attention_output
        rows = self.scaled_rows(f"{prefix}.mixed", mixed, 0, queries, bits)
        return self.linear(
            f"{prefix}.output",
            rows,
            (shape.width, queries),
            bits,
            bias=shape.attention_bias,
            residual=residual,
            output=f"{prefix}.residual",
        )

    def mlp(self, layer: int, residual: str) -> str:
        shape, prefix, bits = self.shape, f"layers.{layer}.mlp", self.bits.mlp_input
        rows = self.normed_rows(f"{prefix}.norm", residual, bits)
        gate, up = (
            self.linear(f"{prefix}.{name}", rows, (shape.ffn, shape.width), bits, bias=shape.mlp_bias)
            for name in ("gate", "up")
        )
        hidden = {f"{prefix}.hidden": ("i32", (POSITIONS, shape.ffn))}
        (source,) = self.add(
            "silu_product", f"{prefix}.silu_product", (gate, up), hidden, (self.table(EXP2_SPEC),), width=shape.ffn
        )
        return self.down(prefix, source, residual)

    def head(self, residual: str) -> None:
        """Final norm, logits and the sampled token; only for the sampled positions."""
        self.rows, vocab = SAMPLED, self.shape.vocab
        rows = self.normed_rows("head.norm", residual, self.bits.head)
        logits = self.linear("head", rows, (vocab, self.shape.width), self.bits.head, output="head.logits")
        self.sample(logits, vocab)


def norm_epsilon(shape: ModelShape) -> int:
    """The RMS-norm epsilon in units of a sum of squares of the residual stream."""
    return round(shape.rms_eps * shape.width * (1 << 2 * RESIDUAL_FRACTION))


def decoder_program(name: str, shape: ModelShape, bits: ActivationBits | None = None, embed_shift: int = 0) -> Program:
    """Op list of a dense decoder.

    ``embed_shift`` is the left shift that brings ``embed.table`` to the residual's fraction.
    """
    build = _Decoder(shape=shape, bits=bits or ActivationBits())
    residual = build.embedded(embed_shift, "embed.residual")
    for build.layer in range(shape.layers):
        residual = build.mlp(build.layer, build.attention(build.layer, residual))
    build.head(residual)
    program = Program(name, shape, tuple(build.ops), tuple(build.weights.values()))
    program.validate()
    return program
