"""Choosing an import's recipe: the least change that meets the gate on the calibration text.

Three choices are tried in order: the recipe as it is, smoothing, and 15 bits for rows. The rows that lose most by
rounding are widened first, and no more of them than needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from torch import Tensor

from nexus_chain.program import IntegerModel, Program, Recipe, import_checkpoint
from nexus_chain.program.memory_check import require_memory
from nexus_chain.quality.balance import smoothing
from nexus_chain.quality.comparison import Comparison, compare
from nexus_chain.quality.float_model import FloatModel
from nexus_chain.quality.held_out import SampleMeasurement, measure
from nexus_chain.quality.rounding import rounding_order


@dataclass(frozen=True)
class Choice:
    """A recipe, the model it makes, and how that compares."""

    recipe: Recipe
    model: IntegerModel
    comparison: Comparison


@dataclass
class _Selection:
    checkpoint: Path
    float_model: FloatModel
    windows: Sequence[Tensor]
    tried: Callable[[str], None]

    @cached_property
    def real(self) -> SampleMeasurement:
        return measure(self.float_model, self.windows, unit=1.0)

    def attempt(self, recipe: Recipe, what: str) -> Choice:
        return self.measure_model(recipe, import_checkpoint(self.checkpoint, recipe=recipe), what)

    def measure_model(self, recipe: Recipe, model: IntegerModel, what: str) -> Choice:
        choice = Choice(recipe, model, compare(model, self.real, self.windows))
        self.tried(f"{what}: perplexity {choice.comparison.relative_increase:+.3%}")
        return choice

    def smooth(self, plain: Choice) -> Choice:
        shape = plain.model.program.shape
        return self.attempt(
            replace(plain.recipe, smoothing=smoothing(self.float_model, shape, self.windows)), "smoothed"
        )

    def widen(self, best: Choice, gate: float) -> Choice:
        """The fewest rows of 15 bits, in the order of what they lose, that meet the gate; else the best attempt."""
        order = rounding_order(self.float_model, best.model.program.shape, best.recipe, self.windows)
        widest = self.attempt(_wider(best.recipe, order), "every row with 15 bits")
        if widest.comparison.relative_increase > gate:
            return min(best, widest, key=lambda choice: choice.comparison.relative_increase)
        low, high = 0, len(order)  # the gate is missed with ``low`` rows widened and met with ``high``
        while high - low > 1:
            middle = (low + high) // 2
            choice = self.attempt(_wider(best.recipe, order[:middle]), f"{middle} rows with 15 bits")
            if choice.comparison.relative_increase <= gate:
                high, widest = middle, choice
            else:
                low = middle
        return widest


def choose_recipe(
    checkpoint: Path,
    windows: Sequence[Tensor],
    gate: float,
    *,
    start: Recipe | None = None,
    fixed: bool = False,
    tried: Callable[[str], None] = lambda line: None,
    accepted: Callable[[Program], None] = lambda program: None,
) -> Choice:
    """The least change to ``start`` (defaults) whose relative increase of perplexity is within ``gate``.

    ``windows`` are i64[n + 1] each; ``fixed``: only measure ``start``; ``tried`` is told of every attempt.
    ``accepted`` raises for a program that nobody could use, before minutes of measuring.
    Where nothing meets the gate the best attempt comes back, so look at its comparison. Raises what
    importing raises, and :class:`FloatModelError`.
    """
    recipe = start or Recipe()
    model = import_checkpoint(checkpoint, recipe=recipe)  # before transformers makes up what may be missing
    accepted(model.program)
    require_memory(model.program, bytes_per_weight=4, purpose="Comparing this model with float32")
    selection = _Selection(checkpoint, FloatModel(checkpoint), windows, tried)
    best = selection.measure_model(recipe, model, "as it is")
    if best.comparison.relative_increase <= gate or fixed:
        return best
    smooth = selection.smooth(best)
    best = min(best, smooth, key=lambda choice: choice.comparison.relative_increase)
    return best if best.comparison.relative_increase <= gate else selection.widen(best, gate)


def _wider(recipe: Recipe, names: Sequence[str]) -> Recipe:
    """``recipe`` with the named rows and those of the head, which come once a token, widened."""
    return replace(recipe, widths=replace(recipe.widths, head=15), wider=tuple(sorted({*recipe.wider, *names})))
