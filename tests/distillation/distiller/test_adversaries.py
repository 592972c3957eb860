"""Two of four sources lie, the judge can decide, one source is right: the right answer is taken."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_chain.distillation.distiller.distillation_journal import DistillationJournal
from nexus_chain.distillation.distiller.distiller import AutonomousDistiller
from nexus_chain.distillation.distiller.source_record import SourceRecord
from nexus_chain.distillation.judge.solvers import Solvers
from tests.support.arithmetic_tasks import (
    SOURCES,
    ArithmeticJudge,
    ArithmeticTask,
    arithmetic_tasks,
    majority_vote,
    sources_of,
)


@pytest.fixture(scope="module")
def judge() -> Iterator[ArithmeticJudge]:
    with Solvers() as solvers:
        yield ArithmeticJudge(solvers)


def rights(folder: Path, tasks: list[ArithmeticTask], judge: ArithmeticJudge, mode: str) -> tuple[int, int]:
    """Tasks in which the distiller is right, and those in which the majority is."""
    record = SourceRecord(folder / "record")
    with (
        DistillationJournal(folder / "journal") as journal,
        AutonomousDistiller(sources_of(tasks), judge, record, journal) as distiller,
    ):
        results = distiller.distill_batch([task.request(mode) for task in tasks])
    liars = [record.history(name, "math") for name in SOURCES[2:]]
    record.close()
    assert all(history.proved == 0 < history.refuted for history in liars)
    dice = random.Random(7)
    voted = sum(task.is_right(majority_vote(list(task.replies.values()), dice)) for task in tasks)
    return sum(task.is_right(found.best_response) for task, found in zip(tasks, results, strict=True)), voted


@pytest.mark.parametrize("mode", ["formal", "hybrid"])
@pytest.mark.parametrize("colluding", [True, False])
def test_liars_are_outdone(tmp_path: Path, judge: ArithmeticJudge, mode: str, colluding: bool) -> None:
    tasks = arithmetic_tasks(12, 3, colluding=colluding)
    distilled, _ = rights(tmp_path, tasks, judge, mode)
    assert distilled == len(tasks)


def test_the_bar(tmp_path: Path, judge: ArithmeticJudge) -> None:
    tasks = arithmetic_tasks(300, 1)
    distilled, voted = rights(tmp_path, tasks, judge, "formal")
    assert distilled >= 0.99 * len(tasks)
    assert voted <= 0.6 * len(tasks)
