"""A training that is known is not run again, and its checks are."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_chain.distillation.curriculum.problems import GeneratorSettings, Problem
from nexus_chain.distillation.lora.errors import OverlapError
from nexus_chain.workflows.learning.adapting import adapt
from nexus_chain.workflows.learning.plan import DistillationPlan, RunFolder, TrainingChoices
from tests.support.tiny_chat_model import sums, tiny_base, write_chat

SUMS = GeneratorSettings("chain_sum")


def problem(prompt: str, answer: str) -> Problem:
    return Problem(prompt, answer, "math", 0, SUMS)


def test_a_known_training_is_checked_again_and_not_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()
    write_chat(folder.dataset, sums(range(8)))
    choices = TrainingChoices(epochs=1, batch=4, rank=2)
    plan = DistillationPlan("", tiny_base(tmp_path), "x", "1.0.0", fewest=8, choices=choices)
    held_out = [problem("5 + 6 =", "11")]
    first = adapt(plan, held_out, folder)
    assert adapt(plan, held_out, folder) == first
    with pytest.raises(OverlapError, match="equals example 4"):
        adapt(plan, [*held_out, problem("0 + 3 =", "3")], folder)
