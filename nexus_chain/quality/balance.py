"""Smoothing chosen on a calibration text: no channel of a row, nor of the weights that read it, stands out.

A channel has activations up to ``a`` and is read by weights up to ``w``. It is multiplied by the power of two nearest
to sqrt(w / a), so that both use the int8 range alike. Queries and keys share a pair of channels in the same way. A
group's median channel stays as it is, because products keep their fraction bits.

The hidden channels of each expert are a group of their own. Its activations come from the rows that choose the expert.
Experts that see fewer than :data:`LEAST_ROWS` rows are smoothed on all rows: few rows say little, and other texts may
choose the expert often.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nexus_chain.program.descriptors import ModelShape
from nexus_chain.program.recipe import LARGEST_EXPONENT
from nexus_chain.program.smoothing import feed_forwards, hidden_group
from nexus_chain.quality.float_model import FloatModel, Observer, down_projection

LEAST_ROWS = 32  # rows whose largest magnitudes tell one channel of an expert from another


@dataclass
class Largest:
    """The largest magnitude seen in every channel, of rows as ``shown`` makes them."""

    shown: Callable[[Tensor], Tensor] = torch.abs
    seen: Tensor | None = None
    rows: int = 0

    def __call__(self, rows: Tensor) -> None:
        largest = self.shown(rows).amax(dim=0).double()
        self.seen = largest if self.seen is None else torch.maximum(self.seen, largest)
        self.rows += len(rows)


def smoothing(model: FloatModel, shape: ModelShape, windows: Sequence[Tensor]) -> dict[str, tuple[int, ...]]:
    """The smoothing of every group of a decoder (see ``program/smoothing.py``)."""
    inputs: dict[str, Largest] = {}
    outputs: dict[str, Largest] = {}
    for layer in range(shape.layers):
        block = f"model.layers.{layer}"
        inputs.update({down_projection(layer, expert): Largest() for expert in feed_forwards(shape)})
        outputs[f"{block}.self_attn.v_proj"] = Largest()
        for name in _rotated(block, shape):
            outputs[name] = Largest(_pairs(shape))
    model.observe(windows, dict[str, Observer](inputs), dict[str, Observer](outputs))
    if rare := {name: Largest() for name, largest in inputs.items() if shape.experts and largest.rows < LEAST_ROWS}:
        model.observe(windows, dict[str, Observer](rare), {}, routed=False)
        inputs.update(rare)
    found: dict[str, tuple[int, ...]] = {}
    for layer in range(shape.layers):
        found.update(_layer(model, shape, layer, inputs, outputs))
    return found


def _layer(
    model: FloatModel, shape: ModelShape, layer: int, inputs: dict[str, Largest], outputs: dict[str, Largest]
) -> dict[str, tuple[int, ...]]:
    block = f"model.layers.{layer}"
    read = model.weight(f"{block}.self_attn.o_proj").abs().amax(dim=0).double()
    read = read.view(shape.kv_heads, -1, shape.head_dim).amax(dim=1).flatten()
    queries, keys = (_seen(outputs[name]).view(-1, shape.head_dim // 2) for name in _rotated(block, shape))
    if shape.qk_norm:
        queries, keys = queries.amax(dim=0), keys.amax(dim=0)
    else:
        queries = queries.view(shape.kv_heads, -1, shape.head_dim // 2).amax(dim=1)
    found = {
        f"{layer}.value": balance(_seen(outputs[f"{block}.self_attn.v_proj"]), read),
        f"{layer}.rotary": balance(keys.flatten(), queries.flatten()),
    }
    for expert in feed_forwards(shape):
        down = down_projection(layer, expert)
        read = model.weight(down).abs().amax(dim=0).double()
        found[hidden_group(layer, expert)] = balance(_seen(inputs[down]), read)
    return found


def balance(made: Tensor, read: Tensor) -> tuple[int, ...]:
    """Exponents of channels with magnitudes up to ``made`` f64[N], read with magnitudes up to ``read`` f64[N]."""
    alive = (made > 0) & (read > 0)
    exponents = torch.where(alive, torch.log2(read / made) / 2, torch.zeros_like(made))
    if bool(alive.any()):
        exponents = torch.where(alive, exponents - exponents[alive].median(), exponents)
    limited = exponents.round().clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT)
    return tuple(int(exponent) for exponent in limited)


def _rotated(block: str, shape: ModelShape) -> tuple[str, str]:
    """The modules whose outputs are rotated: queries, keys."""
    names = ("q_norm", "k_norm") if shape.qk_norm else ("q_proj", "k_proj")
    return f"{block}.self_attn.{names[0]}", f"{block}.self_attn.{names[1]}"


def _pairs(shape: ModelShape) -> Callable[[Tensor], Tensor]:
    """Rows of heads as lengths of pairs, which no rotation changes: [T, heads * D] to [T, heads * D/2]."""
    return lambda rows: rows.reshape(len(rows), -1, 2, shape.head_dim // 2).norm(dim=2).flatten(1)


def _seen(largest: Largest) -> Tensor:
    return largest.seen if largest.seen is not None else torch.zeros(0, dtype=torch.float64)
