"""Settled lines by day, week and month."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from nexus_chain.chain.earnings import get_node_earnings
from nexus_chain.chain.periods import PERIODS, Earned, earnings_by_period, period_of, summed
from tests.support.chain_world import World


def at(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("moment", "day", "week", "month"),
    [
        (at(2026, 11, 29, 23, 59, 59), "2026-11-29", "2026-W48", "2026-11"),
        (at(2026, 11, 30), "2026-11-30", "2026-W49", "2026-11"),
        (at(2026, 12, 31, 12), "2026-12-31", "2026-W53", "2026-12"),
        (at(2027, 1, 1), "2027-01-01", "2026-W53", "2027-01"),
        (0, "1970-01-01", "1970-W01", "1970-01"),
    ],
)
def test_periods_are_utc_and_weeks_are_isos(moment: int, day: str, week: str, month: str) -> None:
    assert [period_of(moment, by) for by in PERIODS] == [day, week, month]


def test_sums_are_exact_wei() -> None:
    huge = 10**30 + 1
    settled = [(at(2026, 2, 1), huge), (at(2026, 1, 31), 1), (at(2026, 2, 28), huge)]
    assert summed(settled, "month") == [Earned("2026-01", 1, 1), Earned("2026-02", 2, 2 * huge)]
    assert summed([], "day") == []


def test_periods_add_up_to_what_the_chain_paid(world: World) -> None:
    node = world.nodes[0]
    for turn in range(2):
        session = world.open()
        world.owner.market.post(*world.voucher(session, 1000 + turn))
        world.user.market.close(session)
        world.chain.advance(2 * 86_400)
        world.owner.market.settle_many(session, [node])
    for by in PERIODS:
        found = earnings_by_period(world.user, node, by)
        assert sum(one.wei for one in found) == get_node_earnings(world.user, node) == 1801
        assert sum(one.lines for one in found) == 2
    assert len(earnings_by_period(world.user, node, "day")) == 2
