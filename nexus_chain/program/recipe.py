"""What an import may choose: every choice that changes the bits of the integer model, and nothing else.

The same checkpoint and recipe give the same program and weights on every machine. Which choices are
good ones is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ActivationBits:
    """Bits (8 or 15) of the rows entering each family of linear ops."""

    attention_input: int = 8
    attention_output: int = 8
    mlp_input: int = 8
    down: int = 15
    head: int = 15


@dataclass(frozen=True)
class Recipe:
    """The choices of one import; the defaults are those of a network without outliers."""

    widths: ActivationBits = ActivationBits()
