"""The whole product with real processes: what ``make demo`` says must be true, and add up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def demo() -> tuple[str, dict[str, Any]]:
    """(what the demo printed, its facts)."""
    facts = ROOT / "build" / "demo.json"
    facts.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "scripts.runs.demo"], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, json.loads(facts.read_text())


pytestmark = pytest.mark.timeout(700)


def test_every_answer_was_paid_proven_and_verified(demo: tuple[str, dict[str, Any]]) -> None:
    inferences = demo[1]["inferences"]
    assert [i["mode"] for i in inferences] == ["direct", "session", "session"]
    for inference in inferences:
        assert inference["verified"] is True
        assert inference["completion"].strip()
        assert inference["paid_wei"] > 0
        # Two segments, and more than one chunk each.
        assert inference["receipts"] >= 4


def test_money_is_split_ninety_to_ten_and_none_is_lost(demo: tuple[str, dict[str, Any]]) -> None:
    money = demo[1]["settlement"]
    assert money["nodes_wei"] + money["vault_wei"] == money["total_wei"]
    # Each line's tenth is rounded down by less than a wei; there are at most eight lines.
    assert 0 <= money["total_wei"] - 10 * money["vault_wei"] < 80
    assert money["total_wei"] >= sum(i["paid_wei"] for i in demo[1]["inferences"])
    assert money["refund_wei"] > 0


def test_a_killed_node_changes_no_bit(demo: tuple[str, dict[str, Any]]) -> None:
    assert demo[1]["failover"]["same_bits"] is True
    assert demo[1]["failover"]["killed"] in demo[0]


def test_a_lie_with_perfect_papers_is_found_by_recomputing(demo: tuple[str, dict[str, Any]]) -> None:
    tamper = demo[1]["tamper"]
    assert tamper["detected"] is True
    assert [step.split(":")[0] for step in tamper["failed_steps"]] == ["6 recompute"]


def test_the_certificate_holds(demo: tuple[str, dict[str, Any]]) -> None:
    assert demo[1]["certificate"]["audit_passed"] is True
    assert demo[1]["certificate"]["steps"] == 11
    assert demo[1]["certificate"]["cid"].startswith("baf")


def test_the_facts_are_complete(demo: tuple[str, dict[str, Any]]) -> None:
    facts = demo[1]
    assert facts["tokens_per_second"] > 0
    assert facts["seconds"] > 0
    assert {"open", "payPerInference", "post", "close", "withdraw", "register", "announce", "publish"} <= set(
        facts["gas"]
    )
