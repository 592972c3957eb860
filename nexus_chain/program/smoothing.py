"""Smoothing of a decoder's channels: powers of two that one matrix multiplies by and the next divides by.

In exact arithmetic nothing changes; in integers an outlier no longer decides the scale of its row.
Groups of layer n: "n.mlp" (channels of the hidden row), or "n.experts.e" for each expert e where a layer
has experts; "n.value" (value heads, read by the output projection); "n.rotary" (pairs of key heads, which a
rotation keeps together, read by the queries; one set for all heads where queries and keys are normalised,
since their gains are shared).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from nexus_chain.program.descriptors import ModelShape
from nexus_chain.program.errors import RecipeError
from nexus_chain.program.recipe import Recipe


def feed_forwards(shape: ModelShape) -> Sequence[int | None]:
    """What computes hidden rows in every layer: its experts by number, or None for the one block of a dense decoder."""
    return range(shape.experts) if shape.experts else (None,)


def hidden_group(layer: int, expert: int | None) -> str:
    """The group of the channels of a hidden row, of an expert or of a dense decoder's block (None)."""
    return f"{layer}.mlp" if expert is None else f"{layer}.experts.{expert}"


def groups(shape: ModelShape) -> dict[str, int]:
    """Name and number of channels of every group of a decoder."""
    pairs = shape.head_dim // 2 * (1 if shape.qk_norm else shape.kv_heads)
    sizes = {"value": shape.kv_heads * shape.head_dim, "rotary": pairs}
    hidden = {
        hidden_group(layer, expert): shape.ffn for layer in range(shape.layers) for expert in feed_forwards(shape)
    }
    return hidden | {f"{layer}.{group}": size for layer in range(shape.layers) for group, size in sizes.items()}


@dataclass(frozen=True)
class Smoothing:
    """What a recipe's smoothing multiplies the channels of a decoder's matrices by."""

    shape: ModelShape
    recipe: Recipe

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.recipe.smoothing) - set(self._sizes)):
            raise RecipeError(
                f"This model has no channels named {unknown[0]}", advice="Choose the smoothing of this import anew."
            )

    def made(self, layer: int, name: str, expert: int | None = None) -> Tensor:
        """Factors f64[N] of the output channels of a projection ("query", "key", "value", "gate" or "up").

        ``expert`` is whose "gate" or "up", in a decoder with experts.
        """
        shape = self.shape
        if name == "up":
            return torch.exp2(self._exponents(hidden_group(layer, expert)))
        if name == "value":
            return torch.exp2(self._exponents(f"{layer}.value"))
        if name in ("query", "key") and not shape.qk_norm:
            pairs = self._exponents(f"{layer}.rotary").view(shape.kv_heads, -1)
            return self._heads(pairs, name).flatten()
        sizes: Mapping[str, int] = {"gate": shape.ffn, "query": shape.heads * shape.head_dim}
        return torch.ones(sizes.get(name, shape.kv_heads * shape.head_dim), dtype=torch.float64)

    def read(self, layer: int, name: str, expert: int | None = None) -> Tensor:
        """Factors f64[K] of the input channels of "output" or an expert's "down"; ones for the others."""
        shape = self.shape
        if name == "down":
            return torch.exp2(-self._exponents(hidden_group(layer, expert)))
        if name == "output":
            heads = self._exponents(f"{layer}.value").view(shape.kv_heads, shape.head_dim)
            return torch.exp2(-heads.repeat_interleave(shape.heads // shape.kv_heads, dim=0).flatten())
        return torch.ones(shape.width, dtype=torch.float64)

    def head_norm(self, layer: int, name: str) -> Tensor:
        """Factors f64[D] of the gain of the norm of "query" or "key" heads."""
        return self._heads(self._exponents(f"{layer}.rotary")[None], name)[0]

    def _heads(self, pairs: Tensor, name: str) -> Tensor:
        """Factors of whole heads from exponents of key pairs f64[G, D/2]: f64[G, D], or f64[H, D] for queries."""
        both = torch.cat([pairs, pairs], dim=1)
        if name == "key":
            return torch.exp2(both)
        shared = 1 if self.shape.qk_norm else self.shape.heads // self.shape.kv_heads
        return torch.exp2(-both.repeat_interleave(shared, dim=0))

    def _exponents(self, group: str) -> Tensor:
        return self.recipe.exponents(group, self._sizes[group])

    @cached_property
    def _sizes(self) -> dict[str, int]:
        return groups(self.shape)
