"""Second stage: an adapter is trained on the examples, and merged into the parent's float checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nexus_chain.distillation.curriculum.problems import Problem, solves
from nexus_chain.distillation.lora.base_model import float_checkpoint
from nexus_chain.distillation.lora.config import TrainingConfig
from nexus_chain.distillation.lora.supervised_training import TrainingProgress
from nexus_chain.distillation.lora.trainer import HeldOutProblem, LoRATrainer
from nexus_chain.distillation.lora.version import LearnedVersion
from nexus_chain.distillation.memory.persistence import CognitivePersistence
from nexus_chain.program.recipe import RECIPE_FILE
from nexus_chain.workflows.learning.plan import DistillationPlan, RunFolder
from nexus_chain.workflows.observer import SILENT, Advance, TaskObserver


@dataclass(frozen=True)
class Adaptation:
    """``base``: the parent's float checkpoint. ``merged``: the child's. ``config``: as it was trained."""

    version: LearnedVersion
    config: TrainingConfig
    base: Path
    merged: Path


def adapt(
    plan: DistillationPlan,
    held_out: Sequence[Problem],
    folder: RunFolder,
    observer: TaskObserver = SILENT,
) -> Adaptation:
    """Train on the folder's dataset, and merge. An interrupted training goes on from its last checkpoint.

    Raises LoraError: NotEnoughExamplesError, and an overlap with ``held_out`` among them.
    """
    with observer.stage("Reading the parent's floats"):
        base = _base(plan.checkpoint, folder.base)
    config = training_config(plan, base, folder.dataset)
    with CognitivePersistence(folder.memory) as memory, observer.stage("Training the adapter") as advance:
        trainer = LoRATrainer(
            folder.trainings, memory, [_held_out(one) for one in held_out], lambda told: _tell(told, advance)
        )
        version = trainer.train(config, fewest=plan.fewest)  # the known version of this very training, if there is one
    merged = folder.merged(version.adapter_sha256)
    if not merged.is_dir():
        with observer.stage("Merging it into the weights"):
            trainer.merge(version.version, merged)
    return Adaptation(version, config, base, merged)


def _base(checkpoint: Path, folder: Path) -> Path:
    """The parent in floats, with the recipe of its import, which the child takes over."""
    base = float_checkpoint(checkpoint, folder)
    recipe = (checkpoint.parent if checkpoint.is_file() else checkpoint) / RECIPE_FILE
    if base == folder and recipe.is_file():
        shutil.copyfile(recipe, base / RECIPE_FILE)
    return base


def training_config(plan: DistillationPlan, base: Path, dataset: Path) -> TrainingConfig:
    """Every setting of the training."""
    choices = plan.choices
    return TrainingConfig(
        model_name=str(base),
        dataset_path=str(dataset),
        lora_rank=choices.rank,
        lora_alpha=choices.alpha,
        learning_rate=choices.learning_rate,
        batch_size=choices.batch,
        num_epochs=choices.epochs,
        seed=plan.seed,
    )


def _held_out(problem: Problem) -> HeldOutProblem:
    return HeldOutProblem(problem.prompt, problem.answer, lambda text: solves(problem, text))


def _tell(told: TrainingProgress, advance: Advance) -> None:
    if told.step is not None:
        advance(told.step.done, told.step.steps)
