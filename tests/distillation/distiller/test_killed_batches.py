"""A batch that is killed at any moment goes on where it was, and nobody is asked, or paid, twice."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.distillation.distiller.distillation_journal import AskingCosts, DistillationJournal
from nexus_chain.distillation.distiller.source_record import SourceHistory, SourceRecord
from nexus_chain.distillation.judge.verdict import Outcome
from tests.support import distilling_process
from tests.support.counting_teacher import CountingTeacher, counting_teacher
from tests.support.distilling_process import NAMES, requests

REQUESTS = 12
PAIRS = {(name, request.prompt) for name in NAMES for request in requests(REQUESTS)}


@pytest.fixture
def teacher() -> Iterator[tuple[CountingTeacher, str]]:
    with counting_teacher() as one:
        yield one


def start(folder: Path, address: str, again: bool) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        distilling_process.__file__,
        str(folder),
        address,
        str(REQUESTS),
        "again" if again else "never",
    ]
    root = Path(distilling_process.__file__).parents[2]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root, env={"PYTHONPATH": str(root)}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, _ = process.communicate("go\n", timeout=120)
    return process.returncode, out


def killed_again_and_again(
    folder: Path, teacher: CountingTeacher, address: str, again: bool, seed: int
) -> dict[str, Any]:
    """Kill at random requests, before or after their reply, until a run gets through; what that run says."""
    chance = random.Random(seed)
    for _ in range(5):
        process = start(folder, address, again)
        teacher.kill_at(process.pid, chance.randint(1, 9), replies_first=chance.random() < 0.5)
        code, out = finish(process)
        if code == 0:
            found: dict[str, Any] = json.loads(out)
            return found
        assert code == -9
    teacher.spare()
    code, out = finish(start(folder, address, again))
    assert code == 0
    last: dict[str, Any] = json.loads(out)
    return last


def kept(folder: Path) -> tuple[AskingCosts, dict[tuple[str, str], Outcome]]:
    """Costs, and the outcome of each verdict by (source, prompt)."""
    with DistillationJournal(folder / "journal") as journal:
        prompts = {request.id: request.prompt for request in requests(REQUESTS)}
        found = journal.verdicts.of_requests(prompts)
        return journal.costs(), {(one.source, prompts[one.request]): one.verdict.outcome for one in found}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nobody_is_asked_twice(tmp_path: Path, teacher: tuple[CountingTeacher, str], seed: int) -> None:
    counting, address = teacher
    said = killed_again_and_again(tmp_path, counting, address, False, seed)
    assert set(counting.asked.values()) == {1}
    assert len(said["best"]) == REQUESTS
    costs, verdicts = kept(tmp_path)
    # "asked" is written first, so a kill may come before the request left: never the other way round.
    assert costs.answered + costs.lost == len(PAIRS)
    assert set(counting.asked) <= PAIRS
    assert costs.answered <= len(counting.asked) <= len(PAIRS)
    assert costs.cost_usd == Decimal("0.01") * costs.answered
    assert len(verdicts) == costs.answered
    lost_right_answers = sum(("two", request.prompt) not in verdicts for request in requests(REQUESTS))
    assert said["best"].count(None) == lost_right_answers
    record = SourceRecord(tmp_path / "record")
    assert record.history("two", "math") == SourceHistory(REQUESTS - lost_right_answers, 0)
    record.close()


def test_where_the_policy_allows_it_lost_answers_are_asked_for_again(
    tmp_path: Path, teacher: tuple[CountingTeacher, str]
) -> None:
    counting, address = teacher
    said = killed_again_and_again(tmp_path, counting, address, True, 4)
    costs, verdicts = kept(tmp_path)
    assert said["best"] == ["two"] * REQUESTS
    assert set(verdicts) == set(counting.asked) == PAIRS
    assert costs.answered == len(PAIRS)
    # Every question beyond the first was for an answer that was lost, and the journal counts those.
    assert counting.asked.total() - len(PAIRS) <= costs.lost
    assert costs.cost_usd == Decimal("0.01") * len(PAIRS)


def test_a_whole_run_after_a_whole_run_asks_nobody(tmp_path: Path, teacher: tuple[CountingTeacher, str]) -> None:
    counting, address = teacher
    runs = [finish(start(tmp_path, address, False)) for _ in range(2)]
    assert [code for code, _ in runs] == [0, 0]
    first, second = (json.loads(out) for _, out in runs)
    assert (first["resumed"], second["resumed"]) == (0, REQUESTS)
    assert first["best"] == second["best"] == ["two"] * REQUESTS
    assert counting.asked == dict.fromkeys(PAIRS, 1)
