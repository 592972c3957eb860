"""Which rows of a decoder lose most when they are rounded to 8 bits: the order in which to widen them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nexus_chain.program.descriptors import ModelShape
from nexus_chain.program.fixed_point import LEVELS
from nexus_chain.program.recipe import Recipe
from nexus_chain.program.smoothing import Smoothing, feed_forwards
from nexus_chain.quality.float_model import FloatModel, Observer, down_projection


@dataclass
class RoundingError:
    """Squared error of rows that are rounded to 8 bits, and their squared size. Both are weighted as their readers do.

    ``smoothed`` f64[K] multiplies the channels before rounding; ``read`` f64[K] is how much each one counts.
    """

    smoothed: Tensor
    read: Tensor
    error: float = 0.0
    size: float = 0.0

    def __call__(self, rows: Tensor) -> None:
        made = rows.double() * self.smoothed
        step = made.abs().amax(dim=1, keepdim=True).clamp(min=1e-30) / LEVELS[8]
        seen = self.read / self.smoothed
        self.error += float((((made / step).round() * step - made) * seen).square().sum())
        self.size += float((made * seen).square().sum())


def relative_error(*errors: RoundingError) -> float:
    """What rows lose, in units of their size. Mixtures give one error for each expert."""
    size = sum(rows.size for rows in errors)
    return sum(rows.error for rows in errors) / size if size else 0.0


def rounding_order(model: FloatModel, shape: ModelShape, recipe: Recipe, windows: Sequence[Tensor]) -> list[str]:
    """Names, such as "3.mlp_input", of the rows that have 8 bits under ``recipe``. Those that lose most come first."""
    errors: defaultdict[str, list[RoundingError]] = defaultdict(list)
    inputs: dict[str, Observer] = {}
    smoothing = Smoothing(shape, recipe)
    for layer in range(shape.layers):
        for family, module, error in _rows(model, smoothing, layer):
            name = f"{layer}.{family}"
            if getattr(recipe.widths, family) == 8 and name not in recipe.wider:
                errors[name].append(error)
                inputs[module] = error
    model.observe(windows, inputs, {})
    return sorted(errors, key=lambda name: (-relative_error(*errors[name]), name))


def _rows(model: FloatModel, smoothing: Smoothing, layer: int) -> Iterator[tuple[str, str, RoundingError]]:
    """Rows of a layer: their family, the module they enter in the float model, their error to be.

    The hidden rows of all experts are one family, for one width holds for all of them.
    """
    block, ones = f"model.layers.{layer}", torch.ones(smoothing.shape.width, dtype=torch.float64)

    def column_norms(module: str) -> Tensor:
        return model.weight(module).double().square().sum(dim=0).sqrt()

    # Rows that enter a norm are rounded before its gain is applied, which is part of the weights.
    for family, norm in (("attention_input", "input_layernorm"), ("mlp_input", "post_attention_layernorm")):
        yield family, f"{block}.{norm}", RoundingError(ones, model.weight(f"{block}.{norm}").double())
    output = f"{block}.self_attn.o_proj"
    yield "attention_output", output, RoundingError(1 / smoothing.read(layer, "output"), column_norms(output))
    for expert in feed_forwards(smoothing.shape):
        down = down_projection(layer, expert)
        yield "down", down, RoundingError(1 / smoothing.read(layer, "down", expert), column_norms(down))
