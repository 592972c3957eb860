"""What an audit would refuse is refused before anybody is paid or anything is trained; what was lost is billed so."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.certificates.errors import DistillationRecordError
from nexus_chain.distillation.curriculum.course import Curriculum, curriculum
from nexus_chain.distillation.curriculum.problems import GeneratorSettings
from nexus_chain.distillation.distiller.distillation_journal import AskingCosts, SourceBill
from nexus_chain.distillation.memory.example import TrainingDataset, VerifiedExample
from nexus_chain.workflows.learning import run
from nexus_chain.workflows.learning.certifying import bills_of
from nexus_chain.workflows.learning.collecting import CollectedAnswers
from nexus_chain.workflows.learning.plan import DistillationPlan, RunFolder

pytestmark = pytest.mark.fast

LETTERS = GeneratorSettings("letter_counting", {"min_words": 3, "max_words": 4}, category="logic")
PLAN = DistillationPlan("", Path("base"), "tiny", "1.1.0", training=3, held_out=3, generators=(LETTERS,), seed=1)
BILL = SourceBill("oracle", "local", AskingCosts(Decimal("0.02"), answered=3, failed=1, lost=2))


class _NoJudge:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("it went on")


def collected(*examples: VerifiedExample) -> CollectedAnswers:
    return CollectedAnswers(TrainingDataset(examples, len(examples), 1.0, {}, True), (), (BILL,), len(examples))


def example(prompt: str, response: str = "3") -> VerifiedExample:
    return VerifiedExample.of(prompt, response, source="oracle", confidence=1.0, category="logic", timestamp=1.0)


def learn(tmp_path: Path) -> None:
    parent: Any = None
    run.learn(PLAN, parent, (), RunFolder(tmp_path))


@pytest.fixture(autouse=True)
def stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "Judge", _NoJudge)
    monkeypatch.setattr(run, "evaluate", lambda *_: None)
    monkeypatch.setattr(run, "collect_answers", never)
    monkeypatch.setattr(run, "adapt", never)


def test_an_example_that_is_nearly_a_held_out_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (held_out, *_) = curriculum(1, training=3, held_out=3, generators=(LETTERS,)).held_out
    leaked = collected(example("another"), example(f"  {held_out.prompt.upper()}"))
    monkeypatch.setattr(run, "collect_answers", lambda *_: leaked)
    with pytest.raises(DistillationRecordError, match="a problem of the evaluation set was trained on"):
        learn(tmp_path)


def test_an_example_that_is_there_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "collect_answers", lambda *_: collected(example("How many?"), example(" how  MANY?")))
    with pytest.raises(DistillationRecordError, match="an example is there twice"):
        learn(tmp_path)


def test_a_held_out_problem_that_is_there_twice_is_refused_before_anybody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(*words: Any, **named: Any) -> Curriculum:
        course = curriculum(*words, **named)
        (first, *others) = course.held_out
        return replace(course, held_out=(first, replace(first, prompt=first.prompt.upper()), *others))

    monkeypatch.setattr(run, "curriculum", twice)
    with pytest.raises(DistillationRecordError, match="is there twice"):
        learn(tmp_path)


def test_lost_answers_are_on_the_bill_and_in_the_report() -> None:
    (bill,) = bills_of([BILL], {"oracle": "oracle-1"})
    assert (bill.cost_usd, bill.lost) == ("0.02", 2)
    (row,) = collected().teachers()
    assert (row["cost_usd"], row["lost"]) == ("0.02", 2)
