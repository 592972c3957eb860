"""What is claimed of a response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class MathematicsScope(StrEnum):
    """What the verdict's outcome is about: the final answer alone, or every step on the way to it too."""

    ANSWER = "answer"
    REASONING = "reasoning"


@dataclass(frozen=True)
class MathematicsClaim:
    """The final answer of ``response`` is equivalent to ``expected`` over ``domain``.

    ``response``: text, with LaTeX or without. ``expected``: an expression (``12+7-5``), an equation or comparisons
    (``x^2 = 4``), a set (``{1, 2}``) or a list (``[1, 2]``); a point stands before decimals. ``domain``: "integers",
    "naturals" (from 0), "rationals", "reals" or a range ("0..100" of integers, "reals 0..1"), for all names or by name.
    """

    response: str
    expected: str
    domain: Mapping[str, str] | str = "integers"
    scope: MathematicsScope = MathematicsScope.ANSWER
