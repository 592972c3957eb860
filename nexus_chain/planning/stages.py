"""The exact split of a pipeline: contiguous ranges of layers for nodes, each used at most once.

It minimises the slowest stage and, among such splits, the sum of all stages and hops. It is a dynamic program over
(nodes used, layers done). Few nodes may stand in any order; many nodes stand in the given order. It knows only
numbers: the caller says what a stage costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Costs = NDArray[np.float64]
"""[nodes, layers + 1, layers + 1]: cost of layers [start, end) on a node; infinite where it cannot be."""

ANY_ORDER_NODES = 10  # 2^10 sets of nodes: below a second for 80 layers


@dataclass(frozen=True)
class Stage:
    """Layers [layer_start, layer_end) on node number ``node``."""

    node: int
    layer_start: int
    layer_end: int


def best_stages(seconds: Costs, hops: NDArray[np.float64]) -> list[Stage] | None:
    """Stages in the order of layers; None when nothing has a finite cost.

    ``seconds`` as :data:`Costs`; ``hops`` [nodes] are added once for each node that is used, but do not
    slow a stage down: a pipeline is kept full by several sequences.
    """
    slowest = _Search(seconds, np.maximum).value
    if not np.isfinite(slowest):
        return None
    total = np.where(seconds <= slowest, seconds + hops[:, None, None], np.inf)
    return _Search(total, np.add).stages()


class _Search:
    """Least cost of reaching (nodes used, layers done), stages joined by ``join`` (maximum or sum)."""

    def __init__(self, costs: Costs, join: Callable[[Costs, Costs], Costs]) -> None:
        self._costs, self._join = costs, join
        self._nodes, self._layers = costs.shape[0], costs.shape[1] - 1
        start = np.full(self._layers + 1, np.inf)
        start[0] = 0.0
        self._best: dict[int, Costs] = {0: start}
        self._came: dict[int, NDArray[np.int64]] = {}  # [layers + 1, 3]: state, node and layer before
        for state in range(self._states):
            if state in self._best:
                for node, reached in self._moves(state):
                    self._relax(state, node, reached)

    @property
    def value(self) -> float:
        """The least cost of all layers."""
        return min(float(best[-1]) for best in self._best.values())

    def stages(self) -> list[Stage]:
        """How it is reached; only where it is finite."""
        state = min(self._best, key=lambda state: float(self._best[state][-1]))
        layer, found = self._layers, []
        while layer:
            before, node, start = (int(number) for number in self._came[state][layer])
            found.append(Stage(node, start, layer))
            state, layer = before, start
        return found[::-1]

    @property
    def _states(self) -> int:
        return 1 << self._nodes if self._nodes <= ANY_ORDER_NODES else self._nodes + 1

    def _moves(self, state: int) -> Iterator[tuple[int, int]]:
        """(node, state reached): a state is the set of nodes used, or the number of nodes behind us."""
        if self._nodes <= ANY_ORDER_NODES:
            return ((node, state | 1 << node) for node in range(self._nodes) if not state >> node & 1)
        return ((node, node + 1) for node in range(state, self._nodes))

    def _relax(self, state: int, node: int, reached: int) -> None:
        joined = self._join(self._best[state][:, None], self._costs[node])
        starts = joined.argmin(axis=0)
        found = joined[starts, np.arange(self._layers + 1)]
        best = self._best.setdefault(reached, np.full(self._layers + 1, np.inf))
        came = self._came.setdefault(reached, np.zeros((self._layers + 1, 3), dtype=np.int64))
        better = found < best
        best[better] = found[better]
        came[better] = np.stack([np.full_like(starts, state), np.full_like(starts, node), starts], axis=1)[better]
