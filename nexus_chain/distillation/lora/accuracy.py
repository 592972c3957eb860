"""How often a model is right, with the interval that its true accuracy lies in, and when one is better than another.

Figures are decimal and exact to fifty digits: a certificate states them, and every machine has to come to the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal

from nexus_chain.distillation.lora.errors import TrainingDataError

NEEDED_RISE = Decimal("0.05")
"""A version replaces another only if its accuracy is higher by more than this; see component 5 of the design."""
EXACT = Context(prec=50, rounding=ROUND_HALF_EVEN)
_Z = Decimal("1.959963984540054")  # the normal distribution's 97.5 % point


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
    def value(self) -> Decimal:
        """Share of right answers, 0 to 1."""
        return EXACT.divide(Decimal(self.right), Decimal(self.total))

    @property
    def interval(self) -> tuple[Decimal, Decimal]:
        """Both ends of the 95 % interval of Wilson (1927), 0 to 1."""
        c, n, rate, z2 = EXACT, Decimal(self.total), self.value, EXACT.multiply(_Z, _Z)
        middle = c.add(rate, c.divide(z2, 2 * n))
        spread = c.add(c.divide(c.multiply(rate, 1 - rate), n), c.divide(z2, 4 * n * n))
        width, scale = c.multiply(_Z, c.sqrt(spread)), c.add(1, c.divide(z2, n))
        low, high = (c.divide(end, scale) for end in (c.subtract(middle, width), c.add(middle, width)))
        return max(Decimal(0), low), min(Decimal(1), high)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.1%} ({self.right} of {self.total}; 95 % interval {low:.1%} to {high:.1%})"


def is_better(new: MeasuredAccuracy, old: MeasuredAccuracy) -> bool:
    """Whether ``new`` may take the place of ``old``; see ``rises_enough``."""
    return rises_enough(old.value, new.value, new.interval[0])


def rises_enough(old: Decimal, new: Decimal, new_low: Decimal) -> bool:
    """Whether accuracy rises by more than NEEDED_RISE, and ``new_low``, its interval's lower end, is above ``old``."""
    return new - old > NEEDED_RISE and new_low > old
