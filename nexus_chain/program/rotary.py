"""Rotary embeddings: how far each pair of a head turns per position, as configurations state it.

Angles become a committed table at import, so any scaling is possible that does not depend on the length of the
text, within the context. Frequencies are computed in float64: in float32 the last bit of a power differs
between processors, and a table entry with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Parameters = Mapping[str, Any]  # rope_parameters of config.json


@dataclass(frozen=True)
class Rotation:
    """Radians per position of every pair, f64[D/2], and the factor of queries and of keys."""

    frequencies: Tensor
    factor: float = 1.0


def plain_frequencies(head_dim: int, theta: float) -> Tensor:
    """``theta^(-2i/D)`` f64[D/2]."""
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim
    return torch.pow(theta, -exponents)


def scaled_rotation(kind: str, head_dim: int, theta: float, parameters: Parameters) -> Rotation:
    """The rotation of a kind in :data:`SCALINGS`; KeyError, TypeError or ValueError for unusable parameters."""
    found = SCALINGS[kind](plain_frequencies(head_dim, theta), theta, parameters)
    if not (bool(torch.isfinite(found.frequencies).all()) and math.isfinite(found.factor)):
        raise ValueError("angles are not finite")
    return found


def _default(plain: Tensor, theta: float, parameters: Parameters) -> Rotation:
    return Rotation(plain)


def _dynamic(plain: Tensor, theta: float, parameters: Parameters) -> Rotation:
    """Pairs are slowed down past the positions that the network was made for only, and no program has those."""
    float(parameters["factor"])
    return Rotation(plain)


def _linear(plain: Tensor, theta: float, parameters: Parameters) -> Rotation:
    return Rotation(plain / float(parameters["factor"]))


def _llama3(plain: Tensor, theta: float, parameters: Parameters) -> Rotation:
    """Slow pairs are slowed down by ``factor``, fast ones stay, those between are blended by turns made."""
    low, high = float(parameters["low_freq_factor"]), float(parameters["high_freq_factor"])
    original = float(parameters["original_max_position_embeddings"])
    if not 0 < low < high or original <= 0:
        raise ValueError(f"low_freq_factor {low}, high_freq_factor {high} or original length {original}")
    turns = original * plain / (2 * math.pi)
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return Rotation(plain * (kept + (1 - kept) / float(parameters["factor"])))


def _yarn(plain: Tensor, theta: float, parameters: Parameters) -> Rotation:
    """Blended by the pair's number between those that make ``beta_slow`` and ``beta_fast`` turns."""
    size, factor = 2 * len(plain), float(parameters["factor"])
    original = float(parameters["original_max_position_embeddings"])

    def pair_with(turns: float) -> float:
        return size * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))

    first, last = pair_with(parameters.get("beta_fast") or 32), pair_with(parameters.get("beta_slow") or 1)
    if parameters.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, size - 1)
    pairs = torch.arange(len(plain), dtype=torch.float64)
    slowed = ((pairs - first) / (last - first or 0.001)).clamp(0, 1)
    return Rotation(plain * (1 - slowed + slowed / factor), _yarn_factor(factor, parameters))


def _yarn_factor(factor: float, parameters: Parameters) -> float:
    """What queries and keys are multiplied by, so that attention over a longer text stays as sharp."""
    if (stated := parameters.get("attention_factor")) is not None:
        return float(stated)
    scale, scale_all = parameters.get("mscale"), parameters.get("mscale_all_dim")
    if scale and scale_all:
        return _sharpening(factor, float(scale)) / _sharpening(factor, float(scale_all))
    return _sharpening(factor, 1.0)


def _sharpening(factor: float, scale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0


#: Kinds of scaling that a table can hold; the others depend on the length of the text.
SCALINGS: Mapping[str, Callable[[Tensor, float, Parameters], Rotation]] = {
    "default": _default,
    "dynamic": _dynamic,
    "linear": _linear,
    "llama3": _llama3,
    "yarn": _yarn,
}

#: Parameters that say the same for every kind, or nothing.
_ANY = ("rope_type", "type", "rope_theta", "partial_rotary_factor", "original_max_position_embeddings", "finetuned")
#: Parameters of each kind.
PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "default": _ANY,
    "dynamic": (*_ANY, "factor"),
    "linear": (*_ANY, "factor"),
    "llama3": (*_ANY, "factor", "low_freq_factor", "high_freq_factor"),
    "yarn": (*_ANY, "factor", "attention_factor", "mscale", "mscale_all_dim", "beta_fast", "beta_slow", "truncate"),
}
#: Parameters that are numbers.
NUMBERS = (
    "factor", "low_freq_factor", "high_freq_factor", "attention_factor", "mscale", "mscale_all_dim", "beta_fast",
    "beta_slow", "original_max_position_embeddings",
)  # fmt: skip
