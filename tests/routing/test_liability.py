"""No more hangs on a node than its stake covers, whatever is chosen."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.routing.errors import NoNodeForLayersError, StakeTooSmallError
from nexus_chain.routing.liability import added_value, choose_covered, require_covered, with_exposure
from nexus_chain.routing.registry_view import ShardNode


def node(name: str, stake: int, exposure: int = 0) -> ShardNode:
    return ShardNode(name, "0x", (0,), 1.0, 1.0, True, 0, 1, 5, "host:1", "0x", 0, stake, exposure)


def first(nodes: Sequence[ShardNode]) -> str:
    if not nodes:
        raise NoNodeForLayersError(0, 1, 1)
    return nodes[0].node_id


def test_the_error_names_node_stake_exposure_and_what_would_be_added() -> None:
    require_covered("a", 100, 60, 40)
    with pytest.raises(StakeTooSmallError, match=r"node a stakes 100 wei, 60 wei .* would add 41 wei") as raised:
        require_covered("a", 100, 60, 41)
    assert (raised.value.node, raised.value.stake, raised.value.exposure, raised.value.added) == ("a", 100, 60, 41)
    assert "nexus nodes" in raised.value.advice


@pytest.mark.parametrize(
    ("cap", "used", "value", "added"),
    [(100, 0, 100, 0), (100, 90, 10, 0), (100, 90, 50, 40), (0, 0, 7, 7), (100, 30, 0, 0)],
)
def test_only_what_the_cap_does_not_hold_comes_on_top(cap: int, used: int, value: int, added: int) -> None:
    assert added_value(cap, used, value) == added


def test_nodes_that_cannot_carry_it_are_passed_over() -> None:
    nodes = with_exposure([node("full", 100), node("free", 100)], {"full": 100})
    assert [n.exposure for n in nodes] == [100, 0]
    assert choose_covered(nodes, first, lambda choice, n: 5 if n.node_id == choice else None) == "free"


def test_when_all_are_full_the_first_refusal_is_told_and_other_errors_stay_theirs() -> None:
    nodes = with_exposure([node("a", 100), node("b", 100)], {"a": 96, "b": 97})
    with pytest.raises(StakeTooSmallError, match="node a stakes 100"):
        choose_covered(nodes, first, lambda choice, n: 5 if n.node_id == choice else None)
    with pytest.raises(NoNodeForLayersError):
        choose_covered([], first, lambda choice, n: 5)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=6), st.integers(0, 60))
def test_whoever_is_chosen_is_covered(world: list[tuple[int, int]], added: int) -> None:
    nodes = [node(str(i), stake, exposure) for i, (stake, exposure) in enumerate(world)]
    fitting = [n.node_id for n in nodes if n.exposure + added <= n.stake]
    try:
        chosen = choose_covered(nodes, first, lambda choice, n: added if n.node_id == choice else None)
    except (StakeTooSmallError, NoNodeForLayersError):
        assert not fitting
    else:
        assert chosen == fitting[0]
