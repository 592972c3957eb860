"""What a version's publisher gets beside what nodes earn, by the contract's arithmetic.

A share is a rate in basis points (1/10 000) of what a node earned, paid by the user on top. Node and vault get what
they get without it. A session locks the share of each cap beside the cap, each rounded down by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from nexus_chain.market.errors import PriceError

#: Basis points in a whole.
SHARE_DIVISOR = 10_000


def publisher_share(wei: int, basis_points: int) -> int:
    """The publisher's share of what a line has earned, or of its cap, rounded down as the contract rounds."""
    if wei < 0 or basis_points < 0:
        raise PriceError(
            f"{wei} wei and {basis_points} basis points give no share", advice="Give amounts of zero or more."
        )
    return wei * basis_points // SHARE_DIVISOR


def share_at_most(wei: int, basis_points: int) -> int:
    """The same rounded up: what ``wei`` can add at most to the share of a line that earns more beside it."""
    return -(-wei * basis_points // SHARE_DIVISOR)


def share_of_costs(costs: Iterable[tuple[str, int]], basis_points: int) -> int:
    """What wei earned by nodes (node, wei) can add to a session's share: that of each node's sum, rounded up."""
    sums: dict[str, int] = {}
    for node, wei in costs:
        sums[node] = sums.get(node, 0) + wei
    return sum(share_at_most(wei, basis_points) for wei in sums.values())


def locked_with_share(caps: Iterable[int], basis_points: int) -> int:
    """Wei that a session with these caps locks: the caps, and the share of each."""
    return sum(cap + publisher_share(cap, basis_points) for cap in caps)


def per_cent(basis_points: int) -> str:
    """A rate in words: ``5 %``, ``2.5 %``."""
    return f"{basis_points / 100:g} %"
