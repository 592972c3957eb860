"""The labelled claims about Python: none is proved that does not hold, and nearly all that can be decided are."""

from __future__ import annotations

import json
from pathlib import Path

from nexus_chain.distillation.judge.errors import JudgeError
from nexus_chain.distillation.judge.python.claim import parse_python_claim
from nexus_chain.distillation.judge.python.judge import judge_python
from nexus_chain.distillation.judge.sandbox.sandbox import Sandbox
from nexus_chain.distillation.judge.solvers import Solvers
from nexus_chain.distillation.judge.verdict import Outcome
from scripts.judge_claims.python import Row, claims

VECTORS = Path(__file__).parents[3] / "vectors" / "judge" / "python.jsonl"
LABELS = {Outcome.PROVED: "true", Outcome.REFUTED: "false", Outcome.UNKNOWN: "undecidable"}


def test_the_file_holds_the_claims() -> None:
    lines = [json.dumps(row, sort_keys=True, separators=(",", ":")) for row in claims()]
    assert VECTORS.read_text().splitlines() == lines


def test_the_claims_are_many_and_of_all_kinds() -> None:
    rows = claims()
    assert len({row["id"] for row in rows}) == len(rows) >= 150
    assert {row["label"] for row in rows} == {"true", "false", "undecidable", "malformed", "vacuous"}
    assert all(row["decidable"] == (row["label"] in ("true", "false", "vacuous")) for row in rows)


def test_no_claim_is_proved_that_does_not_hold_and_few_are_left_open() -> None:
    sandbox, said = Sandbox(), dict[str, str]()
    with Solvers() as solvers:
        for row in claims():
            said[row["id"]] = judged(row, solvers, sandbox)
    rows = {row["id"]: row for row in claims()}
    false_proved = [name for name, label in said.items() if label == "true" and rows[name]["label"] != "true"]
    false_refuted = [name for name, label in said.items() if label == "false" and rows[name]["label"] == "true"]
    assert (false_proved, false_refuted) == ([], [])
    decidable = [row for row in claims() if row["decidable"]]
    missed = [row["id"] for row in decidable if said[row["id"]] != row["label"]]
    assert len(missed) <= 0.05 * len(decidable), missed
    assert all(said[row["id"]] == "malformed" for row in claims() if row["label"] == "malformed")


def judged(row: Row, solvers: Solvers, sandbox: Sandbox) -> str:
    try:
        verdict = judge_python(parse_python_claim(row["claim"]), solvers, sandbox)
    except JudgeError:
        return "malformed"
    return "vacuous" if verdict.vacuous else LABELS[verdict.outcome]
