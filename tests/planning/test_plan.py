"""Sharding plans: the sizes are the engine's, memory limits hold, and what does not fit is said in bytes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from nexus_chain.byte_sizes import format_size
from nexus_chain.commitments.tensor_block import write_tensor_block
from nexus_chain.engine.cache import cache_bytes
from nexus_chain.engine.engine import CHUNK_ROWS, Engine
from nexus_chain.planning.demand import Load, ModelDemand
from nexus_chain.planning.errors import PlacementError, PlanInputError
from nexus_chain.planning.experts import covering, experts_by_use, missed_bytes, owners, within
from nexus_chain.planning.placement import NodeProfile
from nexus_chain.planning.plan import ExpertPolicy, ShardPlan, plan_shards
from nexus_chain.program import PRESETS, ModelShape, random_model
from nexus_chain.program.sampling import Sampling

SHAPE = ModelShape(layers=6, width=64, heads=4, kv_heads=2, head_dim=16, ffn=128, vocab=640, context=512)
MODEL = random_model(SHAPE, seed=3)
PROGRAM = MODEL.program
LOAD = Load(context=200, sessions=3)
LARGE = 10**9


def node(name: str, memory: int = LARGE, speed: float = 10.0, **more: float) -> NodeProfile:
    return NodeProfile(name, memory, speed, **more)  # type: ignore[arg-type]


# ------------------------------------------------------------------------- demand


def test_weights_and_caches_are_what_the_engine_holds(tmp_path: Path) -> None:
    demand = ModelDemand(PROGRAM, LOAD)
    for start, end in ((0, 6), (1, 4), (5, 6)):
        engine = Engine(PROGRAM, MODEL.weights, start, end, threads=1)
        found = demand.of(start, end)
        assert found.kv_cache == LOAD.sessions * engine.open(1, Sampling(), LOAD.context).nbytes
        assert found.parameters == sum(spec.nbytes for spec in PROGRAM.weights_of(start, end))
        assert found.memory == found.parameters + found.kv_cache + found.activations
    write_tensor_block(MODEL, tmp_path / "block", 1, 4)
    header = 8 + int.from_bytes((tmp_path / "block").read_bytes()[:8], "little")
    assert (tmp_path / "block").stat().st_size == demand.of(1, 4).parameters + header


@pytest.mark.parametrize("positions", [1, 64, 65, 500])
def test_cache_bytes_is_the_size_of_a_cache(positions: int) -> None:
    engine = Engine(PROGRAM, MODEL.weights, 0, 1, threads=1, backend="torch")
    (attention,) = (op for op in engine.ops if op.kind == "attention")
    assert cache_bytes(attention, positions) == engine.open(1, Sampling(), positions).nbytes


def test_activations_are_the_buffers_of_a_full_batch() -> None:
    for layer in (0, 3, 5):
        engine = Engine(PROGRAM, MODEL.weights, layer, layer + 1, threads=1, backend="native")
        state = engine.open(1, Sampling(), CHUNK_ROWS)
        shape = (CHUNK_ROWS,) if layer == 0 else (CHUNK_ROWS, SHAPE.width)
        engine.forward([(state, torch.ones(shape, dtype=torch.int32))])
        held = sum(memory.nbytes for memory in engine._executor._memory)  # type: ignore[union-attr]
        assert abs(held - ModelDemand(PROGRAM, LOAD).of(layer, layer + 1).activations) <= 64 * 40, "64-byte padding"


def test_work_grows_with_matrices_passes_and_context() -> None:
    work = [ModelDemand(PROGRAM, LOAD).of(layer, layer + 1).work for layer in range(6)]
    assert len(set(work[:5])) == 1
    assert work[5] == work[4] + SHAPE.vocab * SHAPE.width * 2  # the head has 15-bit inputs
    longer = ModelDemand(PROGRAM, Load(context=400)).of(0, 1).work
    assert longer - work[0] == 2 * 64 * 200
    assert ModelDemand(PROGRAM, LOAD).of(0, 6).work == sum(work)


@pytest.mark.parametrize("load", [Load(0), Load(513), Load(100, 0)])
def test_impossible_loads_are_refused(load: Load) -> None:
    with pytest.raises(PlanInputError, match="Choose 1"):
        ModelDemand(PROGRAM, load)


# -------------------------------------------------------------------------- plans


def test_even_nodes_get_even_work() -> None:
    plan = plan_shards(PROGRAM, [node("a"), node("b"), node("c")], LOAD)
    demand = ModelDemand(PROGRAM, LOAD)
    cuts = [(0, a, b, 6) for a in range(1, 5) for b in range(a + 1, 6)]
    slowest = min(max(demand.of(a, b).work for a, b in pairwise(cut)) for cut in cuts)
    assert max(stage.demand.work for stage in plan.stages) == slowest
    assert (plan.replicas, plan.unused) == ({}, ())
    assert plan.tokens_per_second == pytest.approx(10 * demand.of(0, 6).work / slowest)


def test_fast_nodes_get_more_and_slow_ones_nothing() -> None:
    plan = plan_shards(PROGRAM, [node("slow", speed=1), node("fast", speed=40), node("snail", speed=0.01)], LOAD)
    layers = {stage.node.node_id: stage.layer_end - stage.layer_start for stage in plan.stages}
    assert layers.get("slow", 0) < layers["fast"]
    assert "snail" in plan.replicas
    assert set(plan.replicas) | set(layers) == {"slow", "fast", "snail"}
    alone = plan_shards(PROGRAM, [node("fast", speed=40)], LOAD)
    assert plan.tokens_per_second >= alone.tokens_per_second


def test_nodes_that_are_left_over_copy_stages_until_each_has_three() -> None:
    nodes = [node("fast", speed=1000), *(node(f"slow{i}", speed=0.001) for i in range(4))]
    plan = plan_shards(PROGRAM, nodes, LOAD)
    assert [stage.node.node_id for stage in plan.stages] == ["fast"]
    assert plan.replicas == {"slow0": 0, "slow1": 0}
    assert plan.unused == ("slow2", "slow3")
    crowded = plan_shards(PROGRAM, [nodes[0], replace(nodes[1], memory_bytes=10)], LOAD)
    assert (crowded.replicas, crowded.unused) == ({}, ("slow0",))


def test_throughput_may_be_measured_over_some_layers() -> None:
    demand = ModelDemand(PROGRAM, LOAD)
    part = replace(node("part"), tokens_per_second=10 * demand.of(0, 6).work / demand.of(0, 3).work)
    whole, measured = (
        plan_shards(PROGRAM, [one], LOAD).tokens_per_second
        for one in (node("x"), replace(part, measured_layers=(0, 3)))
    )
    assert measured == pytest.approx(whole)


def test_hops_decide_between_equal_pipelines() -> None:
    near, far = node("near", hop_seconds=0.001), node("far", hop_seconds=0.5)
    plan = plan_shards(PROGRAM, [far, near, replace(near, node_id="too")], LOAD)
    two = plan_shards(PROGRAM, [near, replace(near, node_id="too")], LOAD)
    assert plan.tokens_per_second >= two.tokens_per_second
    assert [s.node.node_id for s in plan_shards(PROGRAM, [far, near], Load(1)).stages] != []
    capped = [replace(far, memory_bytes=0), near, replace(near, node_id="too")]
    assert plan_shards(PROGRAM, capped, LOAD).seconds_per_token == two.seconds_per_token


def test_memory_limits_hold() -> None:
    demand = ModelDemand(PROGRAM, LOAD)
    room = max(demand.of(a, b).memory for a, b in pairwise((0, 1, 4, 6)))
    nodes = [node(name, memory=room, speed=speed) for name, speed in (("a", 1), ("b", 9), ("c", 2), ("d", 1))]
    plan = plan_shards(PROGRAM, nodes, LOAD)
    assert all(stage.demand.memory <= stage.node.memory_bytes for stage in plan.stages)
    assert sum(stage.layer_end - stage.layer_start for stage in plan.stages) == 6


def test_what_does_not_fit_says_how_much_is_missing() -> None:
    demand = ModelDemand(PROGRAM, LOAD).of(0, 6)
    nodes = [node("only", memory=demand.memory - 5000)]
    with pytest.raises(PlacementError, match="fewer sessions") as caught:
        plan_shards(PROGRAM, nodes, LOAD)
    assert f"lacks {format_size(5000)} on node 'only'" in str(caught.value)
    assert plan_shards(PROGRAM, [node("only", memory=demand.memory)], LOAD).stages[0].demand == demand
    with pytest.raises(PlacementError, match="layers"):
        plan_shards(PROGRAM, [node("a", memory=0), node("b", memory=10)], LOAD)


@pytest.mark.parametrize(
    "nodes",
    [[], [node("a"), node("a")], [node("a", speed=0)], [node("a", memory=-1)],
     [replace(node("a"), measured_layers=(0, 7))], [replace(node("a"), measured_layers=(3, 3))]],
)  # fmt: skip
def test_nodes_that_make_no_sense_are_refused(nodes: list[NodeProfile]) -> None:
    with pytest.raises(PlanInputError):
        plan_shards(PROGRAM, nodes, LOAD)


def test_more_memory_never_makes_a_plan_slower() -> None:
    whole = ModelDemand(PROGRAM, LOAD).of(0, 6).memory
    speeds = []
    for part in range(4, 11):
        nodes = [node("a", memory=whole * part // 10, speed=3), node("b", memory=whole * part // 10, speed=7)]
        try:
            speeds.append(plan_shards(PROGRAM, nodes, LOAD).tokens_per_second)
        except PlacementError:
            speeds.append(0.0)
    assert speeds == sorted(speeds)
    assert speeds[-1] > 0


def test_forty_layers_are_split_over_ten_nodes_in_any_order() -> None:
    program = random_model(replace(PRESETS["tiny"], layers=40), seed=1).program
    nodes = [node(f"n{number}", speed=5 + number, memory=10**7) for number in range(10)]
    plan = plan_shards(program, nodes, Load(64))
    assert plan.stages[-1].layer_end == 40


# ------------------------------------------------------------------------ experts

MIXTURE = random_model(PRESETS["tiny-experts"], seed=1).program
EXPERTS, USED = MIXTURE.shape.experts, MIXTURE.shape.experts_per_token
ONE = sum(spec.nbytes for spec in MIXTURE.weights if spec.name.startswith("layers.0.mlp.experts.0."))
USES = {0: [1, 89, 8, 1, 1], 1: [20, 20, 20, 20, 20]}
CONTEXT = Load(context=50, sessions=3)


def test_weights_belong_to_the_expert_that_their_place_in_the_op_says() -> None:
    found = owners(MIXTURE)
    assert found["layers.1.mlp.experts.3.down.0.weight"] == (1, 3)
    assert "layers.1.mlp.router.weight" not in found
    named = {name: name.split(".") for name in MIXTURE.weight_specs if ".experts." in name}
    assert found == {name: (int(layer), int(expert)) for name, (_, layer, _, _, expert, *_) in named.items()}


def test_experts_are_ranked_and_covered_by_use() -> None:
    ranked = experts_by_use(MIXTURE, USES)
    assert [(e.layer, e.number) for e in ranked[:6]] == [(0, 1), *((1, expert) for expert in range(EXPERTS))]
    assert {e.nbytes for e in ranked} == {ONE}
    assert [(e.layer, e.number) for e in covering(ranked, 0.85)] == [(0, 1), *((1, expert) for expert in range(5))]
    assert [(e.layer, e.number) for e in covering(ranked, 0.5)] == [(0, 1), (1, 0), (1, 1), (1, 2)]
    assert covering(ranked, 0) == []
    assert covering(ranked, 1) == ranked
    assert within(ranked, 2 * ONE + 5) == ranked[:2]
    assert missed_bytes(ranked, ranked, USED) == 0
    assert missed_bytes(ranked, ranked[1:6], USED) == pytest.approx(ONE * (1 + USED * 0.11))
    with pytest.raises(PlanInputError, match="coverage"):
        covering(ranked, 1.5)


@pytest.mark.parametrize("uses", [{0: [1, 2]}, {0: [1, 2, 3, 4, -1]}, {5: [1, 2, 3, 4, 5]}])
def test_histograms_of_other_models_are_refused(uses: dict[int, list[int]]) -> None:
    with pytest.raises(PlanInputError, match="histogram"):
        experts_by_use(MIXTURE, uses)


def plan_of(memory: int, disk: float, coverage: float = 0.85) -> ShardPlan:
    nodes = [node("a", memory=memory, disk_bytes_per_second=disk)]
    return plan_shards(MIXTURE, nodes, CONTEXT, ExpertPolicy(USES, coverage))


def test_cold_experts_do_not_count_on_a_node_with_a_disk() -> None:
    cold = 4 * ONE  # all of layer 0 but its favourite
    whole = ModelDemand(MIXTURE, CONTEXT).of(0, 2).memory
    (stage,) = plan_of(whole - cold, 1e6).stages
    assert stage.demand.memory == whole - cold
    assert stage.demand.cold_experts == cold
    assert "layers.0.mlp.experts.1.up.weight" in stage.resident
    assert "layers.0.mlp.experts.2.up.weight" not in stage.resident
    with pytest.raises(PlacementError, match="lacks 1 B"):
        plan_of(whole - cold - 1, 1e6)
    with pytest.raises(PlacementError, match=f"lacks {format_size(cold)}"):
        plan_of(whole - cold, 0)


def test_room_that_is_left_keeps_more_experts_and_saves_time() -> None:
    whole = ModelDemand(MIXTURE, CONTEXT).of(0, 2).memory
    tight, roomy = plan_of(whole - 4 * ONE, 1e6), plan_of(whole - 3 * ONE, 1e6)
    more = set(roomy.stages[0].resident) - set(tight.stages[0].resident)
    assert {owners(MIXTURE)[name] for name in more} == {(0, 2)}
    saved = tight.seconds_per_token - roomy.seconds_per_token
    assert saved == pytest.approx(USED * 0.08 * ONE / 1e6)
    assert plan_of(whole, 1e6).stages[0].demand.cold_experts == 0


def test_a_token_does_the_work_of_the_experts_it_uses() -> None:
    specs = MIXTURE.weight_specs
    used = [op for op in MIXTURE.ops if op.kind == "expert_linear"]
    expected = sum(specs[op.weights[0]].nbytes * (2 if op.params["bits"] == 15 else 1) for op in used)
    attention = 2 * 2 * 2 * 16 * CONTEXT.context  # both layers: two products of two heads of 16
    dense = [op for op in MIXTURE.ops if op.kind == "linear"]
    expected += attention + sum(specs[op.weights[0]].nbytes * (2 if op.params["bits"] == 15 else 1) for op in dense)
    assert ModelDemand(MIXTURE, CONTEXT).of(0, 2).work == expected
