"""What the integer model loses against the float model of the same checkpoint, on the same windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from nexus_chain.engine.engine import Engine
from nexus_chain.program import IntegerModel
from nexus_chain.quality.errors import QualityGateError
from nexus_chain.quality.held_out import SampleMeasurement, measure

GATE = 0.005  # relative increase of perplexity that an import may cost


@dataclass(frozen=True)
class Comparison:
    """Perplexities, and how often both models find the same token likeliest, over ``tokens`` predictions."""

    perplexity_float: float
    perplexity_integer: float
    top1_agreement: float
    tokens: int

    @property
    def relative_increase(self) -> float:
        """How much larger the integer model's perplexity is: 0.005 is half a per cent."""
        return self.perplexity_integer / self.perplexity_float - 1

    def figures(self) -> dict[str, float]:
        """Plain JSON values, under the names that ``metrics.json`` uses."""
        return {
            "perplexity_float32": self.perplexity_float,
            "perplexity_integer": self.perplexity_integer,
            "relative_increase": self.relative_increase,
            "top1_agreement": self.top1_agreement,
            "tokens": self.tokens,
        }


def compare(model: IntegerModel, real: SampleMeasurement, windows: Sequence[Tensor]) -> Comparison:
    """Run an integer model over the windows (i64[n + 1] each) on which the float model measured ``real``."""
    integer = measure(Engine(model.program, model.weights), windows)
    agreement = float((integer.best == real.best).double().mean())
    return Comparison(real.perplexity, integer.perplexity, agreement, len(real.best))


def require_within(relative_increase: float, gate: float) -> None:
    """Raise :class:`QualityGateError` if a relative increase of perplexity is past the gate, or no number."""
    if not relative_increase <= gate:
        raise QualityGateError(
            f"The integer model's perplexity is {relative_increase:+.2%} against float32, past the gate of {gate:+.2%}",
            advice="Give a calibration text of the kind the model was trained on, or accept it with --beyond-gate.",
        )
