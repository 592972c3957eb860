"""What is measured after each epoch, and its picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nexus_chain.distillation.errors import require_packages

MATPLOTLIB = {"matplotlib": "matplotlib"}


@dataclass(frozen=True)
class TrainingMetrics:
    """``epoch`` counts from 1. ``loss``: mean over the epoch, in nats per token of the answers learned.

    ``accuracy``: share of the held-out answers that greedy decoding would give token by token (0 to 1);
    ``perplexity``: of the held-out answers' tokens. ``timestamp``: seconds since 1970.
    """

    epoch: int
    loss: float
    accuracy: float
    perplexity: float
    timestamp: float


def draw_metrics(metrics: Sequence[TrainingMetrics], path: Path) -> None:
    """A PNG of loss, perplexity and accuracy by epoch; it appears whole. Raises OSError, MissingPackageError."""
    require_packages(MATPLOTLIB)
    from matplotlib.figure import Figure  # without pyplot there is no window and no global state

    figure = Figure(figsize=(9, 3), layout="constrained")
    epochs = [one.epoch for one in metrics]
    series = {
        "training loss (nats per token)": [one.loss for one in metrics],
        "held-out perplexity": [one.perplexity for one in metrics],
        "held-out accuracy": [one.accuracy for one in metrics],
    }
    for axes, (title, values) in zip(figure.subplots(1, 3), series.items(), strict=True):
        axes.plot(epochs, values, marker="o")
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("epoch")
        axes.set_xticks(epochs)
        axes.set_ylim(bottom=0)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        figure.savefig(draft, format="png", dpi=120, metadata={"Software": None})
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
