"""The split solver against brute force over every order of nodes and every cut."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_chain.planning import stages
from nexus_chain.planning.stages import Costs, Stage, best_stages


def every_split(nodes: int, layers: int, *, ordered: bool) -> list[list[Stage]]:
    """All ways to give all layers to some of the nodes."""
    choose = combinations if ordered else permutations
    return [
        [Stage(node, a, b) for node, a, b in zip(chosen, (0, *cut), (*cut, layers), strict=True)]
        for count in range(1, min(nodes, layers) + 1)
        for chosen in choose(range(nodes), count)
        for cut in combinations(range(1, layers), count - 1)
    ]


def value(split: list[Stage], seconds: Costs, hops: np.ndarray) -> tuple[float, float]:
    costs = [float(seconds[s.node, s.layer_start, s.layer_end]) for s in split]
    return max(costs), sum(costs) + float(sum(hops[s.node] for s in split))


@st.composite
def problems(draw: st.DrawFn) -> tuple[Costs, np.ndarray]:
    """Few distinct small integers as costs, so that ties are common and sums are exact."""
    nodes, layers = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    seconds = np.full((nodes, layers + 1, layers + 1), np.inf)
    for node in range(nodes):
        for start, end in combinations(range(layers + 1), 2):
            seconds[node, start, end] = draw(st.sampled_from([1.0, 2.0, 3.0, 7.0, np.inf]))
    return seconds, np.array(draw(st.lists(st.sampled_from([0.0, 1.0, 5.0]), min_size=nodes, max_size=nodes)))


def check(problem: tuple[Costs, np.ndarray], *, ordered: bool) -> None:
    seconds, hops = problem
    layers = seconds.shape[1] - 1
    best = min(value(split, seconds, hops) for split in every_split(len(hops), layers, ordered=ordered))
    found = best_stages(seconds, hops)
    if not np.isfinite(best[0]):
        assert found is None
        return
    assert found is not None
    assert [s.layer_start for s in found] == [0, *[s.layer_end for s in found[:-1]]]
    assert found[-1].layer_end == layers
    assert len({s.node for s in found}) == len(found)
    assert value(found, seconds, hops) == best
    if ordered:
        assert [s.node for s in found] == sorted(s.node for s in found)


@settings(max_examples=300, deadline=None)
@given(problems())
def test_split_is_the_best_of_all(problem: tuple[Costs, np.ndarray]) -> None:
    check(problem, ordered=False)


@settings(max_examples=300, deadline=None, database=None)
@given(problems())
def test_many_nodes_are_split_best_in_their_order(problem: tuple[Costs, np.ndarray]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "ANY_ORDER_NODES", 0)
        check(problem, ordered=True)
