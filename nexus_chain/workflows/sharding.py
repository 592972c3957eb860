"""Cutting a model into the files that nodes load, and planning which node serves which layers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nexus_chain.commitments.tensor_block import write_tensor_block
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.planning.demand import Load
from nexus_chain.planning.plan import ExpertPolicy, ShardPlan, plan_shards
from nexus_chain.planning.profiles import read_histogram, read_profiles
from nexus_chain.planning.shards import ModelShard, shard_model
from nexus_chain.program import IntegerModel
from nexus_chain.workflows.inspection import read_program_at
from nexus_chain.workflows.observer import SILENT, TaskObserver


@dataclass(frozen=True)
class WrittenShard:
    """A shard and the TensorBlock that holds it."""

    part: ModelShard
    file: Path


@dataclass(frozen=True)
class PlanRequest:
    """What is planned for: the file that describes the nodes, positions a session (0: all) and sessions at once.

    ``expert_uses``: a histogram's file. ``coverage``: share of uses whose experts stay in memory. ``resident``:
    the file that resident experts' weights are written to.
    """

    nodes: Path
    positions: int = 0
    sessions: int = 1
    expert_uses: Path | None = None
    coverage: float = 0.95
    resident: Path | None = None


def write_shards(
    folder: Path, count: int, out: Path | None = None, observer: TaskObserver = SILENT
) -> list[WrittenShard]:
    """Cut the integer model in ``folder`` into ``count`` TensorBlocks of like size. Raises ShardCountError.

    ``out``: their folder, by default ``shards`` in the model's.
    """
    model, target = IntegerModel.load(folder), out or folder / "shards"
    parts, commitment = shard_model(model.program, count), ModelCommitment.of(model)
    written = []
    with observer.stage("Writing shards") as advance:
        for number, part in enumerate(parts, 1):
            path = target / f"layers-{part.layer_start}-{part.layer_end}.safetensors"
            write_tensor_block(model, path, part.layer_start, part.layer_end, commitment)
            written.append(WrittenShard(part, path))
            advance(number, len(parts))
    return written


def plan_nodes(place: Path, wanted: PlanRequest) -> ShardPlan:
    """Split the model at ``place`` over nodes so that the slowest stage is as fast as memories allow.

    Raises PlanInputError and PlacementError.
    """
    program = read_program_at(place)
    uses = read_histogram(wanted.expert_uses) if wanted.expert_uses else {}
    load = Load(wanted.positions or program.shape.context, wanted.sessions)
    plan = plan_shards(program, read_profiles(wanted.nodes), load, ExpertPolicy(uses, wanted.coverage))
    if wanted.resident is not None:
        wanted.resident.write_text("".join(f"{name}\n" for stage in plan.stages for name in stage.resident))
    return plan
