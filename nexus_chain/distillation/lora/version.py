"""A version of a model: what made it, what it is, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nexus_chain.distillation.lora.accuracy import MeasuredAccuracy
from nexus_chain.distillation.lora.config import TrainingConfig
from nexus_chain.distillation.lora.errors import LearnedVersionError
from nexus_chain.distillation.lora.metrics import TrainingMetrics

BASE_VERSION = 0


@dataclass(frozen=True)
class LearnedVersion:
    """Version 0 is the base model itself: it has no adapter, no parent and no config.

    ``base_model``: its folder; ``training_date``: seconds since 1970; ``avg_confidence``: of the examples, 0 to 1.
    ``validation_accuracy``: 0 to 1, None until it is measured; ``measured``: right answers and all.
    ``model_path``: the adapter's folder. ``parent``: the version that was deployed when this one was trained.
    """

    version: int
    base_model: str
    training_date: float
    num_examples: int
    avg_confidence: float
    model_path: str
    base_sha256: str
    measured: MeasuredAccuracy | None = None
    adapter_sha256: str = ""
    parent: int | None = None
    config: TrainingConfig | None = None
    dataset_sha256: str = ""
    held_out_sha256: str = ""
    cpu_class: str = ""
    metrics: tuple[TrainingMetrics, ...] = ()

    @property
    def validation_accuracy(self) -> float | None:
        """Share of held-out problems that it answers right; None: not measured yet."""
        return float(self.measured.value) if self.measured else None

    def to_json(self) -> dict[str, Any]:
        """Every field, as JSON's own types."""
        return {**asdict(self), "config": self.config.to_json() if self.config else None}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> LearnedVersion:
        """The version that ``to_json`` wrote. Raises LearnedVersionError."""
        try:
            measured, config = document["measured"], document["config"]
            return cls(
                **{
                    **document,
                    "measured": MeasuredAccuracy(**measured) if measured else None,
                    "config": TrainingConfig.from_json(config) if config else None,
                    "metrics": tuple(TrainingMetrics(**one) for one in document["metrics"]),
                }
            )
        except (KeyError, TypeError) as cause:
            raise LearnedVersionError(
                f"a version cannot be read ({cause})", advice="Restore the registry's file."
            ) from cause
