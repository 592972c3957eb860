"""Blocks that the op lists of decoders and encoders share: heads, attention, down projection, sampling.

It knows the order of ops within a block, not which blocks a layer has (``decoder.py``, ``encoder.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from nexus_chain.program.builder import ACTIVATION_FRACTION, RESIDUAL_FRACTION, ProgramBuilder
from nexus_chain.program.descriptors import POSITIONS, SAMPLED, TOKENS, ModelShape
from nexus_chain.program.errors import RecipeError
from nexus_chain.program.recipe import ActivationBits
from nexus_chain.program.table_specs import EXP2_SPEC, LOG2_SPEC

DOWN_CHUNK = 8192  # columns of one product that the contract re-checks in one step
ATTENTION_BLOCK = 1024  # positions that share one softmax weight scale
SAMPLE_BLOCK = 512  # vocabulary entries that share one committed maximum
LOGITS_PIECE = 2048  # logits of one committed piece of a row, at most: rows are halved until their pieces are as short
LAYER_INPUTS = ("attention_input", "attention_output", "mlp_input", "down")  # rows whose width a layer may choose
HEAD = "head"  # the part of the logits, and the name of its matrix
LAYER_MATRICES = ("query", "key", "value", "output", "gate", "up", "down")  # which a layer may have in two parts
EXPERT_MATRICES = ("gate", "up", "down")  # of which a mixture has one for each expert, in one part
ATTENTION_SCALE = 66572  # 2^30 / 127^2: undoes the 1/127 of queries and keys


@dataclass
class TransformerBlocks(ProgramBuilder):
    """The blocks of a transformer of one shape."""

    shape: ModelShape = field(kw_only=True)
    bits: ActivationBits = field(kw_only=True)
    wider: Collection[str] = field(kw_only=True, default=())
    finer: Collection[str] = field(kw_only=True, default=())

    def width_of(self, family: str) -> int:
        """Bits of the rows entering a family of the current layer's linear ops."""
        return 15 if f"{self.layer}.{family}" in self.wider else int(getattr(self.bits, family))

    def projection(
        self,
        name: str,
        rows: tuple[str, str, str],
        size: tuple[int, int],
        bits: int,
        *,
        matrix: str,
        chunk: int = 0,
        bias: bool = False,
        residual: str | None = None,
        output: str | None = None,
    ) -> str:
        """A product as :meth:`linear` makes it, in two parts where the recipe names the matrix as finer.

        The second op reads the same rows. It adds their product with what rounding took from the first matrix.
        """
        result = output or f"{name}.output"
        finer = (matrix if self.part == HEAD else f"{self.layer}.{matrix}") in self.finer
        first = f"{name}.rounded" if finer else result
        made = self.linear(
            name, rows, size, bits, matrix=matrix, chunk=chunk, bias=bias, residual=residual, output=first
        )
        if not finer:
            return made
        return self.linear(
            f"{name}.remainder",
            rows,
            size,
            bits,
            matrix=matrix,
            chunk=chunk,
            remainder=True,
            residual=made,
            output=result,
            fraction=ACTIVATION_FRACTION if residual is None else RESIDUAL_FRACTION,
        )

    def embedded(self, shift: int, output: str) -> str:
        """The rows of the tokens in ``embed.table``, shifted to the residual's fraction."""
        shape, self.part = self.shape, "embedding"
        return self.add(
            "embed",
            "embed",
            (TOKENS,),
            {output: ("i32", (POSITIONS, shape.width))},
            (self.weight("embed.table", "i16", shape.vocab, shape.width),),
            vocab=shape.vocab,
            width=shape.width,
            shift=shift,
        )[0]

    def rotated_heads(self, name: str, source: str, heads: int) -> tuple[str, str, str]:
        """Heads turned by ``tables.rope`` and quantised: names of (q, m, e)."""
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

    def mixed_values(self, prefix: str, heads: tuple[str, ...], window: int) -> str:
        """Attention over ``heads``: queries, keys and values as :meth:`rotated_heads` and :meth:`values` give them."""
        shape = self.shape
        return self.add(
            "attention",
            f"{prefix}.attention",
            heads,
            {f"{prefix}.mixed": ("i32", (POSITIONS, shape.heads * shape.head_dim))},
            (self.table(EXP2_SPEC),),
            heads=shape.heads,
            kv_heads=shape.kv_heads,
            head_dim=shape.head_dim,
            block=ATTENTION_BLOCK,
            window=window,
            scale=ATTENTION_SCALE,
        )[0]

    def down(self, prefix: str, source: str, residual: str) -> str:
        """The down projection of ``source`` in chunks, each added to the residual."""
        shape, bits = self.shape, self.width_of("down")
        for number, (start, stop) in enumerate(down_chunks(shape.ffn)):
            name = f"{prefix}.down.{number}"
            rows = self.scaled_rows(name, source, start, stop, bits)
            residual = self.projection(
                name,
                rows,
                (shape.width, stop - start),
                bits,
                matrix="down",
                chunk=number,
                bias=shape.mlp_bias and number == 0,
                residual=residual,
                output=f"{name}.residual",
            )
        return residual

    def sample(self, logits: str, vocab: int) -> None:
        """The token sampled from ``logits``; only for the sampled positions."""
        self.rows, self.part = SAMPLED, HEAD
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


def logits_width(vocab: int) -> int:
    """Columns of the logits of ``vocab`` tokens: as few more as let a row be halved into short pieces.

    The last columns belong to no token. No sampling reads them, so none can be chosen, greedily or not, whatever their
    values: ``sample_blocks`` looks at the first ``vocab`` columns only, in every executor and in the contract.
    """
    pieces = 1
    while pieces * LOGITS_PIECE < vocab:
        pieces *= 2
    return -(-vocab // pieces) * pieces


def require_inputs(wider: Collection[str], layers: int) -> None:
    """Raise :class:`RecipeError` for a name that is no linear input of a network of ``layers`` layers."""
    known = {f"{layer}.{family}" for layer in range(layers) for family in LAYER_INPUTS}
    if unknown := sorted(set(wider) - known):
        raise RecipeError(f"This model has no rows named {unknown[0]}", advice="Choose the widths of this import anew.")


def require_matrices(finer: Collection[str], shape: ModelShape) -> None:
    """Raise :class:`RecipeError` for a name that is no matrix which a decoder of ``shape`` may have in two parts."""
    names = [name for name in LAYER_MATRICES if not shape.experts or name not in EXPERT_MATRICES]
    known = {HEAD} | {f"{layer}.{name}" for layer in range(shape.layers) for name in names}
    if unknown := sorted(set(finer) - known):
        raise RecipeError(
            f"This model has no matrix {unknown[0]} that could have two parts",
            advice="Choose the weights of this import anew.",
        )


def norm_epsilon(epsilon: float, size: int, fraction: int) -> int:
    """A norm's epsilon in units of a sum of ``size`` squares with ``fraction`` fraction bits each."""
    return round(epsilon * size * (1 << 2 * fraction))


def down_chunks(ffn: int) -> Iterator[tuple[int, int]]:
    """Column ranges of the down projection, each at most :data:`DOWN_CHUNK` wide."""
    return ((start, min(start + DOWN_CHUNK, ffn)) for start in range(0, ffn, DOWN_CHUNK))
