"""The op list of a dense decoder: Llama and its relatives.

Turns a :class:`ModelShape` and one activation width per linear input into the ops of
``OPERATORS.md``. It decides *what* runs in which order and under which tensor names; it knows
neither checkpoints (``families``) nor how an op is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nexus_chain.program.builder import RESIDUAL_FRACTION, ProgramBuilder
from nexus_chain.program.descriptors import POSITIONS, SAMPLED, TOKENS, ModelShape, Program
from nexus_chain.program.recipe import ActivationBits
from nexus_chain.program.tables import EXP2_SPEC, LOG2_SPEC

DOWN_CHUNK = 8192  # columns of one product that the contract re-checks in one step
ATTENTION_BLOCK = 1024  # positions that share one softmax weight scale
SAMPLE_BLOCK = 512  # vocabulary entries that share one committed maximum
ATTENTION_SCALE = 66572  # 2^30 / 127^2: undoes the 1/127 of queries and keys


@dataclass
class _Decoder(ProgramBuilder):
    """The blocks of a decoder of one shape."""

    shape: ModelShape = field(kw_only=True)
    bits: ActivationBits = field(kw_only=True)

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

    def rotated_heads(self, name: str, source: str, heads: int) -> tuple[str, str, str]:
        size = self.shape.head_dim
        per_head = ("i32", (POSITIONS, heads))
        outputs = {
            name: ("i8", (POSITIONS, heads, size)),
            f"{name}_max": per_head,
            f"{name}_m": per_head,
            f"{name}_e": per_head,
        }
        table = self.weight("tables.rope", "i16", self.shape.context, size)
        names = self.add(
            "rope_quantise", f"{name}.rope_quantise", (source,), outputs, (table,), heads=heads, head_dim=size
        )
        return names[0], names[2], names[3]

    def values(self, prefix: str, source: str) -> tuple[str, str]:
        """Quantised value heads, transposed so that a column over positions is contiguous."""
        groups, size = self.shape.kv_heads, self.shape.head_dim
        rows = {f"{prefix}.v": ("i8", (POSITIONS, groups, size)), f"{prefix}.v_max": ("i32", (POSITIONS, groups))}
        by_row = self.add("value_quantise", f"{prefix}.value_quantise", (source,), rows, heads=groups, head_dim=size)
        columns = {
            f"{prefix}.v_columns": ("i8", (groups, size, POSITIONS)),
            f"{prefix}.v_max_columns": ("i32", (groups, POSITIONS)),
        }
        names = self.add("value_layout", f"{prefix}.value_layout", by_row, columns, heads=groups, head_dim=size)
        return names[0], names[1]

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
        (mixed,) = self.add(
            "attention",
            f"{prefix}.attention",
            (*q, *k, *v),
            {f"{prefix}.mixed": ("i32", (POSITIONS, queries))},
            (self.table(EXP2_SPEC),),
            heads=shape.heads,
            kv_heads=shape.kv_heads,
            head_dim=shape.head_dim,
            block=ATTENTION_BLOCK,
            window=0,
            scale=ATTENTION_SCALE,
        )
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
        for number, (start, stop) in enumerate(down_chunks(shape.ffn)):
            name = f"{prefix}.down.{number}"
            rows = self.scaled_rows(name, source, start, stop, self.bits.down)
            residual = self.linear(
                name,
                rows,
                (shape.width, stop - start),
                self.bits.down,
                bias=shape.mlp_bias and number == 0,
                residual=residual,
                output=f"{name}.residual",
            )
        return residual

    def head(self, residual: str) -> None:
        """Final norm, logits and the sampled token; only for the sampled positions."""
        self.rows, vocab = SAMPLED, self.shape.vocab
        rows = self.normed_rows("head.norm", residual, self.bits.head)
        logits = self.linear("head", rows, (vocab, self.shape.width), self.bits.head, output="head.logits")
        blocks = -(-vocab // SAMPLE_BLOCK)
        outputs = {"sample.block_max": ("i64", (SAMPLED, blocks)), "sample.block_index": ("i32", (SAMPLED, blocks))}
        best = self.add(
            "sample_blocks",
            "sample_blocks",
            (logits,),
            outputs,
            (self.table(LOG2_SPEC),),
            vocab=vocab,
            block=SAMPLE_BLOCK,
        )
        self.add("sample", "sample", best, {"sample.token": ("i32", (SAMPLED,))}, blocks=blocks)


def norm_epsilon(shape: ModelShape) -> int:
    """The RMS-norm epsilon in units of a sum of squares of the residual stream."""
    return round(shape.rms_eps * shape.width * (1 << 2 * RESIDUAL_FRACTION))


def down_chunks(ffn: int) -> Iterator[tuple[int, int]]:
    """Column ranges of the down projection, each at most :data:`DOWN_CHUNK` wide."""
    return ((start, min(start + DOWN_CHUNK, ffn)) for start in range(0, ffn, DOWN_CHUNK))


def decoder_program(name: str, shape: ModelShape, bits: ActivationBits | None = None, embed_shift: int = 0) -> Program:
    """Op list of a dense decoder.

    ``embed_shift`` is the left shift that brings ``embed.table`` to the residual's fraction.
    """
    build = _Decoder(shape=shape, bits=bits or ActivationBits())
    table = build.weight("embed.table", "i16", shape.vocab, shape.width)
    (residual,) = build.add(
        "embed",
        "embed",
        (TOKENS,),
        {"embed.residual": ("i32", (POSITIONS, shape.width))},
        (table,),
        vocab=shape.vocab,
        width=shape.width,
        shift=embed_shift,
    )
    for build.layer in range(shape.layers):
        residual = build.mlp(build.layer, build.attention(build.layer, residual))
    build.head(residual)
    program = Program(name, shape, tuple(build.ops), tuple(build.weights.values()))
    program.validate()
    return program
