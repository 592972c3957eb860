"""Signs of trouble in what a gateway knows of its nodes, and the alarms they raise. None proves a fault."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Any

from nexus_chain.routing.registry_view import ShardNode
from nexus_chain.routing.reputation import TrackRecord

SAFE_COPIES = 2
"""Nodes of a layer below which one that leaves, or lies, stops the model."""
JUMP, JUMP_MS = 3.0, 50.0
"""A latency jumps where it is so many times the usual one, and so many milliseconds above it."""
RECENT_LATENCIES = 3
"""Latencies that say how a node is now, by their median: one that was late once is no sign."""
LEAST_SAMPLES = 5
"""Latencies before these without which nothing is usual."""
FAILING = 0.8
"""Share of served chunks below which a node fails too often."""
KEPT_ALARMS = 200


@dataclass(frozen=True)
class Coverage:
    """Layers [start, end) with the number of nodes that answer for all of them."""

    start: int
    end: int
    nodes: int


@dataclass(frozen=True)
class Sign:
    """``kind``: thin, uncovered, gone, slow, failing or disagreed. ``subject``: a node's address, or a model's name.

    ``facts``: numbers for the sentence about it.
    """

    kind: str
    subject: str
    facts: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The same for the same trouble, however its numbers move."""
        place = f":{self.facts['start']}-{self.facts['end']}" if "start" in self.facts else ""
        return f"{self.kind}:{self.subject}{place}"


@dataclass(frozen=True)
class Alarm:
    """A sign or a proven fault that was noticed ``at`` (Unix seconds); ``until``: None while it lasts."""

    key: str
    kind: str
    subject: str
    facts: Mapping[str, Any]
    at: float
    until: float | None = None


def coverage_of(layers: int, nodes: Iterable[ShardNode]) -> list[Coverage]:
    """All layers [0, layers) in runs between which the nodes that are online change."""
    online = [node for node in nodes if node.online]
    ends = {0, layers, *(edge for node in online for edge in (node.layer_start, node.layer_end) if 0 < edge < layers)}
    return [
        Coverage(start, end, sum(node.layer_start <= start and end <= node.layer_end for node in online))
        for start, end in pairwise(sorted(ends))
    ]


def signs_of_coverage(model: str, coverage: Iterable[Coverage]) -> list[Sign]:
    """Layers with fewer nodes than SAFE_COPIES."""
    return [
        Sign("thin" if run.nodes else "uncovered", model, {"start": run.start, "end": run.end, "nodes": run.nodes})
        for run in coverage
        if run.nodes < SAFE_COPIES
    ]


def signs_of_node(node: ShardNode, latencies: Sequence[float], record: TrackRecord) -> list[Sign]:
    """``latencies``: milliseconds, oldest first. ``record``: this user's own."""
    found: list[Sign] = []
    if not node.online:
        found.append(Sign("gone", node.node_id, {}))
    elif (usual := usual_latency(latencies)) is not None:
        now = median(latencies[-RECENT_LATENCIES:])
        if now > max(JUMP * usual, usual + JUMP_MS):
            found.append(Sign("slow", node.node_id, {"latency_ms": now, "usual_ms": usual}))
    if record.invalid:
        found.append(Sign("disagreed", node.node_id, {"chunks": record.invalid}))
    elif record.reputation < FAILING:
        found.append(Sign("failing", node.node_id, {"failed": record.failed, "verified": record.verified}))
    return found


def usual_latency(latencies: Sequence[float]) -> float | None:
    """The median of all but the RECENT_LATENCIES; None where there are too few."""
    before = latencies[:-RECENT_LATENCIES]
    return median(before) if len(before) >= LEAST_SAMPLES else None


def alarms_after(alarms: Sequence[Alarm], signs: Iterable[Sign], now: float) -> tuple[Alarm, ...]:
    """The alarms once ``signs`` are what there is: new ones begin now, those whose sign is gone have ended.

    Newest first; an alarm that lasts is never forgotten.
    """
    present = {sign.key: sign for sign in signs}
    lasting = {alarm.key for alarm in alarms if alarm.until is None}
    begun = [
        Alarm(key, sign.kind, sign.subject, dict(sign.facts), now)
        for key, sign in present.items()
        if key not in lasting
    ]
    ended = [
        replace(alarm, until=now) if alarm.until is None and alarm.key not in present else alarm for alarm in alarms
    ]
    every = [*begun, *ended]
    room = KEPT_ALARMS - sum(alarm.until is None for alarm in every)
    old = [alarm for alarm in every if alarm.until is not None][: max(0, room)]
    return tuple(alarm for alarm in every if alarm.until is None or alarm in old)
