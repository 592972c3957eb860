"""Routes cover every layer once, prefer fast, idle, trusted, cheap nodes, and survive failures."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.routing.errors import NoNodeForLayersError
from nexus_chain.routing.registry_view import Measurement, ShardNode
from nexus_chain.routing.route import InferenceRoute, RoutePolicy, find_route


def node(name: str, start: int, end: int, *, ms: float = 10.0, wei: int = 100) -> ShardNode:
    return ShardNode(name, "0x", (0,), ms, 1.0, True, start, end, wei, "127.0.0.1:1", "0x")


def names(nodes: tuple[ShardNode, ...]) -> list[str]:
    return [n.node_id for n in nodes]


def test_fastest_node_of_each_segment_is_taken_and_the_other_is_its_spare() -> None:
    route = find_route([node("a", 0, 2, ms=30), node("b", 0, 2), node("c", 2, 4), node("d", 2, 4, ms=11)], 4)
    assert names(route.nodes) == ["b", "c"]
    assert [names(s) for s in route.spares] == [["a"], ["d"]]
    assert [(ask.layer_start, ask.layer_end, ask.wei_per_token) for ask in route.asks] == [(0, 2, 100), (2, 4, 100)]


def test_load_reputation_and_price_count() -> None:
    plain = node("plain", 0, 1, ms=20)
    assert names(find_route([plain, replace(node("busy", 0, 1), active_orders=3)], 1).nodes) == ["plain"]
    assert names(find_route([plain, replace(node("shady", 0, 1), reputation=0.5)], 1).nodes) == ["plain"]
    assert names(find_route([plain, node("dear", 0, 1, wei=300)], 1).nodes) == ["plain"]
    free = RoutePolicy(price_weight=0.0)
    assert names(find_route([plain, node("dear", 0, 1, wei=300)], 1, free).nodes) == ["dear"]


def test_offline_and_distrusted_nodes_are_not_used() -> None:
    bad = [replace(node("off", 0, 2), online=False), replace(node("liar", 0, 2), reputation=0.1)]
    with pytest.raises(NoNodeForLayersError, match=r"layers 0-2 of 2"):
        find_route(bad, 2)
    assert names(find_route([*bad, node("ok", 0, 2, ms=900)], 2).nodes) == ["ok"]


@pytest.mark.parametrize(
    ("ranges", "gap"),
    [
        ([], (0, 8)),
        ([(0, 2), (4, 8)], (2, 4)),
        ([(2, 8)], (0, 2)),
        ([(0, 6)], (6, 8)),
        ([(0, 3), (2, 8)], (3, 8)),
        ([(0, 9)], (0, 8)),
    ],
)
def test_the_missing_layers_are_named(ranges: list[tuple[int, int]], gap: tuple[int, int]) -> None:
    with pytest.raises(NoNodeForLayersError) as raised:
        find_route([node(f"n{i}", a, b) for i, (a, b) in enumerate(ranges)], 8)
    assert (raised.value.layer_start, raised.value.layer_end) == gap
    assert f"layers {gap[0]}-{gap[1]} of 8" in str(raised.value)
    assert "nexus nodes" in raised.value.advice


def test_spares_cost_no_more_unless_a_premium_is_allowed() -> None:
    nodes = [node("a", 0, 1), node("b", 0, 1, wei=110)]
    assert find_route(nodes, 1).spares == ((),)
    insured = find_route(nodes, 1, RoutePolicy(spare_premium=Fraction(1, 10)))
    assert (names(insured.spares[0]), insured.asks[0].wei_per_token) == (["b"], 110)


def test_measurement_replaces_what_is_known() -> None:
    seen = node("a", 0, 1).measured(Measurement(3.5, 2, 0.75, False))
    assert (seen.latency_ms, seen.active_orders, seen.reputation, seen.online) == (3.5, 2, 0.75, False)


def covering_route(nodes: list[ShardNode]) -> InferenceRoute:
    """A route over ``nodes``; one more node for exactly the layers that an error names must make it possible."""
    try:
        return find_route(nodes, 8)
    except NoNodeForLayersError as error:
        return find_route([*nodes, node("new", error.layer_start, error.layer_end)], 8)


ranges = st.tuples(st.integers(0, 7), st.integers(1, 8)).filter(lambda r: r[0] < r[1])


@given(st.lists(st.tuples(ranges, st.floats(0, 1000), st.integers(0, 10**18)), max_size=12))
def test_every_route_covers_all_layers_once_and_every_named_gap_is_true(
    offers: list[tuple[tuple[int, int], float, int]],
) -> None:
    nodes = [node(f"n{i}", *r, ms=ms, wei=wei) for i, (r, ms, wei) in enumerate(offers)]
    route = covering_route(nodes)
    assert [n.layer_start for n in route.nodes] == [0, *[n.layer_end for n in route.nodes[:-1]]]
    assert route.nodes[-1].layer_end == 8
    for index, chosen in enumerate(route.nodes):
        for spare in route.spares[index]:
            assert (spare.layer_start, spare.layer_end) == (chosen.layer_start, chosen.layer_end)
            assert spare.wei_per_token <= route.asks[index].wei_per_token
