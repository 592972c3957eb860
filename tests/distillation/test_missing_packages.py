"""Whoever lacks a package of an extra is told its name and how to install it, before anything is trained."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nexus_chain.distillation.curriculum.course import curriculum
from nexus_chain.distillation.errors import MissingPackageError
from nexus_chain.distillation.judge.judge import Judge
from nexus_chain.distillation.lora import supervised_training
from nexus_chain.distillation.lora.adapter import apply_adapter, with_adapter
from nexus_chain.distillation.lora.config import TrainingConfig
from nexus_chain.distillation.lora.metrics import TrainingMetrics, draw_metrics
from nexus_chain.distillation.lora.training_job import TrainingJob

pytestmark = pytest.mark.fast

CONFIG = TrainingConfig(model_name="base", dataset_path="examples.jsonl")


@pytest.mark.parametrize("module", ["peft", "matplotlib"])
def test_a_training_does_not_begin_without_what_it_needs_at_its_end(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(supervised_training, "_process", never)
    job = TrainingJob(CONFIG, "base", "00", "00", "held_out.jsonl", "00")
    with pytest.raises(MissingPackageError, match=f"the package {module} is not installed") as refusal:
        supervised_training.run_supervised(job, tmp_path)
    assert "neural-nexus[distillation]" in refusal.value.advice


def test_adapters_and_pictures_name_what_they_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match="peft"):
        with_adapter(None, CONFIG)
    with pytest.raises(MissingPackageError, match="peft"):
        apply_adapter(None, "00", tmp_path)
    with pytest.raises(MissingPackageError, match="matplotlib"):
        draw_metrics([TrainingMetrics(1, 1.0, 0.5, 2.0, 0.0)], tmp_path / "metrics.png")


def test_solvers_have_the_names_that_pip_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "z3", None)
    with pytest.raises(MissingPackageError, match="the package z3-solver is not installed"):
        Judge()


def test_generators_of_problems_are_in_an_extra_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(MissingPackageError) as refusal:
        curriculum(987_654_321, training=1, held_out=1)
    assert "neural-nexus[curriculum]" in refusal.value.advice
