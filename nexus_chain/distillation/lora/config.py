"""What a training is told: every choice that its adapter depends on."""

from __future__ import annotations

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
        for name, (least, most) in _WHOLE_NUMBERS.items():
            value = getattr(self, name)
            fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
            _require(fits, f"{name} is {_short(value)}, and has to be a whole number from {least} to {most}")
        for name in ("lora_dropout", "warmup"):
            value = getattr(self, name)
            _require(
                _is_number(value) and 0 <= value < 1, f"{name} is {_short(value)}, and has to be from 0 to below 1"
            )
        rate = self.learning_rate
        _require(
            _is_number(rate) and 0 < rate <= HIGHEST_LEARNING_RATE,
            f"learning_rate is {_short(rate)}, and has to be above 0 and at most {HIGHEST_LEARNING_RATE:g}",
        )
        _require(
            isinstance(self.target_modules, tuple)
            and 0 < len(self.target_modules) <= MOST_MODULES
            and all(isinstance(name, str) and 0 < len(name) <= LONGEST_MODULE for name in self.target_modules),
            f"target_modules is {_short(self.target_modules)}, and has to be names of layers",
        )
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
        modules = document.get("target_modules", LINEAR_LAYERS)
        try:
            return cls(**{**document, "target_modules": tuple(modules) if isinstance(modules, list) else modules})
        except TypeError as cause:
            raise _error(f"the settings cannot be read ({cause})") from cause

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Of the step numbered ``step`` from 0, of ``steps`` in all: up in a line, then down to 0 in a line."""
        rising = max(1, round(self.warmup * steps))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        return self.learning_rate * (steps - step) / max(1, steps - rising + 1)


_WHOLE_NUMBERS = {
    "lora_rank": (1, 1024),
    "lora_alpha": (1, 1 << 16),
    "batch_size": (1, 4096),
    "num_epochs": (1, 1000),
    "seed": (0, 2**32 - 1),
    "gradient_accumulation": (1, 4096),
    "max_length": (1, 1 << 20),
    "checkpoint_steps": (1, 10**9),
    "threads": (1, 1024),
    "processes": (1, 256),
}
"""The least and the most of each: a certificate's settings are a stranger's, and an auditor trains with them."""
HIGHEST_LEARNING_RATE = 100.0
MOST_MODULES = 64
LONGEST_MODULE = 200
"""Characters."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= HIGHEST_LEARNING_RATE


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**20 else "a number of more than 20 digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise _error(problem)


def _error(problem: str) -> TrainingConfigError:
    return TrainingConfigError(problem, advice="Correct the training's configuration.")
