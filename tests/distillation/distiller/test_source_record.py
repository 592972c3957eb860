"""A source's record: few observations weigh little, nothing counts twice, and it outlives its process."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.distillation.distiller.errors import DistillationJournalError
from nexus_chain.distillation.distiller.source_record import RecordObservation, SourceHistory, SourceRecord
from nexus_chain.distillation.judge.verdict import Outcome


@pytest.fixture
def record(tmp_path: Path) -> Iterator[SourceRecord]:
    opened = SourceRecord(tmp_path / "record.sqlite3")
    yield opened
    opened.close()


def seen(
    question: str, outcome: Outcome = Outcome.PROVED, source: str = "a", category: str = "math"
) -> RecordObservation:
    return RecordObservation(source, category, question, outcome)


@pytest.mark.parametrize(
    ("proved", "score"), [(0, 0.05), (1, 0.05 ** (1 / 2)), (20, 0.05 ** (1 / 21)), (100, 0.05 ** (1 / 101))]
)
def test_the_score_is_the_lower_end_of_the_posterior(proved: int, score: float) -> None:
    """Beta(1 + p, 1) has the distribution function x^(1 + p)."""
    assert SourceHistory(proved, 0).score == pytest.approx(score)


def test_few_observations_do_not_dominate() -> None:
    assert SourceHistory(3, 0).score < SourceHistory(90, 10).score
    assert SourceHistory(0, 0).score < SourceHistory(1, 1).score
    assert SourceHistory(90, 10).score - SourceHistory(90, 11).score < 0.02


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_a_proof_raises_the_score_and_a_refutation_lowers_it(proved: int, refuted: int) -> None:
    now = SourceHistory(proved, refuted).score
    assert 0 < SourceHistory(proved, refuted + 1).score < now < SourceHistory(proved + 1, refuted).score < 1
    assert now <= (1 + proved) / (2 + proved + refuted), "it is careful: never above the mean"


def test_only_verdicts_count(record: SourceRecord) -> None:
    record.observe([seen("1"), seen("2", Outcome.REFUTED), seen("3", Outcome.UNKNOWN)])
    assert record.history("a", "math") == SourceHistory(1, 1)


def test_categories_and_sources_are_apart(record: SourceRecord) -> None:
    record.observe([seen("1"), seen("1", category="code"), seen("1", Outcome.REFUTED, source="b")])
    assert record.history("a", "math") == record.history("a", "code") == SourceHistory(1, 0)
    assert record.history("b", "math") == SourceHistory(0, 1)
    assert record.history("b", "code") == SourceHistory()


def test_a_question_counts_once(record: SourceRecord) -> None:
    for _ in range(3):
        record.observe([seen("1"), seen("2")])
    assert record.history("a", "math") == SourceHistory(2, 0)


def test_an_answers_own_verdict_is_no_history(record: SourceRecord) -> None:
    record.observe([seen("1"), seen("2"), seen("3", Outcome.REFUTED)])
    assert record.history("a", "math", apart_from="1") == SourceHistory(1, 1)
    assert record.history("a", "math", apart_from="3") == SourceHistory(2, 0)
    assert record.history("a", "math", apart_from="4") == SourceHistory(2, 1)


def test_it_is_read_back_by_others(tmp_path: Path) -> None:
    one, other = SourceRecord(tmp_path / "record"), SourceRecord(tmp_path / "record")
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: (one, other)[n % 2].observe([seen(str(n))]), range(40)))
        assert one.history("a", "math") == other.history("a", "math") == SourceHistory(40, 0)
    finally:
        one.close()
        other.close()


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "record").write_bytes(b"no database" * 1000)
    with pytest.raises(DistillationJournalError, match="record cannot be used"):
        SourceRecord(tmp_path / "record")


def test_a_record_of_another_version_is_left_alone(tmp_path: Path) -> None:
    SourceRecord(tmp_path / "record").close()
    with sqlite3.connect(tmp_path / "record") as database:
        database.execute("PRAGMA user_version=9")
    database.close()
    with pytest.raises(DistillationJournalError, match="version 9"):
        SourceRecord(tmp_path / "record")
