"""What a training is told: every choice that its adapter depends on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from nexus_chain.distillation.lora.errors import TrainingConfigError

#: The linear layers of a decoder of the llama family.
LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class TrainingConfig:
    """Names and defaults of the design, and what a repetition needs besides.

    ``model_name``: the base model's folder; ``dataset_path``: chat JSONL. ``batch_size``: examples in one pass;
    ``gradient_accumulation``: passes in one step of the optimiser. ``warmup``: the share of all steps in which the
    learning rate rises; afterwards it falls to 0. ``max_length``: tokens of prompt and answer together.
    ``checkpoint_steps``: steps between two checkpoints. ``processes``: more than one are started by ``torchrun``.
    ``threads``: of each process; another number may give another adapter. Raises TrainingConfigError.
    """

    model_name: str
    dataset_path: str
    lora_rank: int = 8
    lora_alpha: int = 16
    learning_rate: float = 3e-4
    batch_size: int = 4
    num_epochs: int = 3
    seed: int = 0
    target_modules: tuple[str, ...] = LINEAR_LAYERS
    lora_dropout: float = 0.05
    warmup: float = 0.1
    gradient_accumulation: int = 1
    max_length: int = 256
    checkpoint_steps: int = 25
    threads: int = 1
    processes: int = 1

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            _require(_is_positive(getattr(self, name)), f"{name} is {getattr(self, name)!r}, and has to be above 0")
        for name in ("lora_dropout", "warmup"):
            _require(0 <= getattr(self, name) < 1, f"{name} is {getattr(self, name)}, and has to be from 0 to below 1")
        _require(math.isfinite(self.learning_rate), "learning_rate is not finite")
        _require(0 <= self.seed < 2**32, f"seed is {self.seed}, and has to be from 0 to below 2**32")
        _require(bool(self.target_modules), "target_modules names no layer")
        _require(self.batch_size >= self.processes, "batch_size is below processes: some would have nothing to do")

    def to_json(self) -> dict[str, Any]:
        """Every field, as JSON's own types."""
        return {**asdict(self), "target_modules": list(self.target_modules)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TrainingConfig:
        """The config that ``to_json`` wrote. Raises TrainingConfigError."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(document) - known):
            raise _error(f"{unknown[0]} is no setting of a training")
        try:
            return cls(**{**document, "target_modules": tuple(document.get("target_modules", LINEAR_LAYERS))})
        except TypeError as cause:
            raise _error(f"the settings cannot be read ({cause})") from cause

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Of the step numbered ``step`` from 0, of ``steps`` in all: up in a line, then down to 0 in a line."""
        rising = max(1, round(self.warmup * steps))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        return self.learning_rate * (steps - step) / max(1, steps - rising + 1)


_POSITIVE = (
    *("lora_rank", "lora_alpha", "learning_rate", "batch_size", "num_epochs", "gradient_accumulation"),
    *("max_length", "checkpoint_steps", "threads", "processes"),
)


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise _error(problem)


def _error(problem: str) -> TrainingConfigError:
    return TrainingConfigError(problem, advice="Correct the training's configuration.")
