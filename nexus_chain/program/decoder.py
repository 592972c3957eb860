"""The op list of a decoder, dense or with experts: Llama and its relatives.

Turns a :class:`ModelShape` and one activation width per linear input into the ops of
``OPERATORS.md``. It decides *what* runs in which order and under which tensor names; it knows
neither checkpoints (``families``) nor how an op is computed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from nexus_chain.program.blocks import (
    HEAD,
    TransformerBlocks,
    down_chunks,
    logits_width,
    norm_epsilon,
    require_inputs,
    require_matrices,
)
from nexus_chain.program.builder import ACTIVATION_FRACTION, RESIDUAL_FRACTION, ROUTER_FRACTION, ExpertChoice
from nexus_chain.program.descriptors import POSITIONS, SAMPLED, ModelShape, Program
from nexus_chain.program.recipe import ActivationBits
from nexus_chain.program.table_specs import EXP2_SPEC


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
        epsilon = norm_epsilon(self.shape.rms_eps, width, RESIDUAL_FRACTION)
        m, e = self.add("norm_scale", f"{name}.norm_scale", (largest, total), outputs, epsilon=epsilon)
        return self.quantise(name, source, largest, 0, width, bits), m, e

    def normed_heads(self, name: str, source: str, heads: int, matrix: str) -> str:
        """Every head divided by its own root mean square, times a gain that the heads share."""
        size = self.shape.head_dim
        return self.add(
            "normalise",
            name,
            (source,),
            {f"{name}.output": ("i32", (POSITIONS, heads * size))},
            (self.weight(f"{name}.gain", "i32", size),),
            matrix=matrix,
            groups=heads,
            size=size,
            centred=0,
            epsilon=norm_epsilon(self.shape.rms_eps, size, ACTIVATION_FRACTION),
            bias=0,
        )[0]

    def attention(self, layer: int, residual: str) -> str:
        shape, prefix, bits = self.shape, f"layers.{layer}.attention", self.width_of("attention_input")
        self.part = "attention"
        rows = self.normed_rows(f"{prefix}.norm", residual, bits)
        queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        projected = {
            name: self.projection(
                f"{prefix}.{name}", rows, (count, shape.width), bits, matrix=name, bias=shape.bias_of(name)
            )
            for name, count in (("query", queries), ("key", keys), ("value", keys))
        }
        if shape.qk_norm:
            for name, heads in (("query", shape.heads), ("key", shape.kv_heads)):
                projected[name] = self.normed_heads(f"{prefix}.{name}_norm", projected[name], heads, name)
        q = self.rotated_heads(f"{prefix}.q", projected["query"], shape.heads)
        k = self.rotated_heads(f"{prefix}.k", projected["key"], shape.kv_heads)
        v = self.values(prefix, projected["value"])
        mixed = self.mixed_values(prefix, (*q, *k, *v), shape.window_of(layer))
        bits = self.width_of("attention_output")
        rows = self.scaled_rows(f"{prefix}.mixed", mixed, 0, queries, bits)
        return self.projection(
            f"{prefix}.output",
            rows,
            (shape.width, queries),
            bits,
            matrix="output",
            bias=shape.bias_of("output"),
            residual=residual,
            output=f"{prefix}.residual",
        )

    def mlp(self, layer: int, residual: str) -> str:
        """The feed-forward part of a layer, of one block or of the experts that each row chooses."""
        prefix, bits, self.part = f"layers.{layer}.mlp", self.width_of("mlp_input"), "mlp"
        rows = self.normed_rows(f"{prefix}.norm", residual, bits)
        if not self.shape.experts:
            return self.dense(prefix, rows, residual)
        for choice in self.choices(prefix, residual, rows):
            residual = self.expert(prefix, choice, rows, residual)
        return residual

    def dense(self, prefix: str, rows: tuple[str, str, str], residual: str) -> str:
        shape, bits = self.shape, self.width_of("mlp_input")
        gate, up = (
            self.projection(f"{prefix}.{name}", rows, (shape.ffn, shape.width), bits, matrix=name, bias=shape.mlp_bias)
            for name in ("gate", "up")
        )
        return self.down(prefix, self.activated(prefix, gate, up), residual)

    def activated(self, prefix: str, gate: str, up: str) -> str:
        width = self.shape.ffn
        hidden = {f"{prefix}.hidden": ("i32", (POSITIONS, width))}
        return self.add(
            "silu_product", f"{prefix}.silu_product", (gate, up), hidden, (self.table(EXP2_SPEC),), width=width
        )[0]

    def choices(self, prefix: str, residual: str, rows: tuple[str, str, str]) -> list[ExpertChoice]:
        """The experts that a router chooses per row, one per slot; its logits decide, so its rows have 15 bits."""
        shape, name = self.shape, f"{prefix}.router"
        if self.width_of("mlp_input") != 15:
            rows = (self.quantise(name, residual, f"{prefix}.norm.max", 0, shape.width, 15), *rows[1:])
        logits = self.linear(name, rows, (shape.experts, shape.width), 15, matrix="router", fraction=ROUTER_FRACTION)
        slots = ("i32", (POSITIONS, shape.experts_per_token))
        index, gate = self.add(
            "route",
            f"{prefix}.route",
            (logits,),
            {f"{prefix}.route.index": slots, f"{prefix}.route.gate": slots},
            (self.table(EXP2_SPEC),),
            experts=shape.experts,
            slots=shape.experts_per_token,
        )
        return [
            ExpertChoice(index, gate, shape.experts, shape.experts_per_token, slot)
            for slot in range(shape.experts_per_token)
        ]

    def expert(self, prefix: str, choice: ExpertChoice, rows: tuple[str, str, str], residual: str) -> str:
        """What the expert of one slot adds to the residual."""
        shape, slot, matrices = self.shape, f"{prefix}.slots.{choice.slot}", f"{prefix}.experts.{{}}"
        gate, up = (
            self.expert_linear(
                f"{slot}.{name}",
                rows,
                (shape.ffn, shape.width),
                self.width_of("mlp_input"),
                choice,
                matrix=name,
                matrices=f"{matrices}.{name}",
            )
            for name in ("gate", "up")
        )
        source, bits = self.activated(slot, gate, up), self.width_of("down")
        for number, (start, stop) in enumerate(down_chunks(shape.ffn)):
            name = f"{slot}.down.{number}"
            rows = self.scaled_rows(name, source, start, stop, bits)
            residual = self.expert_linear(
                name,
                rows,
                (shape.width, stop - start),
                bits,
                choice,
                matrix="down",
                chunk=number,
                matrices=f"{matrices}.down.{number}",
                residual=residual,
                output=f"{name}.residual",
            )
        return residual

    def head(self, residual: str) -> None:
        """Final norm, logits and the sampled token; only for the sampled positions."""
        self.rows, self.part = SAMPLED, HEAD
        vocab, bits = self.shape.vocab, self.width_of("head")
        rows = self.normed_rows("head.norm", residual, bits)
        size = (logits_width(vocab), self.shape.width)
        logits = self.projection("head", rows, size, bits, matrix=HEAD, output="head.logits")
        self.sample(logits, vocab)


def decoder_program(
    name: str,
    shape: ModelShape,
    bits: ActivationBits | None = None,
    embed_shift: int = 0,
    wider: Collection[str] = (),
    finer: Collection[str] = (),
) -> Program:
    """Op list of a decoder.

    ``embed_shift`` is the left shift that brings ``embed.table`` to the residual's fraction; ``wider``
    names inputs with 15 bits, such as "3.attention_input", ``finer`` matrices in two parts, such as "3.value". Raises
    :class:`RecipeError` for other names.
    """
    require_inputs(wider, shape.layers)
    require_matrices(finer, shape)
    build = _Decoder(shape=shape, bits=bits or ActivationBits(), wider=wider, finer=finer)
    residual = build.embedded(embed_shift, "embed.residual")
    for build.layer in range(shape.layers):
        residual = build.mlp(build.layer, build.attention(build.layer, residual))
    build.head(residual)
    program = Program(name, shape, tuple(build.ops), tuple(build.weights.values()))
    program.validate()
    return program
