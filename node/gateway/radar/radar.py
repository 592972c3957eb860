"""The radar itself: looks every few seconds, and tells whoever follows what it saw."""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nexus_chain.errors import NexusError
from nexus_chain.routing.registry_view import ShardNode
from nexus_chain.routing.reputation import ReputationBook, TrackRecord
from node.gateway.event_stream import event
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
from node.gateway.shared_places import OWN_MACHINE, SharedPlace, SharedPlaces

log = logging.getLogger(__name__)

RADAR_SECONDS = 5.0
LATENCIES_SHOWN = 60
FOLLOWERS_AT_MOST = 256
FOLLOWERS_OF_ADDRESS = 32


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
        self._places = SharedPlaces(FOLLOWERS_AT_MOST, FOLLOWERS_OF_ADDRESS, "followers of the radar", 30.0)
        self._told = b""  # the latest sighting as an event: written once, whoever follows
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
        self.sighting, self._told = await asyncio.to_thread(self._look)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def follow(self, address: str = OWN_MACHINE) -> AsyncGenerator[bytes, None]:
        """An event of the latest sighting, then of each new one.

        Raises UnavailableError where too many follow, or too many of ``address``; see ``remote_address``.
        """
        place = self._places.take(address)
        following = self._following(place)
        # A caller may leave before the first piece: then nothing of the stream ever runs, its end neither.
        weakref.finalize(following, place.give_back)
        return following

    async def _following(self, place: SharedPlace) -> AsyncGenerator[bytes, None]:
        with place:
            while True:
                changed = self._changed
                if self._told:
                    yield self._told
                await changed.wait()

    def _look(self) -> tuple[dict[str, Any], bytes]:
        seen = self._seen()
        return seen, event(seen, "sighting")

    def _seen(self) -> dict[str, Any]:
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
