"""The radar tells faults that were proven from signs that prove nothing, and forgets neither too early."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from nexus_chain.chain.bound import ChainEvent
from nexus_chain.chain.errors import RpcUnreachableError
from nexus_chain.routing.registry_view import ShardNode
from nexus_chain.routing.reputation import ReputationBook, TrackRecord
from node.gateway.errors import UnavailableError
from node.gateway.event_stream import lasting_events
from node.gateway.radar import radar as radar_module
from node.gateway.radar.proven_faults import ChainSightings, ProvenFault, ProvenFaults, accusers_of
from node.gateway.radar.radar import Radar, WatchedModel
from node.gateway.radar.signs import (
    KEPT_ALARMS,
    Coverage,
    Sign,
    alarms_after,
    coverage_of,
    signs_of_coverage,
    signs_of_node,
)
from tests.support.page_app import page_client

NODE, OTHER, WATCHER = "0x" + "aa" * 20, "0x" + "bb" * 20, "0x" + "cc" * 20


def node(id: str = NODE, start: int = 0, end: int = 4, **more: Any) -> ShardNode:
    given = {"latency_ms": 10.0, "reputation": 1.0, "online": True, "wei_per_token": 1, **more}
    return ShardNode(id, "0x", (0,), layer_start=start, layer_end=end, endpoint="", receipt_key="", **given)


def test_coverage_counts_the_nodes_that_answer_layer_by_layer() -> None:
    nodes = [node(start=0, end=4), node(OTHER, 2, 6), node(OTHER, 0, 6, online=False)]
    assert coverage_of(6, nodes) == [Coverage(0, 2, 1), Coverage(2, 4, 2), Coverage(4, 6, 1)]
    assert coverage_of(6, []) == [Coverage(0, 6, 0)]
    kinds = [(sign.kind, sign.facts["start"]) for sign in signs_of_coverage("m", coverage_of(6, nodes[:2]))]
    assert kinds == [("thin", 0), ("thin", 4)]
    assert [sign.kind for sign in signs_of_coverage("m", coverage_of(6, []))] == ["uncovered"]


@pytest.mark.parametrize(
    ("latencies", "jumps"),
    [
        ([10.0] * 5 + [10.0, 10.0, 10.0], False),
        ([10.0] * 5 + [10.0, 500.0, 10.0], False),  # late once
        ([10.0] * 5 + [500.0, 500.0, 10.0], True),
        ([10.0] * 5 + [40.0, 40.0, 40.0], False),  # four times, and still nothing that anybody feels
        ([500.0] * 3, False),  # nothing is usual yet
    ],
)
def test_a_latency_jumps_where_it_stays_far_above_the_usual_one(latencies: list[float], jumps: bool) -> None:
    assert [sign.kind for sign in signs_of_node(node(), latencies, TrackRecord())] == (["slow"] if jumps else [])


def test_a_node_is_suspected_by_its_record() -> None:
    def kinds(record: TrackRecord, **more: Any) -> list[str]:
        return [sign.kind for sign in signs_of_node(node(**more), [], record)]

    assert kinds(TrackRecord(verified=100, failed=1)) == []
    assert kinds(TrackRecord(verified=10, failed=10)) == ["failing"]
    assert kinds(TrackRecord(verified=10, invalid=1)) == ["disagreed"]
    assert kinds(TrackRecord(), online=False) == ["gone"]


def test_alarms_begin_once_and_end_with_their_sign() -> None:
    gone = Sign("gone", NODE, {})
    first = alarms_after((), [gone], 1.0)
    assert [(alarm.kind, alarm.at, alarm.until) for alarm in first] == [("gone", 1.0, None)]
    assert alarms_after(first, [gone], 2.0) == first
    over = alarms_after(first, [], 3.0)
    assert [alarm.until for alarm in over] == [3.0]
    again = alarms_after(over, [gone], 4.0)
    assert [(alarm.at, alarm.until) for alarm in again] == [(4.0, None), (1.0, 3.0)]


def test_no_alarm_that_lasts_is_forgotten_for_old_ones() -> None:
    alarms = alarms_after((), [Sign("gone", "first", {})], 0.0)
    for number in range(KEPT_ALARMS + 10):
        lasting = [Sign("gone", "first", {}), Sign("slow", str(number), {})]
        alarms = alarms_after(alarms, lasting, float(number))
    assert len(alarms) == KEPT_ALARMS
    assert "first" in [alarm.subject for alarm in alarms if alarm.until is None]


def opened(game: int, bond: int, challenger: str = WATCHER) -> ChainEvent:
    return ChainEvent("GameOpened", {"game": game, "challenger": challenger, "bond": bond, "node": NODE}, game, "0x", 0)


def ended(name: str, game: int, transaction: str = "0xt") -> ChainEvent:
    return ChainEvent(name, {"game": game, "node": NODE}, game + 10, transaction, 0)


def test_a_watchers_budget_is_what_its_open_games_hold() -> None:
    events = [opened(1, 5), opened(2, 7), opened(3, 9), ended("NodeConvicted", 1), ended("NodeAcquitted", 2)]
    (watcher,) = accusers_of(events)
    assert (watcher.open_games, watcher.bonds, watcher.won, watcher.lost) == (1, 9, 1, 1)


@dataclass
class EventChain:
    """Contracts of which only events, blocks and balances are asked. ``queries``: first blocks that were read."""

    events: list[ChainEvent]
    head: int
    queries: list[int]

    @property
    def connection(self) -> EventChain:
        return self

    disputes = nodes = connection

    def block_number(self) -> int:
        return self.head

    def balance(self, address: str) -> int:
        return 77

    def block(self, number: int) -> Any:
        return replace(_Head(), timestamp=1_000 + number)

    def events_of(self, names: Sequence[str], first: int, last: int) -> list[ChainEvent]:
        self.queries.append(first)
        return [event for event in self.events if event.name in names and first <= event.block <= last]


@dataclass(frozen=True)
class _Head:
    timestamp: int = 0


def test_convictions_are_read_with_what_they_cost_and_again_after_a_reorganisation() -> None:
    slashed = ChainEvent("Slashed", {"node": NODE, "toVault": 90, "toBeneficiary": 10}, 11, "0xt", 1)
    chain = EventChain([opened(1, 5), ended("NodeConvicted", 1), slashed], 20, [])
    faults = ProvenFaults(cast(Any, chain), 0)
    seen = faults.read()
    assert list(seen.faults) == [ProvenFault("game", NODE, 1, 1_011, "0xt", 90, 10)]
    assert (seen.watchers[0].balance, seen.open_games) == (77, [])
    chain.events = [opened(1, 5)]  # another block took the place of the verdict's
    chain.head = 21
    seen = faults.read()
    assert (list(seen.faults), seen.open_games) == ([], [1])
    chain.head = 10_000
    faults.read()
    chain.queries.clear()
    faults.read()
    assert min(chain.queries) == 10_000 + 1 - 64, "old blocks are not read again"


def watched(nodes: Sequence[ShardNode]) -> WatchedModel:
    return WatchedModel("m", 4, nodes, failovers=1, wrong=0)


def test_a_sighting_has_everything_and_goes_on_without_the_chain() -> None:
    fault = ProvenFault("equivocation", OTHER, None, 5, "0xt", 3, 4)
    answers: list[Any] = [ChainSightings([fault], [], [2]), RpcUnreachableError("away", advice="Wait.")]

    def faults() -> ChainSightings:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return cast(ChainSightings, found)

    book = ReputationBook({NODE: TrackRecord(verified=3, invalid=1)})
    radar = Radar(lambda: [watched([node(stake=10**18)])], lambda: book, faults, clock=lambda: 9.0)

    async def work() -> None:
        async with page_client(radar=radar) as client:
            await radar.look()
            seen = radar.sighting
            assert seen["faults"][0]["to_vault"] == "3"
            assert seen["nodes"][0]["stake_wei"] == str(10**18)
            assert {sign["kind"] for sign in seen["suspicions"]} == {"thin", "disagreed"}
            assert {alarm["kind"] for alarm in seen["alarms"]} == {"thin", "disagreed", "convicted"}
            assert (seen["models"][0]["failovers"], seen["chain_is_read"]) == (1, True)
            await radar.look()
            assert radar.sighting["chain_is_read"] is False
            assert len(radar.sighting["faults"]) == 1, "what was seen before stays"
            assert (await client.get("/page/versions")).status_code == 404

    asyncio.run(work())


def seen_in(told: bytes) -> dict[str, Any]:
    """The sighting that an event tells."""
    head, data = told.decode().rstrip().split("\n")
    assert head == "event: sighting"
    return cast(dict[str, Any], json.loads(data.removeprefix("data: ")))


def test_followers_hear_each_sighting_and_end_with_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radar_module, "FOLLOWERS_AT_MOST", 1)
    radar = Radar(lambda: [], ReputationBook, ChainSightings, clock=lambda: 1.0)

    async def work() -> None:
        await radar.look()
        following = radar.follow()
        with pytest.raises(UnavailableError):
            radar.follow()  # also while the first has not begun to read
        assert seen_in(await anext(following))["at"] == 1.0
        coming = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        assert not coming.done()
        await radar.look()
        assert seen_in(await coming)["models"] == []
        await following.aclose()
        radar.follow()  # and leaves before anything was read
        radar.follow()

    asyncio.run(work())


def test_a_sighting_is_written_once_for_all_who_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    real = radar_module.event
    monkeypatch.setattr(radar_module, "event", lambda *words: written.append(1) or real(*words))
    radar = Radar(lambda: [], ReputationBook, ChainSightings, clock=lambda: 1.0)

    async def work() -> None:
        await radar.look()
        followers = [radar.follow() for _ in range(20)]
        told = [await anext(one) for one in followers]
        assert len({id(one) for one in told}) == len(written) == 1
        for one in followers:
            await one.aclose()

    asyncio.run(work())


def test_one_address_does_not_take_every_followers_place() -> None:
    radar = Radar(lambda: [], ReputationBook, ChainSightings, clock=lambda: 1.0)

    async def work() -> None:
        await radar.look()
        followers = [radar.follow("203.0.113.7") for _ in range(radar_module.FOLLOWERS_OF_ADDRESS)]
        with pytest.raises(UnavailableError, match="your address"):
            radar.follow("203.0.113.7")
        assert seen_in(await anext(radar.follow("203.0.113.8")))["at"] == 1.0
        del followers

    asyncio.run(work())


def test_a_silent_stream_beats_and_ends_when_the_gateway_leaves() -> None:
    closed = []

    async def silent() -> Any:
        try:
            yield b"data: 1\n\n"
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    async def work() -> None:
        leaving = asyncio.Event()
        stream = lasting_events(silent(), leaving, beat=0.01)
        assert await anext(stream) == b"data: 1\n\n"
        assert (await anext(stream)).startswith(b":")
        leaving.set()
        assert [piece async for piece in stream if not piece.startswith(b":")] == []
        assert closed == [True]

    asyncio.run(work())
