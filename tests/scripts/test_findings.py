"""The record of what foreign clients found: counts, and what stays when other clients are asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.conformance.findings import LIVE, SCRIPTED, Finding, report_findings

pytestmark = pytest.mark.fast

PASSED = Finding("one", "a", True)
ARGUED = Finding("one", "b", False, "no tools", reason="there are none")
FAILED = Finding("two", "c", False, "broken")
OVERDUE = Finding("two", "d", True, reason="it cannot be done")


def test_a_check_that_fails_with_a_reason_is_right(tmp_path: Path) -> None:
    assert report_findings([PASSED, ARGUED], tmp_path / "build" / "found.json")


@pytest.mark.parametrize("wrong", [FAILED, OVERDUE])
def test_a_check_that_ends_otherwise_than_it_is_meant_to_is_wrong(wrong: Finding, tmp_path: Path) -> None:
    assert not report_findings([PASSED, wrong], tmp_path / "found.json")


def test_a_record_keeps_what_others_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = tmp_path / "found.json"
    report_findings([FAILED, Finding("one", "a", False, gateway=SCRIPTED)], record)
    report_findings([PASSED, ARGUED], record)
    kept = json.loads(record.read_text())
    assert (kept["checks"], kept["passed"], kept["argued"], kept["wrong"]) == (4, 1, 1, 2)
    report_findings([Finding("two", "c", True), Finding("one", "a", True, gateway=SCRIPTED)], record)
    found = json.loads(record.read_text())["findings"]
    assert [(one["client"], one["gateway"], one["passed"]) for one in found] == [
        ("one", LIVE, True), ("one", LIVE, False), ("two", LIVE, True), ("one", SCRIPTED, True)
    ]  # fmt: skip
    assert "pass      two: c\n" in capsys.readouterr().out


def test_a_record_of_another_shape_is_written_anew(tmp_path: Path) -> None:
    record = tmp_path / "found.json"
    record.write_text('{"findings": [{"client": "one"}]}')
    report_findings([PASSED], record)
    assert json.loads(record.read_text())["checks"] == 1
