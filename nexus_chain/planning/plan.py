"""A sharding plan: which node should serve which layers, from what both need and can.

A stage fits a node when its weights, the caches of all sessions and the activations fit its memory.
Experts count only as far as they are resident; the others come from the node's disk, or, on a node
without one, have to fit as well. Advice for operators, like all of placement: nobody is forced.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nexus_chain.byte_sizes import format_size
from nexus_chain.planning.demand import Demand, Load, ModelDemand
from nexus_chain.planning.errors import PlacementError, PlanInputError
from nexus_chain.planning.experts import Expert, Histogram, covering, experts_by_use, missed_bytes, within
from nexus_chain.planning.placement import NodeProfile, assign_shards
from nexus_chain.planning.stages import Costs, best_stages
from nexus_chain.program import Program


@dataclass(frozen=True)
class ExpertPolicy:
    """How experts are placed: the most used of a layer stay resident until ``coverage`` of its ``uses`` is covered."""

    uses: Histogram
    coverage: float = 0.95


@dataclass(frozen=True)
class PlannedStage:
    """Layers [layer_start, layer_end) on a node; ``seconds`` per token, ``resident``: names of experts' weights."""

    node: NodeProfile
    layer_start: int
    layer_end: int
    demand: Demand
    seconds: float
    resident: tuple[str, ...]


@dataclass(frozen=True)
class ShardPlan:
    """Stages in the order of layers.

    ``replicas``: by node id, the number of the stage that a node which is left over should serve as well;
    ``unused``: ids of the nodes that have room for no stage, or that no stage needs any more.
    """

    stages: tuple[PlannedStage, ...]
    replicas: Mapping[str, int]
    unused: tuple[str, ...]

    @property
    def tokens_per_second(self) -> float:
        """Of the full pipeline: that of its slowest stage."""
        return 1 / max(stage.seconds for stage in self.stages)

    @property
    def seconds_per_token(self) -> float:
        """For one sequence alone: all stages and hops, one after the other."""
        return sum(stage.seconds + stage.node.hop_seconds for stage in self.stages)


def plan_shards(
    program: Program, nodes: Sequence[NodeProfile], load: Load, experts: ExpertPolicy | None = None
) -> ShardPlan:
    """The plan with the fastest slowest stage, then the least latency, that fits all memories.

    Raises PlacementError, which says what is missing where, and PlanInputError.
    """
    _check(nodes, program)
    ranked = experts_by_use(program, experts.uses) if experts else []
    hot = covering(ranked, experts.coverage) if experts else []
    return _Planner(program, nodes, load, ranked, hot).plan()


def _check(nodes: Sequence[NodeProfile], program: Program) -> None:
    ids = [node.node_id for node in nodes]
    if not nodes or len(set(ids)) != len(ids):
        raise PlanInputError("a plan needs nodes, each once", advice="List every node with an id of its own.")
    for node in nodes:
        start, end = node.measured_layers or (0, program.shape.layers)
        amounts = (node.memory_bytes, node.hop_seconds, node.disk_bytes_per_second)
        sound = all(0 <= amount < math.inf for amount in amounts) and 0 < node.tokens_per_second < math.inf
        if not sound or not 0 <= start < end <= program.shape.layers:
            raise PlanInputError(
                f"node {node.node_id!r} has a throughput that is not above zero, an impossible amount, or was "
                f"measured over layers that the model of {program.shape.layers} does not have",
                advice="Measure its tokens per second over layers of this model.",
            )


