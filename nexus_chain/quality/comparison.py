"""What the integer model loses against the float model of the same checkpoint, on the same windows.

Three measures, since each is blind where another sees. Perplexity counts what the text's own next tokens lose; a model
that is wrong in another way may lose nothing there. The divergence counts every token's probability. The agreement
counts how often the likeliest token is the same, which is what an answer at temperature 0 is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any

import torch
from torch import Tensor

from nexus_chain.engine.engine import Engine
from nexus_chain.program import IntegerModel
from nexus_chain.quality.errors import QualityGateError
from nexus_chain.quality.held_out import LOGIT_UNIT, LogitModel, SampleMeasurement, measure

GATE = 0.005  # relative increase of perplexity that an import may cost
LEAST_AGREEMENT = 0.97  # with the gate at GATE; a looser gate allows as many times more disagreement
TIE = 0.1  # nats between the float model's two likeliest tokens, within which neither is the better answer
MOST_DIVERGENCE = 0.01  # nats a prediction, likewise; measured: sound imports 0.0005 to 0.0024, a wrong rope 0.3
RESAMPLES, CONFIDENCE = 2000, 0.95
Interval = tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """Perplexities, and how often both models find the same token likeliest, over ``tokens`` predictions.

    ``divergence``: mean of KL(float || integer) in nats; None where only perplexities were measured. ``fair_agreement``
    is the agreement where a token that the float model finds as likely (within ``TIE``) is no disagreement, since
    small and untrained models have many of these. ``intervals``: of 95 per cent, by the names of :meth:`figures`.
    """

    perplexity_float: float
    perplexity_integer: float
    top1_agreement: float
    tokens: int
    divergence: float | None = None
    fair_agreement: float | None = None
    intervals: tuple[tuple[str, Interval], ...] = ()

    @property
    def relative_increase(self) -> float:
        """How much larger the integer model's perplexity is: 0.005 is half a per cent."""
        return self.perplexity_integer / self.perplexity_float - 1

    def figures(self) -> dict[str, Any]:
        """Plain JSON values, under the names that ``metrics.json`` uses."""
        return {
            "perplexity_float32": self.perplexity_float,
            "perplexity_integer": self.perplexity_integer,
            "relative_increase": self.relative_increase,
            "kl": self.divergence,
            "top1_agreement": self.top1_agreement,
            "top1_agreement_without_ties": self.fair_agreement,
            "tokens": self.tokens,
            "intervals": {name: list(interval) for name, interval in self.intervals},
        }


def compare(model: IntegerModel, real: SampleMeasurement, windows: Sequence[Tensor]) -> Comparison:
    """Run an integer model over the windows (i64[n + 1] each) on which the float model measured ``real``.

    For choosing: the divergence is left out, which would need the float model's logits again.
    """
    integer = measure(Engine(model.program, model.weights), windows)
    agreement = float((integer.best == real.best).double().mean())
    return Comparison(real.perplexity, integer.perplexity, agreement, len(real.best))


def assess(integer: LogitModel, real: LogitModel, windows: Sequence[Tensor], unit: float = LOGIT_UNIT) -> Comparison:
    """All three measures with their intervals, over windows i64[n + 1] that chose nothing.

    ``unit`` is the real value of one integer logit step. Both models run once, a window at a time.
    """
    sums = torch.stack([_sums(integer, real, window, unit) for window in windows])
    tokens, *totals = sums.sum(0).tolist()
    float_loss, integer_loss, divergence, agreed, fair = (total / tokens for total in totals)
    found = {
        "relative_increase": _interval(sums, lambda s: ((s[:, 2] - s[:, 1]) / s[:, 0]).exp() - 1),
        "kl": _interval(sums, lambda s: s[:, 3] / s[:, 0]),
        "top1_agreement": _interval(sums, lambda s: s[:, 4] / s[:, 0]),
    }
    perplexities = exp(float_loss), exp(integer_loss)
    return Comparison(*perplexities, agreed, int(tokens), divergence, fair, tuple(found.items()))


def _sums(integer: LogitModel, real: LogitModel, window: Tensor, unit: float) -> Tensor:
    """f64[6] of a window: predictions, both losses, divergence, agreements without and with ties.

    A vocabulary that was padded at import has rows that no float model has; they are no tokens.
    """
    given, following = window[:-1].to(torch.int32), window[1:, None]
    expected = real.logits(given).to(torch.float64).log_softmax(1)
    found = (integer.logits(given)[:, : expected.shape[1]].to(torch.float64) * unit).log_softmax(1)
    losses = [-float(logs.gather(1, following).sum()) for logs in (expected, found)]
    divergence = float((expected.exp() * (expected - found)).nan_to_num(0.0).sum())
    best = found.argmax(1, keepdim=True)
    agreed = int((expected.argmax(1, keepdim=True) == best).sum())
    fair = int((expected.gather(1, best)[:, 0] >= expected.amax(1) - TIE).sum())
    return torch.tensor([len(following), *losses, divergence, agreed, fair], dtype=torch.float64)


def _interval(sums: Tensor, measure_of: Callable[[Tensor], Tensor]) -> Interval:
    """The bootstrap's interval over windows, the same every time: windows of a text are alike, predictions are not."""
    draws = torch.randint(0, len(sums), (RESAMPLES, len(sums)), generator=torch.Generator().manual_seed(0))
    tail = (1 - CONFIDENCE) / 2
    low, high = measure_of(sums[draws].sum(1)).quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high


def require_within(relative_increase: float, gate: float) -> None:
    """Raise :class:`QualityGateError` if a relative increase of perplexity is past the gate, or no number."""
    if not relative_increase <= gate:
        raise QualityGateError(
            f"The integer model's perplexity is {relative_increase:+.2%} against float32, past the gate of {gate:+.2%}",
            advice="Give a calibration text of the kind the model was trained on, or accept it with --beyond-gate.",
        )


def require_alike(found: Comparison, gate: float) -> None:
    """Raise :class:`QualityGateError` where any of the three measures is past its limit, or no number.

    The limits of agreement and divergence belong to the gate of half a per cent; another ``gate`` scales them.
    """
    least, most = 1 - (1 - LEAST_AGREEMENT) * gate / GATE, MOST_DIVERGENCE * gate / GATE
    divergence = 0.0 if found.divergence is None else found.divergence
    agreement = found.top1_agreement if found.fair_agreement is None else found.fair_agreement
    if agreement >= least and divergence <= most:
        require_within(found.relative_increase, gate)
        return
    raise QualityGateError(
        f"The integer model finds the same best token as float32, or one as likely, in {agreement:.2%} of "
        f"{found.tokens} predictions (at least {least:.2%}), diverges by {divergence:.4f} nats (at most {most:.4f}), "
        f"and its perplexity is {found.relative_increase:+.2%} (at most {gate:+.2%})",
        advice=_advice(found),
    )


def _advice(found: Comparison) -> str:
    """What to do about a model that does not behave alike: by what it lost."""
    if (found.divergence or 0.0) > 10 * MOST_DIVERGENCE or found.top1_agreement < 0.5:
        return (
            "Rounding does not explain this: a field of config.json may be read otherwise than transformers reads it. "
            "Check that the configuration belongs to these weights, report the model, or keep it with --beyond-gate."
        )
    return "Give a calibration text of the kind the model was trained on, or accept it with --beyond-gate."
