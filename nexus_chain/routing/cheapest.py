"""What a version's nodes ask for a token: by layer range, and over the cheapest chain of nodes through all layers."""

from __future__ import annotations

from collections.abc import Sequence

from nexus_chain.routing.registry_view import ShardNode


def asked_by_range(nodes: Sequence[ShardNode]) -> dict[tuple[int, int], tuple[int, int]]:
    """The lowest and the highest ask (wei per token) of each layer range, in the order of layers."""
    asks: dict[tuple[int, int], list[int]] = {}
    for node in nodes:
        asks.setdefault((node.layer_start, node.layer_end), []).append(node.wei_per_token)
    return {layers: (min(found), max(found)) for layers, found in sorted(asks.items())}


def cheapest_cover(nodes: Sequence[ShardNode], layers: int) -> int | None:
    """Wei per token over the cheapest ranges that follow one another through [0, layers); None: no such ranges."""
    best: dict[int, int] = {0: 0}
    for (start, end), (least, _) in asked_by_range(nodes).items():  # by start: what leads there is known by then
        if start in best and end > start:
            best[end] = min(best[start] + least, best.get(end, best[start] + least))
    return best.get(layers)
