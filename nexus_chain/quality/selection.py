"""Choosing an import's recipe: the least change that is good enough on the calibration text.

Choices are tried from cheap to dear: the recipe as it is, smoothing, 15 bits for rows, and last matrices in two parts.
The rows that lose most by rounding are widened first, and no more of them than needed. Matrices get a second part in
:data:`FINER_STEPS`, only beside rows of 15 bits, for narrow rows lose more than any matrix.

A choice is good enough if perplexity is within the gate and both models find the same token likeliest often enough. The
calibration text has chosen, so other texts may agree less: hence :data:`AGREEMENT`. A choice that is far off on the
first windows is not measured on the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from torch import Tensor

from nexus_chain.program import ActivationBits, IntegerModel, ModelShape, Program, Recipe, import_checkpoint
from nexus_chain.program.blocks import EXPERT_MATRICES, HEAD
from nexus_chain.program.memory_check import require_memory
from nexus_chain.quality.balance import smoothing
from nexus_chain.quality.comparison import Comparison, compare
from nexus_chain.quality.float_model import FloatModel
from nexus_chain.quality.held_out import SampleMeasurement, measure
from nexus_chain.quality.rounding import rounding_order

AGREEMENT = 0.978  # share of predictions with the same likeliest token: more than certificates need, for other texts
PROBED = 2  # windows on which a choice can be found to be far off
FAR_INCREASE, FAR_AGREEMENT = 2, 0.01  # of the gate, and below AGREEMENT: past what chance does to so few windows
#: Matrices that get a second part together. What gains most for its size comes first.
FINER_STEPS = (("value", "output"), ("query", "key"), ("down",), ("up",), ("gate",))


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
    gate: float
    tried: Callable[[str], None]

    @cached_property
    def real(self) -> SampleMeasurement:
        return measure(self.float_model, self.windows, unit=1.0)

    @cached_property
    def probed(self) -> SampleMeasurement:
        return measure(self.float_model, self.windows[:PROBED], unit=1.0)

    def attempt(self, recipe: Recipe, what: str) -> Choice:
        return self.measure_model(recipe, import_checkpoint(self.checkpoint, recipe=recipe), what)

    def measure_model(self, recipe: Recipe, model: IntegerModel, what: str) -> Choice:
        choice = Choice(recipe, model, self._probe(model) or compare(model, self.real, self.windows))
        agreement = choice.comparison.top1_agreement
        self.tried(f"{what}: perplexity {choice.comparison.relative_increase:+.3%}, agreement {agreement:.2%}")
        return choice

    def whole(self, choice: Choice) -> Choice:
        """``choice`` measured on every window."""
        if choice.comparison.tokens == len(self.real.best):
            return choice
        return replace(choice, comparison=compare(choice.model, self.real, self.windows))

    def good(self, choice: Choice) -> bool:
        found = choice.comparison
        return found.relative_increase <= self.gate and found.top1_agreement >= AGREEMENT

    def better(self, *choices: Choice) -> Choice:
        """The choice that is least past the gate; among several within it the one that agrees most."""
        return min(choices, key=self._rank)

    def smooth(self, plain: Choice) -> Choice:
        shape = plain.model.program.shape
        return self.attempt(
            replace(plain.recipe, smoothing=smoothing(self.float_model, shape, self.windows)), "smoothed"
        )

    def widen(self, best: Choice) -> Choice:
        """The fewest rows of 15 bits, in the order of what they lose, that are good enough; else the best attempt."""
        order = rounding_order(self.float_model, best.model.program.shape, best.recipe, self.windows)
        widest = self.attempt(_wider(best.recipe, order), "every row with 15 bits")
        if not self.good(widest):
            return self.better(best, widest)
        low, high = 0, len(order)  # ``low`` rows widened are too few and ``high`` are enough
        while high - low > 1:
            middle = (low + high) // 2
            choice = self.attempt(_wider(best.recipe, order[:middle]), f"{middle} rows with 15 bits")
            if self.good(choice):
                high, widest = middle, choice
            else:
                low = middle
        return widest

    def refine(self, plain: Recipe, best: Choice) -> Choice:
        """The fewest matrices in two parts that are good enough beside rows of 15 bits; else the best attempt."""
        wide = replace(plain, widths=ActivationBits(15, 15, 15, 15, 15), wider=())
        for finer in finer_steps(best.model.program.shape):
            choice = self.attempt(replace(wide, finer=finer), f"{len(finer)} matrices in two parts")
            best = self.better(best, choice)
            if self.good(choice):
                break
        return best

    def _probe(self, model: IntegerModel) -> Comparison | None:
        """What the first windows say of a model that is far off; None of others."""
        if len(self.windows) <= PROBED:
            return None
        found = compare(model, self.probed, self.windows[:PROBED])
        near = found.relative_increase <= FAR_INCREASE * self.gate
        return None if near and found.top1_agreement >= AGREEMENT - FAR_AGREEMENT else found

    def _rank(self, choice: Choice) -> tuple[float, float]:
        past = choice.comparison.relative_increase - self.gate
        return math.inf if math.isnan(past) else max(0.0, past), -choice.comparison.top1_agreement


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
    """The least change to ``start`` (defaults) that keeps the relative increase of perplexity within ``gate``.

    Likeliest tokens must agree as well (:data:`AGREEMENT`). ``windows`` are i64[n + 1] each; ``fixed``: only measure
    ``start``; ``tried`` is told of every attempt. ``accepted`` raises for a program that nobody could use, before
    minutes of measuring. Where nothing is good enough the best attempt comes back, so look at its comparison. Raises
    what importing raises, and :class:`FloatModelError`.
    """
    recipe = start or Recipe()
    model = import_checkpoint(checkpoint, recipe=recipe)  # before transformers makes up what may be missing
    accepted(model.program)
    require_memory(model.program, bytes_per_weight=4, purpose="Comparing this model with float32")
    selection = _Selection(checkpoint, FloatModel(checkpoint), windows, gate, tried)
    first = selection.measure_model(recipe, model, "as it is")
    return selection.whole(first if fixed else _improved(selection, first))


def _improved(selection: _Selection, first: Choice) -> Choice:
    if selection.good(first):
        return first
    best = selection.better(first, selection.smooth(first))
    if not selection.good(best):
        best = selection.widen(best)
    return best if selection.good(best) else selection.refine(first.recipe, best)


def finer_steps(shape: ModelShape) -> Iterator[tuple[str, ...]]:
    """Names of a decoder's matrices in two parts as recipes name them, more with every step; the head is always one.

    Matrices of experts are not among them.
    """
    taken: tuple[str, ...] = (HEAD,)
    for names in FINER_STEPS:
        if shape.experts and set(names) & set(EXPERT_MATRICES):
            return
        taken += tuple(f"{layer}.{name}" for layer in range(shape.layers) for name in names)
        yield tuple(sorted(taken))


def _wider(recipe: Recipe, names: Sequence[str]) -> Recipe:
    """``recipe`` with the named rows and those of the head, which come once a token, widened."""
    return replace(recipe, widths=replace(recipe.widths, head=15), wider=tuple(sorted({*recipe.wider, *names})))
