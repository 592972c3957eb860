"""How often a model is right, with the interval that its true accuracy lies in, and when one is better than another."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nexus_chain.distillation.lora.errors import TrainingDataError

_Z95 = 1.959963984540054  # the normal distribution's 97.5 % point
NEEDED_RISE = 0.05
"""A version replaces another only if its accuracy is higher by more than this."""


@dataclass(frozen=True)
class MeasuredAccuracy:
    """``right`` answers of ``total``. Raises TrainingDataError for none."""

    right: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.right <= self.total or self.total == 0:
            raise TrainingDataError(
                f"{self.right} right answers of {self.total} are no measurement", advice="Measure some problems."
            )

    @property
    def value(self) -> float:
        """Share of right answers, 0 to 1."""
        return self.right / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends of Wilson's 95 % interval, 0 to 1."""
        share, n, z = self.value, self.total, _Z95
        middle = share + z * z / (2 * n)
        width = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        scale = 1 + z * z / n
        return max(0.0, (middle - width) / scale), min(1.0, (middle + width) / scale)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.1%} ({self.right} of {self.total}; 95 % interval {low:.1%} to {high:.1%})"


def is_better(new: MeasuredAccuracy, old: MeasuredAccuracy) -> bool:
    """Whether ``new`` rises by more than 5 points, and its interval lies above ``old``'s accuracy."""
    # in whole numbers: 0.05 is no binary fraction
    risen = 100 * (new.right * old.total - old.right * new.total) > 5 * new.total * old.total
    return risen and new.interval[0] > old.value
