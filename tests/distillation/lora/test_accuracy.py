"""Intervals and what counts as better."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.distillation.lora.accuracy import EXACT, MeasuredAccuracy, is_better
from nexus_chain.distillation.lora.errors import TrainingDataError

LAST_DIGITS = Decimal("1e-45")
"""Of fifty, where an end of the interval is the share itself."""


def test_interval_is_wilsons() -> None:
    """Against a published example: 8 of 10 gives 49.02 % to 94.33 %."""
    low, high = MeasuredAccuracy(8, 10).interval
    assert (str(round(low, 4)), str(round(high, 4))) == ("0.4902", "0.9433")


@given(st.integers(1, 1000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_interval_holds_the_share(counts: tuple[int, int]) -> None:
    found = MeasuredAccuracy(*counts)
    low, high = found.interval
    assert 0 <= low < high <= 1
    assert EXACT.subtract(low, found.value) <= LAST_DIGITS
    assert EXACT.subtract(found.value, high) <= LAST_DIGITS


@pytest.mark.parametrize(
    ("new", "old", "better"),
    [
        ((60, 100), (50, 100), True),  # 50.2 % is the lower end
        ((59, 100), (50, 100), False),  # 49.2 % is
        ((105, 1000), (50, 1000), True),
        ((55, 100), (50, 100), False),  # exactly 5 points are not more than 5 points
        ((5500, 10000), (5000, 10000), False),
        ((5501, 10000), (5000, 10000), True),
        ((50, 100), (60, 100), False),
    ],
)
def test_better_needs_more_than_five_points_and_a_clear_interval(
    new: tuple[int, int], old: tuple[int, int], better: bool
) -> None:
    assert is_better(MeasuredAccuracy(*new), MeasuredAccuracy(*old)) is better


@pytest.mark.parametrize("counts", [(0, 0), (3, 2), (-1, 4)])
def test_nonsense_is_no_measurement(counts: tuple[int, int]) -> None:
    with pytest.raises(TrainingDataError, match="no measurement"):
        MeasuredAccuracy(*counts)
