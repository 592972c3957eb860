"""The page of benchmarks shows what records say, with their machine and commit, and no other figure."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.bench.engine import Timing
from scripts.bench.real_speed import SIDES, speeds_of
from scripts.bench.record import write_record
from scripts.write_benchmarks import BENCHMARKS, NOTES, Row, measured_here, note, noted, page

SERVING = {"nodes_tokens_per_second": 1420.72, "engine_tokens_per_second": 1590.13, "bar": 0.6}


def serving(folder: Path) -> Row:
    (row,) = [row for row in measured_here(folder) if row.command == "make bench-serving"]
    return row


def test_a_record_says_machine_commit_and_day(tmp_path: Path) -> None:
    run = write_record(tmp_path / "new" / "serving.json", SERVING)["run"]
    assert set(run) == {"processor", "generation", "instructions", "cores", "load", "commit", "date"}
    assert len(run["commit"].rstrip("+")) == 7 or run["commit"] == "unknown"


def test_a_row_has_both_sides_their_ratio_and_the_circumstances(tmp_path: Path) -> None:
    run = {"processor": "Intel(R) Xeon(R) Processor", "commit": "abc1234", "date": "2026-11-29"}
    (tmp_path / "serving.json").write_text(json.dumps(SERVING | {"run": run}))
    row = serving(tmp_path)
    assert (row.this, row.baseline, row.ratio, row.bar) == ("1421", "1590", "0.893", "≥ 0.6")
    assert (row.machine, row.commit, row.date) == ("X", "abc1234", "2026-11-29")


def test_processors_of_one_name_are_told_apart_by_their_generation(tmp_path: Path) -> None:
    run = {"processor": "AMD EPYC", "generation": "25.17", "commit": "abc1234", "date": "2026-11-30"}
    for generation, letter in {"25.17": "Z", "99.1": "AMD EPYC"}.items():
        (tmp_path / "serving.json").write_text(json.dumps(SERVING | {"run": run | {"generation": generation}}))
        assert serving(tmp_path).machine == letter


def test_a_run_that_was_not_asked_for_has_no_row(tmp_path: Path) -> None:
    run = {"processor": "AMD EPYC", "commit": "abc1234", "date": "2026-11-30"}
    learned = {"accuracy_before": 0.04, "accuracy_after": 0.77, "interval": [0.719, 0.814], "seconds": 3307.0}
    partial = {"poisoned_accuracy_after": None, "unjudged_accuracy_after": 0.5, "run": run}
    (tmp_path / "distill.json").write_text(json.dumps(learned | partial))
    shown = [(row.this, row.baseline) for row in measured_here(tmp_path) if row.command == "make bench-distill"]
    assert shown == [("77.0 %", "4.0 %"), ("50.0 %", "4.0 %"), ("3 307", "")]


def test_without_a_record_nothing_is_claimed(tmp_path: Path) -> None:
    rows = measured_here(tmp_path)
    assert [row.this for row in rows] == ["not measured here"] * len(BENCHMARKS)


def test_a_record_that_names_no_commit_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "serving.json").write_text(json.dumps(SERVING))
    assert serving(tmp_path).this == "not measured here"


def test_noting_twice_notes_once(tmp_path: Path) -> None:
    notes = tmp_path / "measurements.jsonl"
    notes.write_text("")
    rows = [Row("what", "1", command="make x", machine="X", commit="abc1234"), Row("other")]
    note(rows, notes)
    note(rows, notes)
    assert noted(notes) == rows[:1]


def test_the_notes_are_on_the_page() -> None:
    rows = noted(NOTES)
    shown = page([], rows)
    assert rows
    assert all(row.this in shown and row.machine and row.commit for row in rows)


def test_the_chat_models_speed_is_shown_against_each_other_side(tmp_path: Path) -> None:
    timings = {name: [Timing(2.0 + place, 0.5)] * 3 for place, name in enumerate(SIDES)}
    write_record(tmp_path / "real_speed.json", speeds_of(timings, 512))
    rows = [row for row in measured_here(tmp_path) if row.command == "make bench-real-speed"]
    assert [(row.this, row.baseline, row.ratio) for row in rows] == [
        *[("2", "2", "1")] * 3, ("256", "170.7", "1.5"), ("256", "128", "2"), ("256", "102.4", "2.5")
    ]  # fmt: skip
