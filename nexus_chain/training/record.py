"""Whether a certified training record is complete and fits the checkpoint it claims to have made.

It cannot show that the training took place; it shows that the record names every choice and seed,
covers the run from start to end, and speaks of a model of this very shape and size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_chain.json_text import parse_json
from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.versions.errors import TrainedFolderError

_REQUIRED = ("seed", "steps", "batch", "context", "warmup", "weight_decay")
_SHAPE = {  # name in the record: name in config.json
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "num_hidden_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "num_key_value_heads": "num_key_value_heads",
    "vocab_size": "vocab_size",
    "context": "max_position_embeddings",
}
_TOOLS = ("python", "torch", "transformers")


@dataclass(frozen=True)
class CurvePoint:
    """Mean loss in nats per token at a step; ``held_out`` where it was measured."""

    step: int
    training: float
    held_out: float | None


@dataclass(frozen=True)
class CertifiedTraining:
    """How it was trained: every hyperparameter by name (``seed`` among them), and the loss curve."""

    run: dict[str, float]
    parameters: int
    tokens_seen: int
    threads: int
    curve: tuple[CurvePoint, ...]


def check_training(training: CertifiedTraining, toolchain: Mapping[str, str], folder: Path) -> str:
    """A sentence about the record; TrainedFolderError where it is incomplete or contradicts ``folder``.

    ``toolchain``: versions of the programs that trained, by name.
    """
    missing = [name for name in _REQUIRED if name not in training.run]
    missing += [] if any(name.endswith("learning_rate") for name in training.run) else ["a learning rate"]
    missing += [name for name in _TOOLS if name not in toolchain]
    _require(not missing, f"the training record lacks {', '.join(missing)}")
    _check_shape(training, _config(folder))
    _check_curve(training)
    run = training.run
    seen = run["steps"] * run["batch"] * run["context"]
    _require(seen == training.tokens_seen, f"{training.tokens_seen} tokens seen, the run makes {int(seen)}")
    held = Checkpoint(folder).parameters()
    _require(held == training.parameters, f"the checkpoint has {held} parameters, the record {training.parameters}")
    return f"{int(run['steps'])} steps from seed {int(run['seed'])}, {training.parameters} parameters"


def _check_shape(training: CertifiedTraining, config: dict[str, Any]) -> None:
    for name, other in _SHAPE.items():
        recorded, found = training.run.get(name), config.get(other)
        _require(recorded == found, f"{name} is {recorded} in the training record and {found} in config.json")


def _check_curve(training: CertifiedTraining) -> None:
    steps = [point.step for point in training.curve]
    _require(bool(steps) and steps == sorted(set(steps)) and steps[0] > 0, "the loss curve's steps do not ascend")
    _require(steps[-1] == training.run["steps"], f"the loss curve ends at step {steps[-1]}")
    _require(training.curve[-1].held_out is not None, "the loss curve ends without a held-out loss")
    losses = [point.training for point in training.curve]
    losses += [point.held_out for point in training.curve if point.held_out is not None]
    _require(min(losses) > 0, "the loss curve has a loss that is not positive")


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = parse_json((folder / "config.json").read_bytes())
    except ValueError as error:
        raise _finding("config.json is not JSON") from error
    _require(isinstance(config, dict), "config.json is no JSON object")
    return dict(config)


def _finding(problem: str) -> TrainedFolderError:
    return TrainedFolderError(problem, advice="Do not rely on the training record")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise _finding(problem)
