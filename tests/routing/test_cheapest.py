"""The cheapest way through all layers, against every way there is."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.routing.cheapest import asked_by_range, cheapest_cover
from nexus_chain.routing.registry_view import ShardNode

LAYERS = 4
offers = st.lists(
    st.tuples(st.integers(0, LAYERS - 1), st.integers(1, LAYERS), st.integers(0, 10**20)).filter(lambda o: o[0] < o[1]),
    max_size=6,
)


def node(start: int, end: int, wei: int) -> ShardNode:
    return ShardNode("0x", "0x", (0,), 1.0, 1.0, True, start, end, wei, "", "")


@given(offers)
def test_no_way_is_cheaper(found: list[tuple[int, int, int]]) -> None:
    ways = [
        sum(wei for *_, wei in way)
        for count in range(1, LAYERS + 1)
        for way in combinations(sorted(found), count)
        if way[0][0] == 0 and way[-1][1] == LAYERS and all(before[1] == after[0] for before, after in pairwise(way))
    ]
    assert cheapest_cover([node(*one) for one in found], LAYERS) == min(ways, default=None)


def test_asks_by_range() -> None:
    nodes = [node(2, 4, 7), node(0, 2, 5), node(2, 4, 3)]
    assert asked_by_range(nodes) == {(0, 2): (5, 5), (2, 4): (3, 7)}
    assert list(asked_by_range(nodes)) == [(0, 2), (2, 4)]
