"""Which node should serve which shard.

Every node serves one shard. Shards that have fewest copies for their heat are served first,
each by the fastest free node with room. Advice for operators: nobody is forced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nexus_chain.planning.errors import PlacementError
from nexus_chain.planning.shards import ModelShard

#: Copies of each shard to aim at.
REPLICAS = 3


@dataclass(frozen=True)
class NodeProfile:
    """What a node can hold and do.

    ``tokens_per_second`` was measured with one sequence over ``measured_layers`` ([start, end); None: the
    whole model). ``hop_seconds``: for a row to get there and its successor back, without computing.
    ``disk_bytes_per_second``: sequential reads; 0: the node keeps all it serves in memory.
    """

    node_id: str
    memory_bytes: int
    tokens_per_second: float
    measured_layers: tuple[int, int] | None = None
    hop_seconds: float = 0.0
    disk_bytes_per_second: float = 0.0


def assign_shards(
    shards: Sequence[ModelShard],
    profiles: Sequence[NodeProfile],
    *,
    replicas: int = REPLICAS,
    heat: Mapping[int, float] | None = None,
) -> dict[str, int]:
    """Node id -> shard id. ``heat``: relative demand by shard id (default 1 each); hot shards get more copies.

    Every shard gets one copy before any gets a second; nodes left over when all have ``replicas`` times
    their heat stay free. Raises PlacementError when a shard fits no node.
    """
    demand = {shard.shard_id: max((heat or {}).get(shard.shard_id, 1.0), 1e-9) for shard in shards}
    copies = dict.fromkeys(demand, 0)
    free = {profile.node_id: profile for profile in profiles}
    placed: dict[str, int] = {}
    open_shards = list(shards)
    while open_shards and free:
        shard = min(open_shards, key=lambda s: _urgency(s, copies[s.shard_id], demand[s.shard_id]))
        node = _best_fit(shard, free, open_shards)
        done = copies[shard.shard_id] >= max(1.0, replicas * demand[shard.shard_id])
        if node is None or done:
            open_shards.remove(shard)
            continue
        placed[node] = shard.shard_id
        copies[shard.shard_id] += 1
        del free[node]
    missing = [shard for shard in shards if not copies[shard.shard_id]]
    if missing:
        raise PlacementError(
            f"shard {missing[0].shard_id} of {missing[0].size_bytes} bytes fits no free node",
            advice="Cut the model into more shards, or add a node with more memory.",
        )
    return placed


def _urgency(shard: ModelShard, copies: int, demand: float) -> tuple[bool, float, int, int]:
    """Smallest first: uncovered, then fewest copies for the demand, then the largest shard."""
    return copies > 0, copies / demand, -shard.size_bytes, shard.shard_id


def _best_fit(shard: ModelShard, free: Mapping[str, NodeProfile], waiting: Sequence[ModelShard]) -> str | None:
    """The fastest free node with room; among nodes that only this shard or smaller ones fit, first."""
    fitting = [profile for profile in free.values() if profile.memory_bytes >= shard.size_bytes]
    if not fitting:
        return None

    def larger_uses(profile: NodeProfile) -> int:
        return sum(shard.size_bytes < other.size_bytes <= profile.memory_bytes for other in waiting)

    return min(fitting, key=lambda p: (larger_uses(p), -p.tokens_per_second, p.node_id)).node_id
