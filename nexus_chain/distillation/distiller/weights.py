"""How much proof, agreement and record count."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nexus_chain.distillation.distiller.errors import DistillationRequestError


@dataclass(frozen=True)
class ConfidenceWeights:
    """The three weights of a confidence; each is 0 or more, together they are 1. Raises DistillationRequestError.

    The defaults are those of the design's component 3. Without a proof no confidence exceeds 1 - ``formal``.
    """

    formal: float = 0.5
    consistency: float = 0.3
    history: float = 0.2

    def __post_init__(self) -> None:
        three = (self.formal, self.consistency, self.history)
        if not all(math.isfinite(weight) and weight >= 0 for weight in three) or abs(math.fsum(three) - 1) > 1e-9:
            raise DistillationRequestError(
                f"the weights {self.formal:g}, {self.consistency:g} and {self.history:g} do not sum to 1",
                advice="Give three weights of 0 or more that do.",
            )

    def confidence(self, *, proved: bool, consistency: float, history: float) -> float:
        """formal · proved + consistency + history, weighted; 0..1."""
        parts = (self.formal * proved, self.consistency * consistency, self.history * history)
        return min(1.0, math.fsum(parts))
