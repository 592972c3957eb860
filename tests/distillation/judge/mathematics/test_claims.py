"""The judge against the labelled claims: nothing false is proved, and what can be decided is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.distillation.judge.mathematics.claim import MathematicsClaim, MathematicsScope
from nexus_chain.distillation.judge.mathematics.judge import judge_mathematics
from nexus_chain.distillation.judge.solvers import SolverLimits, Solvers
from nexus_chain.distillation.judge.verdict import Outcome
from scripts.judge_claims.mathematics import claims

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "judge" / "mathematics.jsonl"
CLAIMS = claims()
SHORT = SolverLimits(z3_rlimit=100_000, cvc5_rlimit=10_000)
"""For claims that no solver decides: they are unknown sooner."""


def _outcome(labelled: dict[str, Any], solvers: Solvers) -> Outcome:
    body = labelled["claim"]
    scope = MathematicsScope(body["scope"])
    return judge_mathematics(
        MathematicsClaim(body["response"], body["expected"], body["domain"], scope), solvers
    ).outcome


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, Outcome]]:
    with Solvers() as full, Solvers(SHORT) as short:
        yield {one["id"]: _outcome(one, full if one["decidable"] else short) for one in CLAIMS}


def test_nothing_is_proved_that_is_not_true(outcomes: dict[str, Outcome]) -> None:
    assert not [one for one in CLAIMS if outcomes[one["id"]] is Outcome.PROVED and one["label"] != "true"]


def test_nothing_true_is_refuted(outcomes: dict[str, Outcome]) -> None:
    assert not [one for one in CLAIMS if outcomes[one["id"]] is Outcome.REFUTED and one["label"] != "false"]


def test_what_can_be_decided_is(outcomes: dict[str, Outcome]) -> None:
    right = {"true": Outcome.PROVED, "false": Outcome.REFUTED}
    decidable = [one for one in CLAIMS if one["decidable"]]
    missed = [one["claim"] for one in decidable if outcomes[one["id"]] is not right[one["label"]]]
    assert len(missed) <= 0.05 * len(decidable), missed


def test_the_claims_are_those_in_the_repository() -> None:
    assert [json.loads(line) for line in VECTORS.read_text().splitlines()] == CLAIMS
    assert len(CLAIMS) >= 200
    assert len({one["id"] for one in CLAIMS}) == len(CLAIMS)
    assert {one["label"] for one in CLAIMS} == {"true", "false", "undecidable", "malformed", "vacuous"}
