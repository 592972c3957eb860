"""Choosing one node per segment so that all layers are covered once, with spares.

This is a shortest path over layer boundaries. A node is an edge from its first layer to the layer after its last. The
edge costs the node's latency, and more if the node is loaded, distrusted or dear. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from nexus_chain.market.documents import Ask
from nexus_chain.routing.errors import NoNodeForLayersError
from nexus_chain.routing.registry_view import ShardNode

_LEAST_LATENCY_MS = 0.1
_LEAST_REPUTATION = 0.01


@dataclass(frozen=True)
class RoutePolicy:
    """How to weigh what is known about a node."""

    price_weight: float = 1.0  # 0: price does not matter; 1: twice the price is as bad as twice the latency
    minimum_reputation: float = 0.5  # nodes below are not used at all
    spare_premium: Fraction = Fraction(0)  # how far above the first choice's price a spare may be, paid to both
    spares: int = 2  # kept per segment, if there are any


@dataclass(frozen=True)
class InferenceRoute:
    """One node per segment in layer order, and for each segment its spares, best first."""

    nodes: tuple[ShardNode, ...]
    spares: tuple[tuple[ShardNode, ...], ...]
    layers: int

    @property
    def asks(self) -> tuple[Ask, ...]:
        """The asks for the order: high enough for each segment's spares too."""
        return tuple(
            Ask(node.layer_start, node.layer_end, max(n.wei_per_token for n in (node, *spares)))
            for node, spares in zip(self.nodes, self.spares, strict=True)
        )

    def candidates(self, segment: int) -> tuple[ShardNode, ...]:
        """The node of a segment, then its spares."""
        return (self.nodes[segment], *self.spares[segment])


def find_route(nodes: Iterable[ShardNode], layers: int, policy: RoutePolicy | None = None) -> InferenceRoute:
    """The cheapest cover of layers [0, layers) by usable nodes, with spares for the same layer ranges.

    Raises NoNodeForLayersError naming the first range of layers that stops every route.
    """
    policy = policy or RoutePolicy()
    usable = [n for n in nodes if n.online and n.reputation >= policy.minimum_reputation]
    groups = _ranked_by_range(usable, policy)
    best: dict[int, tuple[float, tuple[tuple[int, int], ...]]] = {0: (0.0, ())}
    for start in range(layers):
        if start not in best:
            continue
        spent, path = best[start]
        for (first, end), ranked in groups.items():
            if first == start and end <= layers:
                offer = (spent + ranked[0][0], (*path, (first, end)))
                if end not in best or offer < best[end]:
                    best[end] = offer
    if layers not in best:
        raise NoNodeForLayersError(*_gap(set(groups), layers), layers)
    return _route([_with_spares([node for _, node in groups[key]], policy) for key in best[layers][1]], layers)


def _ranked_by_range(
    nodes: Sequence[ShardNode], policy: RoutePolicy
) -> dict[tuple[int, int], list[tuple[float, ShardNode]]]:
    """Nodes by layer range, cheapest first; equal costs in address order, so that routes are reproducible."""
    floor = min((_price_per_layer(node) for node in nodes), default=1.0)
    groups: dict[tuple[int, int], list[tuple[float, ShardNode]]] = {}
    for node in nodes:
        ranked = groups.setdefault((node.layer_start, node.layer_end), [])
        ranked.append((_cost(node, floor, policy), node))
    for ranked in groups.values():
        ranked.sort(key=lambda entry: (entry[0], entry[1].node_id))
    return groups


def _cost(node: ShardNode, floor: float, policy: RoutePolicy) -> float:
    """Milliseconds, stretched by load, distrust and price against the cheapest layer on offer."""
    dearness: float = (_price_per_layer(node) / floor) ** policy.price_weight
    latency = max(node.latency_ms, _LEAST_LATENCY_MS)
    return latency * (1 + node.active_orders) / max(node.reputation, _LEAST_REPUTATION) * dearness


def _price_per_layer(node: ShardNode) -> float:
    # One wei on top: a free node is cheap, not infinitely so.
    return (node.wei_per_token + 1) / (node.layer_end - node.layer_start)


def _with_spares(ranked: list[ShardNode], policy: RoutePolicy) -> list[ShardNode]:
    first, *others = ranked
    limit = first.wei_per_token * (1 + policy.spare_premium)
    return [first, *[node for node in others if node.wei_per_token <= limit][: policy.spares]]


def _route(segments: Sequence[Sequence[ShardNode]], layers: int) -> InferenceRoute:
    return InferenceRoute(
        nodes=tuple(candidates[0] for candidates in segments),
        spares=tuple(tuple(candidates[1:]) for candidates in segments),
        layers=layers,
    )


def _gap(ranges: set[tuple[int, int]], layers: int) -> tuple[int, int]:
    """The layers [a, b) that stop every route: a is as far as one gets, b where the rest could go on."""
    inside = {(start, end) for start, end in ranges if end <= layers}
    reached = {0}
    for start, end in sorted(inside):
        if start in reached:
            reached.add(end)
    leads_home = {layers}
    for start, end in sorted(inside, reverse=True):
        if end in leads_home:
            leads_home.add(start)
    furthest = max(reached)
    return furthest, min(point for point in leads_home if point > furthest)
