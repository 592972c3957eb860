"""Replicas are judged by recomputation, never by majority; a record follows its node."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.market.documents import Receipt
from nexus_chain.routing.errors import ByzantineAttackError, NotReplicasError
from nexus_chain.routing.reputation import ReputationBook, TrackRecord, compare_replicas, detect_byzantine

RIGHT, WRONG = b"\x01" * 32, b"\x02" * 32


def address(number: int) -> str:
    return f"0x{number:040x}"


def receipt(number: int, out_root: bytes = RIGHT) -> Receipt:
    return Receipt(b"\x07" * 32, address(number), 0, 0, 5, b"\x08" * 32, out_root, (), 25)


def never() -> bytes:
    raise AssertionError("nothing differs, so nothing is recomputed")


def test_replicas_that_agree_cost_no_recomputation() -> None:
    verdict = compare_replicas([receipt(1), receipt(2), receipt(3)], never)
    assert verdict.agreed
    assert verdict.invalid == ()


def test_a_lone_honest_replica_is_right_against_a_majority() -> None:
    """Two liars of three: the vote would blame the honest one; recomputation blames the two."""
    with pytest.raises(ByzantineAttackError) as stopped:
        compare_replicas([receipt(1, WRONG), receipt(2, WRONG), receipt(3)], lambda: RIGHT)
    assert stopped.value.invalid == (address(1), address(2))


def test_a_single_liar_of_three_is_named_and_the_route_goes_on() -> None:
    verdict = compare_replicas([receipt(1), receipt(2, WRONG), receipt(3)], lambda: RIGHT)
    assert not verdict.agreed
    assert verdict.right_root == RIGHT
    assert verdict.invalid == (address(2),)


@pytest.mark.parametrize("change", [{"in_root": bytes(32)}, {"to_position": 6}, {"segment": 1}])
def test_receipts_over_other_rows_are_not_compared(change: dict[str, object]) -> None:
    other = replace(receipt(2, WRONG), **change)  # type: ignore[arg-type]
    with pytest.raises(NotReplicasError):
        compare_replicas([receipt(1), other], never)


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
