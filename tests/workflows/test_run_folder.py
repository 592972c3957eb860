"""A run's folder is one plan's, and remembers who was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from nexus_chain.distillation.curriculum.problems import GeneratorSettings
from nexus_chain.distillation.distiller.adapters import LocalAnswer, LocalSource
from nexus_chain.distillation.distiller.distillation_journal import AskingCosts, SourceBill
from nexus_chain.distillation.distiller.request import VerificationMode
from nexus_chain.workflows.distilling import DescribedSource
from nexus_chain.workflows.learning.certifying import bills_of
from nexus_chain.workflows.learning.errors import OtherPlanError, RunFolderError
from nexus_chain.workflows.learning.kept_choices import keep_models, keep_plan, kept_models
from nexus_chain.workflows.learning.plan import DistillationPlan, RunFolder, TrainingChoices


def _silent(prompt: str) -> LocalAnswer:
    raise AssertionError(f"nobody is asked: {prompt}")


PLAN = DistillationPlan("0xab", Path("checkpoint"), "child", "1.1.0", training=30, held_out=20)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2},
        {"training": 15},
        {"held_out": 21},
        {"parent": "0xcd"},
        {"checkpoint": Path("other")},
        {"mode": VerificationMode.CONSISTENCY},
        {"generators": (GeneratorSettings("letter_counting", {"min_words": 3}),)},
    ],
)
def test_another_plan_is_refused(tmp_path: Path, change: Mapping[str, object]) -> None:
    folder = RunFolder(tmp_path)
    keep_plan(PLAN, folder)
    before = folder.plan.read_bytes()
    with pytest.raises(OtherPlanError, match=f"another plan: {next(iter(change))} was") as caught:
        keep_plan(replace(PLAN, **change), folder)  # type: ignore[arg-type]
    assert "another folder" in caught.value.advice
    assert folder.plan.read_bytes() == before


def test_a_run_without_a_judge_is_another_one(tmp_path: Path) -> None:
    keep_plan(PLAN, RunFolder(tmp_path), judged=False)
    with pytest.raises(OtherPlanError, match="judged was false, and is true now"):
        keep_plan(PLAN, RunFolder(tmp_path))


def test_a_run_that_compares_answers_otherwise_is_another_one(tmp_path: Path) -> None:
    keep_plan(PLAN, RunFolder(tmp_path))
    keep_plan(PLAN, RunFolder(tmp_path), agreement="exact")
    with pytest.raises(OtherPlanError, match='agreement was null, and is "encoder-ab" now'):
        keep_plan(PLAN, RunFolder(tmp_path), agreement="encoder-ab")


def test_the_same_plan_goes_on_and_later_choices_are_free(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    keep_plan(PLAN, folder)
    keep_plan(PLAN, folder)
    keep_plan(replace(PLAN, name="x", version="2.0.0", price=3, choices=TrainingChoices(epochs=9)), folder)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_a_damaged_plan_is_said(tmp_path: Path, text: str) -> None:
    folder = RunFolder(tmp_path)
    folder.plan.write_text(text)
    with pytest.raises(RunFolderError, match="cannot be read"):
        keep_plan(PLAN, folder)


def test_a_source_that_is_not_there_any_more_is_billed_with_its_model(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    first, second = (DescribedSource(LocalSource(name, _silent), f"{name}-7b") for name in ("a", "b"))
    keep_models([first, second], folder)
    keep_models([replace(first, model="a-8b")], folder)
    costs = AskingCosts(Decimal("0.5"), 1, 0, 0)
    bills = bills_of([SourceBill(name, f"host of {name}", costs) for name in ("a", "b", "older")], kept_models(folder))
    assert [(one.name, one.provider, one.model, one.cost_usd) for one in bills] == [
        ("a", "host of a", "a-7b, a-8b", "0.5"),
        ("b", "host of b", "b-7b", "0.5"),
        ("older", "host of older", "unknown", "0.5"),
    ]


@pytest.mark.parametrize("text", ["[]", '{"a": "b"}', '{"a": [1]}'])
def test_damaged_model_names_are_said(tmp_path: Path, text: str) -> None:
    folder = RunFolder(tmp_path)
    folder.models.write_text(text)
    with pytest.raises(RunFolderError, match="cannot be read"):
        keep_models([], folder)