class _Planner:
    """Costs of every range of layers on every node."""

    def __init__(
        self,
        program: Program,
        nodes: Sequence[NodeProfile],
        load: Load,
        experts: Sequence[Expert],
        hot: Sequence[Expert],
    ) -> None:
        kept = {(expert.layer, expert.number) for expert in hot}
        cold = {name for e in experts if (e.layer, e.number) not in kept for name in e.weights}
        self._model = ModelDemand(program, load, cold)
        self._nodes, self._experts, self._hot = nodes, experts, hot
        self._used = program.shape.experts_per_token
        layers = program.shape.layers
        self._demands = {(a, b): self._model.of(a, b) for a in range(layers) for b in range(a + 1, layers + 1)}

    def plan(self) -> ShardPlan:
        hops = np.array([node.hop_seconds for node in self._nodes])
        found = best_stages(self._costs(self._seconds_if_it_fits), hops)
        if found is None:
            raise self._does_not_fit()
        stages = [self._stage(self._nodes[stage.node], stage.layer_start, stage.layer_end) for stage in found]
        used = {stage.node.node_id for stage in stages}
        left = [node for node in self._nodes if node.node_id not in used]
        # A replica may have no disk: then it also keeps the experts that the stage reads when it needs them.
        sizes = {number: stage.demand.memory + stage.demand.cold_experts for number, stage in enumerate(stages)}
        replicas = assign_shards(sizes, left, copies=dict.fromkeys(sizes, 1))
        free = tuple(node.node_id for node in left if node.node_id not in replicas)
        return ShardPlan(tuple(stages), replicas, free)

    def _costs(self, cost: Callable[[NodeProfile, int, int], float]) -> Costs:
        layers = self._model.layers
        costs = np.full((len(self._nodes), layers + 1, layers + 1), np.inf)
        for number, node in enumerate(self._nodes):
            for start, end in self._demands:
                costs[number, start, end] = cost(node, start, end)
        return costs

    def _missing(self, node: NodeProfile, start: int, end: int) -> float:
        """Bytes by which a stage exceeds the node's memory."""
        demand = self._demands[start, end]
        needed = demand.memory + (0 if node.disk_bytes_per_second else demand.cold_experts)
        return max(0.0, float(needed - node.memory_bytes))

    def _seconds_if_it_fits(self, node: NodeProfile, start: int, end: int) -> float:
        if self._missing(node, start, end):
            return np.inf
        return self._seconds(node, start, end, self._hot)

    def _seconds(self, node: NodeProfile, start: int, end: int, resident: Sequence[Expert]) -> float:
        """Computing and, in a row, reading the experts that a token finds missing."""
        demand = self._demands[start, end]
        measured = self._demands[node.measured_layers or (0, self._model.layers)]
        computing = demand.work / (measured.work * node.tokens_per_second)
        if not node.disk_bytes_per_second or not demand.cold_experts:
            return computing
        missed = missed_bytes(self._within(start, end, self._experts), resident, self._used)
        return computing + missed / node.disk_bytes_per_second

    def _stage(self, node: NodeProfile, start: int, end: int) -> PlannedStage:
        """The stage, with as many more experts resident as its memory has room for."""
        demand = self._demands[start, end]
        mine = self._within(start, end, self._experts)
        hot = self._within(start, end, self._hot)
        rest = [expert for expert in mine if expert not in hot]
        more = within(rest, node.memory_bytes - demand.memory)
        added = sum(expert.nbytes for expert in more)
        filled = replace(demand, parameters=demand.parameters + added, cold_experts=demand.cold_experts - added)
        resident = [*hot, *more]
        names = tuple(name for expert in resident for name in expert.weights)
        return PlannedStage(node, start, end, filled, self._seconds(node, start, end, resident), names)

    def _within(self, start: int, end: int, experts: Sequence[Expert]) -> list[Expert]:
        return [expert for expert in experts if start <= expert.layer < end]

    def _does_not_fit(self) -> PlacementError:
        """What the split that comes closest lacks on its worst node."""
        closest = best_stages(self._costs(self._missing), np.zeros(len(self._nodes)))
        lacking = [(self._missing(self._nodes[s.node], s.layer_start, s.layer_end), s) for s in closest or []]
        missing, stage = max(lacking, key=lambda found: found[0])
        node, demand = self._nodes[stage.node], self._demands[stage.layer_start, stage.layer_end]
        return PlacementError(
            f"no split fits: the closest lacks {format_size(int(missing))} on node {node.node_id!r}, where layers "
            f"{stage.layer_start}-{stage.layer_end} take {format_size(node.memory_bytes + int(missing))} (weights "
            f"{format_size(demand.parameters)}, caches {format_size(demand.kv_cache)}, activations "
            f"{format_size(demand.activations)}) of {format_size(node.memory_bytes)}",
            advice="Add memory or a node, or plan for fewer sessions, a shorter context or fewer resident experts.",
        )
