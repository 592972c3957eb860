"""How much each model was used, and how fast it was."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from nexus_chain.distillation.local.models import LocalInferenceResponse

KEPT_LATENCIES = 1000
"""Of each model: the percentiles are those of its last calls."""


@dataclass(frozen=True)
class ModelUsage:
    """Of one model. ``calls``: that were answered; ``failures``: that were not. Latencies in ms: the mean of all calls,
    and percentiles (nearest rank) of the last 1,000. ``tokens_per_second``: over the time of all calls.
    """

    calls: int
    failures: int
    tokens: int
    latency_mean_ms: float
    latency_p50_ms: float
    latency_p95_ms: float
    tokens_per_second: float


@dataclass
class _Count:
    calls: int = 0
    failures: int = 0
    tokens: int = 0
    milliseconds: float = 0.0
    latest: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_LATENCIES))


class UsageStatistics:
    """Counts answers, by model; any thread may."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, _Count] = defaultdict(_Count)
        self._lock = threading.Lock()

    def answered(self, response: LocalInferenceResponse) -> None:
        """Count an answer."""
        with self._lock:
            count = self._counts[response.model]
            count.calls += 1
            count.tokens += response.tokens_generated
            count.milliseconds += response.latency_ms
            count.latest.append(response.latency_ms)

    def failed(self, model: str) -> None:
        """Count a call without an answer."""
        with self._lock:
            self._counts[model].failures += 1

    def by_model(self) -> dict[str, ModelUsage]:
        """What was counted so far."""
        with self._lock:
            return {model: _summary(count) for model, count in self._counts.items()}


def _summary(count: _Count) -> ModelUsage:
    ordered = sorted(count.latest)
    return ModelUsage(
        calls=count.calls,
        failures=count.failures,
        tokens=count.tokens,
        latency_mean_ms=count.milliseconds / count.calls if count.calls else 0.0,
        latency_p50_ms=nearest_rank(ordered, 50),
        latency_p95_ms=nearest_rank(ordered, 95),
        tokens_per_second=1000 * count.tokens / count.milliseconds if count.milliseconds else 0.0,
    )


def nearest_rank(ordered: Sequence[float], percent: int) -> float:
    """The smallest value that at least ``percent`` of all values do not exceed; 0 where there is none."""
    if not ordered:
        return 0.0
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]
