"""The radar itself: looks every few seconds, and tells whoever follows what it saw."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nexus_chain.errors import NexusError
from nexus_chain.routing.registry_view import ShardNode
from nexus_chain.routing.reputation import ReputationBook, TrackRecord
from node.gateway.errors import UnavailableError
from node.gateway.radar.proven_faults import ChainSightings, ProvenFault
from node.gateway.radar.signs import (
    Alarm,
    Sign,
    alarms_after,
    coverage_of,
    signs_of_coverage,
    signs_of_node,
    usual_latency,
)

log = logging.getLogger(__name__)

RADAR_SECONDS = 5.0
LATENCIES_SHOWN = 60
FOLLOWERS_AT_MOST = 256


@dataclass(frozen=True)
class WatchedModel:
    """A model that this gateway serves, with the nodes that announce layers of it now.

    Counts since the gateway started: ``failovers``; ``wrong``: answers that did not come out again.
    """

    name: str
    layers: int
    nodes: Sequence[ShardNode]
    failovers: int = 0
    wrong: int = 0


class Radar:
    """``models``, ``book`` and ``faults`` read what is known, and may wait for the chain: a thread asks them."""

    def __init__(
        self,
        models: Callable[[], Sequence[WatchedModel]],
        book: Callable[[], ReputationBook],
        faults: Callable[[], ChainSightings],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._models, self._book, self._faults, self._clock = models, book, faults, clock
        self._latencies: dict[str, deque[float]] = {}
        self._alarms: tuple[Alarm, ...] = ()
        self._chain, self._chain_problem = ChainSightings(), ""
        self._changed = asyncio.Event()
        self._followers = 0
        self.sighting: Mapping[str, Any] = {}
        """The latest, as JSON values; empty before the first look."""

    async def keep_up(self) -> None:
        """Look again and again, for ever."""
        while True:
            try:
                await self.look()
            except NexusError as error:
                log.warning("The radar sees nothing now: %s", error)
            except Exception:
                log.exception("The radar failed")
            await asyncio.sleep(RADAR_SECONDS)

    async def look(self) -> None:
        """Look once, and tell the followers. Raises the chain package's errors, ReputationFileError."""
        self.sighting = await asyncio.to_thread(self._look)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def follow(self) -> AsyncIterator[Mapping[str, Any]]:
        """The latest sighting, then each new one. Raises UnavailableError where too many follow."""
        if self._followers >= FOLLOWERS_AT_MOST:
            raise UnavailableError("too many follow the radar now", advice="Come back later.", retry_after=30.0)
        return self._following()

    async def _following(self) -> AsyncIterator[Mapping[str, Any]]:
        self._followers += 1
        try:
            while True:
                changed = self._changed
                if self.sighting:
                    yield self.sighting
                await changed.wait()
        finally:
            self._followers -= 1

    def _look(self) -> dict[str, Any]:
        models, book = self._models(), self._book()
        try:
            self._chain, self._chain_problem = self._faults(), ""
        except NexusError as error:  # what was seen before stays, and the page says that it is old
            self._chain_problem = type(error).__name__
            log.warning("The radar cannot read the chain: %s", error)
        nodes = {node.node_id: node for model in models for node in model.nodes}
        self._latencies = {id: self._grown(node) for id, node in nodes.items()}
        signs = self._signs(models, nodes, book)
        self._alarms = alarms_after(self._alarms, [*signs, *map(_sign_of_fault, self._chain.faults)], self._clock())
        return {
            "at": self._clock(),
            "chain_is_read": not self._chain_problem,
            "faults": [_told(asdict(fault)) for fault in self._chain.faults],
            "watchers": [_told(asdict(watcher)) for watcher in self._chain.watchers],
            "open_games": list(self._chain.open_games),
            "models": [_model(model) for model in models],
            "nodes": [self._node(node, models, book) for node in nodes.values()],
            "suspicions": [asdict(sign) for sign in signs],
            "alarms": [asdict(alarm) for alarm in self._alarms],
        }

    def _grown(self, node: ShardNode) -> deque[float]:
        kept = self._latencies.get(node.node_id, deque(maxlen=LATENCIES_SHOWN))
        if node.online:
            kept.append(node.latency_ms)
        return kept

    def _signs(
        self, models: Sequence[WatchedModel], nodes: Mapping[str, ShardNode], book: ReputationBook
    ) -> list[Sign]:
        thin = [sign for one in models for sign in signs_of_coverage(one.name, coverage_of(one.layers, one.nodes))]
        known = book.records
        each = [
            signs_of_node(node, list(self._latencies[id]), known.get(id, TrackRecord())) for id, node in nodes.items()
        ]
        return [*thin, *(sign for signs in each for sign in signs)]

    def _node(self, node: ShardNode, models: Sequence[WatchedModel], book: ReputationBook) -> dict[str, Any]:
        record, latencies = book.records.get(node.node_id, TrackRecord()), list(self._latencies[node.node_id])
        return {
            "node": node.node_id,
            "models": [one.name for one in models if any(other.node_id == node.node_id for other in one.nodes)],
            "online": node.online,
            "latencies_ms": latencies,
            "usual_ms": usual_latency(latencies),
            "stake_wei": str(node.stake),
            "reputation": record.reputation,
            "verified": record.verified,
            "failed": record.failed,
            "invalid": record.invalid,
        }


def _model(model: WatchedModel) -> dict[str, Any]:
    coverage = [asdict(run) for run in coverage_of(model.layers, model.nodes)]
    counts = {"failovers": model.failovers, "wrong": model.wrong}
    return {"name": model.name, "layers": model.layers, "coverage": coverage, **counts}


def _sign_of_fault(fault: ProvenFault) -> Sign:
    return Sign("convicted", fault.node, {"transaction": fault.transaction, "at": fault.at, "fault": fault.kind})


def _told(fields: dict[str, Any]) -> dict[str, Any]:
    """Wei as decimal strings: they do not fit a browser's numbers."""
    wei = ("to_vault", "to_beneficiary", "bonds", "balance")
    return {name: str(value) if name in wei else value for name, value in fields.items()}
