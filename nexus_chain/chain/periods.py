"""What a node's settled lines brought, by day, week or month. Times are block times, in UTC."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from nexus_chain.chain.contracts import Contracts
from nexus_chain.market.documents import checksum

PERIODS = ("day", "week", "month")


@dataclass(frozen=True)
class Earned:
    """One period: its name (2026-11-29, 2026-W48, 2026-11), its settled lines, and wei that they brought the node."""

    period: str
    lines: int
    wei: int


def period_of(timestamp: int, by: str) -> str:
    """The name of the period, one of PERIODS, that a Unix time is in; weeks are those of ISO 8601."""
    moment = datetime.fromtimestamp(timestamp, UTC)
    if by == "week":
        year, week, _ = moment.isocalendar()
        return f"{year:04d}-W{week:02d}"
    return moment.strftime("%Y-%m-%d" if by == "day" else "%Y-%m")


def summed(settled: Iterable[tuple[int, int]], by: str) -> list[Earned]:
    """Sums of (Unix time, wei) by period, oldest first; periods without a line are left out."""
    found: dict[str, Earned] = {}
    for timestamp, wei in settled:
        name = period_of(timestamp, by)
        before = found.get(name, Earned(name, 0, 0))
        found[name] = Earned(name, before.lines + 1, before.wei + wei)
    return [found[name] for name in sorted(found)]


def earnings_by_period(contracts: Contracts, node: str, by: str) -> list[Earned]:
    """Wei that settled lines have credited to ``node``, withdrawn or not. Reads all of them. Raises ChainError."""
    times: dict[int, int] = {}
    settled = []
    for event in contracts.market.events("LineSettled", contracts.deployment.block, where={"node": checksum(node)}):
        if event.block not in times:
            times[event.block] = contracts.connection.block(event.block).timestamp
        settled.append((times[event.block], int(event.arguments["toNode"])))
    return summed(settled, by)
