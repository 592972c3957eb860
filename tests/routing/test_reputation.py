"""More than a third of liars stops a route; a record follows its node."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.routing.errors import ByzantineAttackError
from nexus_chain.routing.reputation import ReputationBook, TrackRecord, detect_byzantine


def address(number: int) -> str:
    return f"0x{number:040x}"


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_more_than_a_third_stops_the_route(verdicts: list[bool]) -> None:
    valid = {address(number): right for number, right in enumerate(verdicts)}
    wrong = verdicts.count(False)
    if 3 * wrong > len(verdicts):
        with pytest.raises(ByzantineAttackError, match=f"{wrong} of {len(verdicts)} nodes"):
            detect_byzantine(valid)
    else:
        assert len(detect_byzantine(valid)) == wrong


def test_reputation_falls_with_failures_and_ends_with_a_lie() -> None:
    book = ReputationBook()
    assert book.of(address(1)) == 1.0
    book = book.after(address(1), failed=1)
    assert 0.5 < book.of(address(1)) < 1.0
    once = book.of(address(1))
    book = book.after(address(1), verified=20)
    assert once < book.of(address(1)) < 1.0
    book = book.after_all([(address(1), True), (address(1), False), (address(2), True)])
    assert book.of(address(1)) == 0.0
    assert book.of(address(2)) == 1.0
    assert book.after(address(1), verified=1000).of(address(1)) == 0.0


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_reputation_is_a_share(verified: int, failed: int) -> None:
    reputation = TrackRecord(verified, failed).reputation
    assert 0.0 < reputation <= 1.0
    assert TrackRecord(verified, failed + 1).reputation < reputation
    assert TrackRecord(verified, failed, convicted=True).reputation == 0.0
