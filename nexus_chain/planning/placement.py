"""Which node should serve which shard.

Every node serves one shard. Shards that have fewest copies come first, the largest of them before the others, each
on the fastest free node with room. Advice for operators: nobody is forced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nexus_chain.planning.errors import PlacementError

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
    sizes: Mapping[int, int],
    profiles: Sequence[NodeProfile],
    *,
    copies: Mapping[int, int] | None = None,
    replicas: int = REPLICAS,
) -> dict[str, int]:
    """Node id -> shard id. ``sizes``: bytes by shard id; ``copies``: how many nodes serve a shard already.

    Every shard gets one copy before any gets a second. Nodes left over when all have ``replicas`` stay free, and so
    do nodes that have room for no shard. Raises PlacementError when a shard without a copy fits no node.
    """
    count = {shard: (copies or {}).get(shard, 0) for shard in sizes}
    free = {profile.node_id: profile for profile in profiles}
    placed: dict[str, int] = {}
    waiting = [shard for shard in sizes if count[shard] < replicas]
    while waiting and free:
        shard = min(waiting, key=lambda number: (count[number], -sizes[number], number))
        node = _best_fit(sizes[shard], free, [sizes[other] for other in waiting])
        if node is not None:
            placed[node] = shard
            count[shard] += 1
            del free[node]
        if node is None or count[shard] >= replicas:
            waiting.remove(shard)
    if missing := [shard for shard in sizes if not count[shard]]:
        raise PlacementError(
            f"shard {missing[0]} of {sizes[missing[0]]} bytes fits no free node",
            advice="Cut the model into more shards, or add a node with more memory.",
        )
    return placed


def _best_fit(size: int, free: Mapping[str, NodeProfile], waiting: Sequence[int]) -> str | None:
    """The fastest free node with room; among nodes that only this shard or smaller ones fit, first."""
    fitting = [profile for profile in free.values() if profile.memory_bytes >= size]
    if not fitting:
        return None

    def larger_uses(profile: NodeProfile) -> int:
        return sum(size < other <= profile.memory_bytes for other in waiting)

    return min(fitting, key=lambda p: (larger_uses(p), -p.tokens_per_second, p.node_id)).node_id
