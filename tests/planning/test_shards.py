"""Shards cover the model once, are as even as contiguous ranges allow, and find room."""

from __future__ import annotations

from itertools import combinations

import pytest

from nexus_chain.planning.errors import PlacementError, ShardCountError
from nexus_chain.planning.placement import NodeProfile, assign_shards
from nexus_chain.planning.shards import shard_model
from nexus_chain.program.descriptors import ModelShape
from nexus_chain.program.random_weights import random_model

SHAPE = ModelShape(
    layers=6, width=32, heads=4, kv_heads=2, head_dim=8, ffn=64, vocab=96, context=32, rms_eps=1e-5, rope_theta=1e4
)
PROGRAM = random_model(SHAPE, seed=3).program


def bytes_of(start: int, end: int) -> int:
    return sum(spec.nbytes for spec in PROGRAM.weights_of(start, end))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
def test_cut_is_the_most_even_one(count: int) -> None:
    shards = shard_model(PROGRAM, count)
    assert [s.shard_id for s in shards] == list(range(count))
    assert [s.layer_start for s in shards] == [0, *[s.layer_end for s in shards[:-1]]]
    assert shards[-1].layer_end == 6
    assert [s.size_bytes for s in shards] == [bytes_of(s.layer_start, s.layer_end) for s in shards]
    best = min(
        max(bytes_of(a, b) for a, b in zip((0, *cut), (*cut, 6), strict=True))
        for cut in combinations(range(1, 6), count - 1)
    )
    assert max(s.size_bytes for s in shards) == best
    assert len({s.hash for s in shards}) == count


def test_same_layers_have_the_same_hash() -> None:
    assert shard_model(PROGRAM, 2)[0].hash == shard_model(PROGRAM, 2)[0].hash
    assert shard_model(PROGRAM, 1)[0].size_mb == bytes_of(0, 6) / 2**20


@pytest.mark.parametrize("count", [-1, 0, 7])
def test_impossible_counts_are_refused(count: int) -> None:
    with pytest.raises(ShardCountError, match="Choose 1 to 6"):
        shard_model(PROGRAM, count)


def sizes(count: int) -> dict[int, int]:
    return {shard.shard_id: shard.size_bytes for shard in shard_model(PROGRAM, count)}


def test_placement_covers_every_shard_then_replicates() -> None:
    nodes = [NodeProfile(f"n{i}", max(sizes(2).values()), float(i)) for i in range(7)]
    placed = assign_shards(sizes(2), nodes)
    assert sorted(placed.values()) == [0, 0, 0, 1, 1, 1]
    assert "n0" not in placed  # the slowest stays free


def test_copies_that_are_there_count() -> None:
    nodes = [NodeProfile(f"n{i}", 10**9, 1.0) for i in range(6)]
    assert sorted(assign_shards(sizes(2), nodes, copies={0: 1, 1: 2}).values()) == [0, 0, 1]
    assert sorted(assign_shards(sizes(2), nodes[:1], copies={0: 2, 1: 1}).values()) == [1]
    assert assign_shards(sizes(2), nodes, copies={0: 3, 1: 4}) == {}
    assert assign_shards(sizes(2), [NodeProfile("n", 10, 1.0)], copies={0: 1, 1: 1}) == {}


def test_large_nodes_are_kept_for_large_shards() -> None:
    nodes = [NodeProfile(f"n{i}", size, 1.0) for i, size in enumerate(sorted(sizes(3).values()))]
    placed = assign_shards(sizes(3), nodes)
    assert sorted(placed.values()) == [0, 1, 2]


def test_a_shard_that_fits_nowhere_is_named() -> None:
    with pytest.raises(PlacementError, match="fits no free node"):
        assign_shards(sizes(1), [NodeProfile("n", 10, 1.0)])
