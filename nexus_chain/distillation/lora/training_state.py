"""A checkpoint: everything that the rest of a training depends on, so that going on changes no bit of the adapter."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nexus_chain.distillation.lora.metrics import TrainingMetrics


@dataclass(frozen=True)
class TrainingState:
    """Where a training is: ``step`` of the optimiser within ``epoch`` (both from 0), and the losses so far in it.

    ``adapter``: tensors by name; ``random``: torch's random state, one a process.
    """

    identity: str
    epoch: int
    step: int
    loss_sum: float
    loss_tokens: int
    adapter: dict[str, Tensor]
    optimiser: dict[str, Any]
    random: list[Tensor]
    metrics: tuple[TrainingMetrics, ...]

    def save(self, path: Path) -> None:
        """Write it at once or not at all, on the disk before this returns. Raises OSError."""
        content = {**self.__dict__, "metrics": [asdict(one) for one in self.metrics]}
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with draft.open("wb") as file:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path, identity: str) -> TrainingState | None:
        """The checkpoint of this very training; None where there is none, or one that cannot be read."""
        try:
            content = torch.load(path, weights_only=True)
            metrics = tuple(TrainingMetrics(**one) for one in content["metrics"])
            state = cls(**{**content, "metrics": metrics})
        except Exception:  # noqa: BLE001  # whatever a damaged file makes torch raise: the training starts again
            return None
        return state if state.identity == identity else None
