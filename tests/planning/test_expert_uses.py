"""Uses of experts are counted exactly: as many as the reference executor chooses, one by one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nexus_chain.engine.engine import Engine
from nexus_chain.engine.reference import ReferenceExecutor
from nexus_chain.planning.demand import Load, ModelDemand
from nexus_chain.planning.errors import PlanInputError
from nexus_chain.planning.expert_uses import count_expert_uses
from nexus_chain.planning.experts import Histogram, covering, experts_by_use
from nexus_chain.planning.placement import NodeProfile
from nexus_chain.planning.plan import ExpertPolicy, plan_shards
from nexus_chain.planning.profiles import read_histogram, write_histogram
from nexus_chain.program import PRESETS, IntegerModel, Sampling, import_checkpoint, random_model
from tests.support.random_checkpoints import checkpoint

LAYERS, EXPERTS, SLOTS, WINDOW = 2, 5, 2, 16
CALM = torch.arange(40, dtype=torch.int32) % 3  # two texts of different words
LIVELY = torch.randint(3, 96, (40,), generator=torch.Generator().manual_seed(8), dtype=torch.int32)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> IntegerModel:
    folder = tmp_path_factory.mktemp("mixtral")
    checkpoint(folder, "mixtral", num_local_experts=EXPERTS, num_experts_per_tok=SLOTS)
    return import_checkpoint(folder)


def by_hand(model: IntegerModel, tokens: torch.Tensor, window: int) -> dict[int, list[int]]:
    """Every choice of the reference executor, counted one at a time."""
    chosen: Counter[tuple[int, int]] = Counter()
    for start in range(0, len(tokens), window):
        trace = ReferenceExecutor(model.program, model.weights).run(tokens[start : start + window], 1, Sampling())
        for layer in range(LAYERS):
            for row in trace[f"layers.{layer}.mlp.route.index"].tolist():
                chosen.update((layer, expert) for expert in row)
    return {layer: [chosen[layer, expert] for expert in range(EXPERTS)] for layer in range(LAYERS)}


@pytest.mark.parametrize("tokens", [CALM, LIVELY], ids=["calm", "lively"])
def test_counts_are_those_of_the_reference(mixture: IntegerModel, tokens: torch.Tensor) -> None:
    expected = by_hand(mixture, tokens, WINDOW)
    assert all(sum(row) == len(tokens) * SLOTS for row in expected.values())
    for backend in ("torch", "auto"):
        engine = Engine(mixture.program, mixture.weights, backend=backend)
        assert count_expert_uses(engine, tokens, WINDOW) == expected
    assert count_expert_uses(Engine(mixture.program, mixture.weights, 0, 1), tokens, WINDOW) == {0: expected[0]}


def test_progress_is_told_and_windows_are_whole_contexts(mixture: IntegerModel) -> None:
    told: list[tuple[int, int]] = []
    engine = Engine(mixture.program, mixture.weights)
    found = count_expert_uses(engine, LIVELY, WINDOW, lambda done, total: told.append((done, total)))
    assert told == [(16, 40), (32, 40), (40, 40)]
    alone = [count_expert_uses(engine, LIVELY[start : start + WINDOW], WINDOW) for start in (0, 16, 32)]
    for layer, row in found.items():
        assert row == [sum(counts) for counts in zip(*(part[layer] for part in alone), strict=True)]


def test_the_plan_keeps_what_the_text_uses(mixture: IntegerModel, tmp_path: Path) -> None:
    """The same node and coverage: other experts stay in memory for another text."""
    engine, kept = Engine(mixture.program, mixture.weights), []
    for tokens in (CALM, LIVELY):
        write_histogram(count_expert_uses(engine, tokens, WINDOW), tmp_path / "uses.json")
        uses = read_histogram(tmp_path / "uses.json")
        assert uses == by_hand(mixture, tokens, WINDOW)
        kept.append(resident(mixture, uses))
    assert kept[0] != kept[1]


def resident(mixture: IntegerModel, uses: Histogram, coverage: float = 0.6) -> set[str]:
    """Weights of experts that a node with a disk and room for no more than the hot ones keeps."""
    ranked, load = experts_by_use(mixture.program, uses), Load(WINDOW)
    hot = {name for expert in covering(ranked, coverage) for name in expert.weights}
    cold = {name for expert in ranked for name in expert.weights} - hot
    memory = ModelDemand(mixture.program, load, cold).of(0, LAYERS).memory
    node = NodeProfile("a", memory, 10.0, disk_bytes_per_second=1e6)
    (stage,) = plan_shards(mixture.program, [node], load, ExpertPolicy(uses, coverage)).stages
    assert set(stage.resident) == hot
    with_room = plan_shards(mixture.program, [replace(node, memory_bytes=1 << 30)], load, ExpertPolicy(uses, coverage))
    assert with_room.seconds_per_token < stage.seconds, "cold experts cost their reading, by use"
    return hot


def test_nothing_to_count_is_refused(mixture: IntegerModel) -> None:
    dense = random_model(PRESETS["tiny"])
    with pytest.raises(PlanInputError, match="no experts"):
        count_expert_uses(Engine(dense.program, dense.weights), CALM, WINDOW)
    with pytest.raises(PlanInputError, match="no token"):
        count_expert_uses(Engine(mixture.program, mixture.weights), CALM[:0], WINDOW)
