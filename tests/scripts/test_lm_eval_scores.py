"""What is made of lm_eval's two records of a task, and the tasks' own data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.bench.record import ROOT
from scripts.runs.lm_eval_scores import DESCRIPTIONS, TASKS, compared

pytestmark = pytest.mark.fast


def item(number: int, right: float, *likelihoods: float) -> dict[str, Any]:
    return {"doc_id": number, "acc": right, "filtered_resps": [[likelihood, "False"] for likelihood in likelihoods]}


def test_items_are_paired_and_their_choices_compared() -> None:
    asked = [item(1, 1.0, -2.0, -3.0), item(0, 0.0, -1.0, -0.5)]
    real = [item(0, 1.0, -1.0, -1.5), item(1, 1.0, -2.5, -3.0)]
    found = compared(asked, real)
    assert (found["items"], found["gateway"], found["float32"], found["items_apart"]) == (2, 0.5, 1.0, 1)
    assert found["nats"] == {"mean": 0.375, "mean_size": 0.375, "median_size": 0.25, "largest_size": 1.0}


@pytest.mark.parametrize("task", TASKS)
def test_a_task_has_forty_items_with_two_different_choices(task: str) -> None:
    lines = (ROOT / DESCRIPTIONS / f"{task.removeprefix('nexus_')}.jsonl").read_text().splitlines()
    items = [json.loads(line) for line in lines]
    assert len({json.dumps(one) for one in items}) == len(items) == 40
    assert all(len(set(one["choices"])) == 2 and one["right"] in (0, 1) for one in items)
    assert 15 <= sum(one["right"] for one in items) <= 25
