"""The labelled claims in Aethel: nothing false is proved, and what can be decided is decided."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.distillation.judge.judge import Judge
from nexus_chain.distillation.judge.solvers import SolverLimits, Solvers
from nexus_chain.distillation.judge.verdict import Outcome, Verdict
from scripts import make_judge_claims

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "judge"
RIGHT = {"true": Outcome.PROVED, "false": Outcome.REFUTED}
LEAST_RECALL = 0.95

Judged = list[tuple[dict[str, Any], Verdict]]


@pytest.fixture(scope="module")
def judged() -> Iterator[Judged]:
    """Every claim with its verdict; hard ones are given up early."""
    lines = (VECTORS / "aethel.jsonl").read_text().splitlines()
    with Solvers(SolverLimits(z3_rlimit=500_000, cvc5_rlimit=50_000)) as solvers:
        judge = Judge(solvers)
        claims = [json.loads(line) for line in lines]
        yield [(one, judge.judge(one["claim"])) for one in claims]


def test_the_set_is_what_its_script_makes() -> None:
    assert make_judge_claims.claims_of("aethel") == (VECTORS / "aethel.jsonl").read_text().splitlines()


def test_the_set_has_every_label(judged: Judged) -> None:
    assert len(judged) >= 150
    assert {one["label"] for one, _ in judged} == make_judge_claims.LABELS


def test_nothing_but_what_is_true_is_proved(judged: Judged) -> None:
    assert not [one["id"] for one, verdict in judged if verdict.outcome is Outcome.PROVED and one["label"] != "true"]
    assert not [one["id"] for one, verdict in judged if verdict.outcome is Outcome.REFUTED and one["label"] != "false"]


def test_what_can_be_decided_is_decided(judged: Judged) -> None:
    decidable = [(one, verdict) for one, verdict in judged if one["decidable"]]
    missed = [one["id"] for one, verdict in decidable if not is_right(one["label"], verdict)]
    assert len(missed) <= (1 - LEAST_RECALL) * len(decidable), missed


def test_vacuous_is_said_of_nothing_else(judged: Judged) -> None:
    assert all(verdict.vacuous == (one["label"] == "vacuous") for one, verdict in judged)


def is_right(label: str, verdict: Verdict) -> bool:
    """Whether the verdict is what the label asks for."""
    return verdict.outcome is RIGHT.get(label, Outcome.UNKNOWN)
