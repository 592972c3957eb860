"""Samples: each thing at most once, repeatable, and another for every seed and every question."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.certificates.audit_sampling import AuditSample


@given(st.binary(max_size=40), st.integers(0, 30), st.integers(0, 200))
def test_a_sample_is_ascending_distinct_and_repeatable(seed: bytes, size: int, total: int) -> None:
    found = list(AuditSample(seed, size).choose("examples", total))
    assert found == sorted(set(found))
    assert len(found) == min(size, total)
    assert all(0 <= index < total for index in found)
    assert found == list(AuditSample(seed, size).choose("examples", total))


def test_everything() -> None:
    assert list(AuditSample(b"s", None).choose("examples", 5)) == [0, 1, 2, 3, 4]


def test_seeds_and_questions_draw_differently() -> None:
    drawn = [
        tuple(AuditSample(seed, 5).choose(what, 10_000))
        for seed in (b"a", b"b", b"ab")
        for what in ("examples", "bexamples", "verdicts")
    ]
    assert len(set(drawn)) == len(drawn)


def test_nothing_is_favoured() -> None:
    counts = Counter(index for n in range(600) for index in AuditSample(f"{n}".encode(), 3).choose("x", 9))
    assert set(counts) == set(range(9))
    assert max(counts.values()) < 1.3 * min(counts.values())  # the seeds are fixed, so this repeats
