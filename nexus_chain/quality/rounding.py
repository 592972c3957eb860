"""Which rows of a decoder lose most when they are rounded to 8 bits: the order in which to widen them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nexus_chain.program.descriptors import ModelShape
from nexus_chain.program.primitives import LEVELS
from nexus_chain.program.recipe import Recipe
from nexus_chain.program.smoothing import Smoothing
from nexus_chain.quality.float_model import FloatModel, Observer


@dataclass
class RoundingError:
    """Squared error of rows rounded to 8 bits, and their squared size, as the weights that read them see both.

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

    @property
    def relative(self) -> float:
        """Error in units of the rows' size."""
        return self.error / self.size if self.size else 0.0


def rounding_order(model: FloatModel, shape: ModelShape, recipe: Recipe, windows: Sequence[Tensor]) -> list[str]:
    """Names of the rows that have 8 bits under ``recipe`` ("3.mlp_input"), those that lose most first."""
    errors: dict[str, tuple[str, RoundingError]] = {}
    for layer in range(shape.layers):
        for family, (module, error) in _rows(model, Smoothing(shape, recipe), layer).items():
            name = f"{layer}.{family}"
            if getattr(recipe.widths, family) == 8 and name not in recipe.wider:
                errors[name] = module, error
    model.observe(windows, dict[str, Observer](errors.values()), {})
    return sorted(errors, key=lambda name: (-errors[name][1].relative, name))


def _rows(model: FloatModel, smoothing: Smoothing, layer: int) -> dict[str, tuple[str, RoundingError]]:
    """Rows by family: the module they enter in the float model, and their error to be; not those of single experts."""
    block, ones = f"model.layers.{layer}", torch.ones(smoothing.shape.width, dtype=torch.float64)

    def column_norms(module: str) -> Tensor:
        return model.weight(f"{block}.{module}").double().square().sum(dim=0).sqrt()

    # Rows that enter a norm are rounded before its gain is applied, which is part of the weights.
    found = {
        family: (f"{block}.{norm}", RoundingError(ones, model.weight(f"{block}.{norm}").double()))
        for family, norm in (("attention_input", "input_layernorm"), ("mlp_input", "post_attention_layernorm"))
    }
    read = [("attention_output", "self_attn.o_proj", "output"), ("down", "mlp.down_proj", "down")]
    for family, module, name in read[:1] if smoothing.shape.experts else read:
        error = RoundingError(1 / smoothing.read(layer, name), column_norms(module))
        found[family] = f"{block}.{module}", error
    return found
