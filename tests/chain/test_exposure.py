"""What hangs on a node is the sum of its unsettled lines; old events are read once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.chain import exposure
from nexus_chain.chain.bound import ChainEvent
from nexus_chain.chain.errors import TransactionError
from nexus_chain.chain.exposure import OpenLines, unsettled_lines
from nexus_chain.chain.inference_market import InferenceMarket
from nexus_chain.market.documents import Line, checksum
from tests.support.chain_world import CAP, World

Queries = list[tuple[int, int]]


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> Queries:
    """The block ranges that are asked for."""
    asked: Queries = []
    real = InferenceMarket.events_of

    def noted(market: InferenceMarket, names: Any, first: int, last: int) -> list[ChainEvent]:
        asked.append((first, last))
        return real(market, names, first, last)

    monkeypatch.setattr(InferenceMarket, "events_of", noted)
    return asked


def head(world: World) -> int:
    return int(world.chain.connection.block_number())


def test_caps_count_from_opening_until_each_line_is_settled(world: World) -> None:
    first, second = world.nodes
    assert unsettled_lines(world.user).by_node() == {}
    session = world.open()
    world.user.market.open(world.key.address, world.user.market.now() + 600, [Line(first, 7)], bytes(31) + b"\x01")
    assert unsettled_lines(world.user).by_node() == {first: CAP + 7, second: CAP}
    world.user.market.allot(session, second, CAP + 11)
    world.owner.market.post(*world.voucher(session, 500))
    assert unsettled_lines(world.user).by_node() == {first: CAP + 7, second: CAP + 11}
    world.user.market.close(session)
    world.chain.advance(61)
    world.user.market.settle(session, first)
    assert unsettled_lines(world.user).by_node() == {first: 7, second: CAP + 11}
    world.user.market.settle(session, second)
    assert unsettled_lines(world.user).by_node() == {first: 7}


def test_what_a_dispute_gave_back_early_no_longer_hangs_on_the_node() -> None:
    node, session = "0x" + "AA" * 20, bytes(32)
    lines = OpenLines(0)

    def event(name: str, **arguments: object) -> ChainEvent:
        return ChainEvent(name, {"session": session, "node": node, **arguments}, 1, "0x", 0)

    opened = ChainEvent("SessionOpened", {"session": session, "caps": [{"node": node, "cap": 100}]}, 1, "0x", 0)
    assert lines.apply([opened, event("LineRefunded", toUser=60)], 4).by_node() == {checksum(node): 40}
    assert lines.block == 4
    assert lines.apply([event("LineSettled")], 5).by_node() == {}


def test_old_blocks_are_read_once(
    world: World, queries: Queries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposure, "TENTATIVE_BLOCKS", 1)
    cache = tmp_path / "home" / "exposure.json"
    world.open()
    before = head(world)
    expected = unsettled_lines(world.user, cache).by_node()
    assert queries[0][0] == world.user.deployment.block
    queries.clear()
    assert unsettled_lines(world.user, cache).by_node() == expected
    assert queries == [(before, before)]
    queries.clear()
    world.open()
    grown = unsettled_lines(world.user, cache).by_node()
    assert grown == {node: 2 * wei for node, wei in expected.items()}
    assert min(first for first, _ in queries) == before
    assert cache.stat().st_mode & 0o100 == 0


def test_a_cache_that_is_damaged_or_of_another_chain_is_not_used(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposure, "TENTATIVE_BLOCKS", 0)
    cache = tmp_path / "exposure.json"
    world.open()
    expected = unsettled_lines(world.user, cache).by_node()
    kept = json.loads(cache.read_text())
    assert kept["lines"]
    wrong = [
        "{",
        "[]",
        json.dumps({**kept, "format": "other", "lines": []}),
        json.dumps({**kept, "deployment": ["of another chain"], "lines": []}),
        json.dumps({**kept, "block": kept["block"] + 1000, "lines": []}),
        json.dumps({**kept, "lines": [["00", "nobody", "1", "0"]]}),
    ]
    for text in wrong:
        cache.write_text(text)
        assert unsettled_lines(world.user, cache).by_node() == expected


def test_ranges_that_a_server_finds_too_long_are_halved(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.open()
    expected = unsettled_lines(world.user).by_node()
    real = InferenceMarket.events_of

    def fussy(market: InferenceMarket, names: Any, first: int, last: int) -> list[ChainEvent]:
        if last - first >= 3:
            raise TransactionError("range too long", advice="Ask for less.")
        return real(market, names, first, last)

    monkeypatch.setattr(InferenceMarket, "events_of", fussy)
    assert unsettled_lines(world.user).by_node() == expected

    def refusing(market: InferenceMarket, names: Any, first: int, last: int) -> list[ChainEvent]:
        raise TransactionError("no logs here", advice="Try another server.")

    monkeypatch.setattr(InferenceMarket, "events_of", refusing)
    with pytest.raises(TransactionError, match="no logs here"):
        unsettled_lines(world.user)
