"""One reader of the chain: nothing twice, nothing lost, and nothing kept that the chain took back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.chain.bound import BoundContract
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.errors import TransactionError
from nexus_chain.chain.rpc_answers import BlockHead
from node.gateway.explorer import archive as archive_module
from node.gateway.explorer import follower as follower_module
from node.gateway.explorer.archive import ChainArchive
from node.gateway.explorer.chain_events import KeptEvent
from node.gateway.explorer.games import GameReader
from tests.gateway.explorer.conftest import Watched
from tests.support.chain_world import CAP, World

Make = Callable[[Contracts], Watched]


def kept(watched: Watched) -> list[dict[str, Any]]:
    return [asdict(event) for event in watched.archive.events()]


def settled_session(world: World) -> None:
    session = world.open()
    world.owner.market.post(*world.voucher(session, 500, 7))
    world.user.market.close(session)
    world.chain.advance(61)
    world.user.market.settle_many(session, world.nodes)


def test_looking_at_once_and_bit_by_bit_finds_the_same(world: World, watching: Make) -> None:
    often, once = watching(world.user), watching(world.user)
    told = list(often.explorer.look().events)
    for _ in range(2):
        settled_session(world)
        told += often.explorer.look().events
    assert often.explorer.look().events == []
    once.explorer.look()
    assert kept(often) == kept(once) == [asdict(event) for event in told]
    assert often.archive.settled() == once.archive.settled()
    assert often.archive.settled().lines == 4


def test_small_ranges_find_the_same(world: World, watching: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    settled_session(world)
    whole, parts = watching(world.user), watching(world.user)
    whole.explorer.look()
    monkeypatch.setattr("nexus_chain.chain.bound.BLOCKS_PER_QUERY", 2)
    monkeypatch.setattr(follower_module, "_BLOCKS_PER_LOOK", 3)
    looks = 0
    while parts.explorer.look().is_behind:
        assert parts.explorer.state()["behind"]
        looks += 1
    assert looks > 2
    assert kept(parts) == kept(whole)
    assert not parts.explorer.state()["behind"]


def test_what_the_chain_takes_back_is_forgotten(world: World, watching: Make) -> None:
    watched = watching(world.user)
    session = world.open()
    world.owner.market.post(*world.voucher(session, 500, 7))
    world.user.market.close(session)
    world.chain.advance(61)
    watched.explorer.look()
    before, sums = kept(watched), watched.archive.settled()
    snapshot = world.chain.connection.request("evm_snapshot")
    world.user.market.settle(session, world.nodes[0])
    watched.explorer.look()
    assert watched.archive.settled().lines == 1
    assert watched.archive.settled(world.nodes[0]).to_user == CAP - 500
    world.chain.connection.request("evm_revert", snapshot)
    world.user.market.settle(session, world.nodes[1])  # another block of the same number
    news = watched.explorer.look()
    assert news.replaced
    assert [event.name for event in news.events] == ["LineSettled"]
    assert kept(watched)[:-1] == before
    assert watched.archive.settled(world.nodes[0]) == sums
    assert (watched.archive.settled().lines, watched.archive.settled(world.nodes[1]).to_user) == (1, CAP - 7)


def test_a_chain_that_became_shorter_is_read_again_from_where_both_agree(world: World, watching: Make) -> None:
    watched = watching(world.user)
    watched.explorer.look()
    before = kept(watched)
    snapshot = world.chain.connection.request("evm_snapshot")
    world.open()
    watched.explorer.look()
    assert len(kept(watched)) == len(before) + 1
    world.chain.connection.request("evm_revert", snapshot)
    assert watched.explorer.look().replaced
    assert kept(watched) == before
    assert not watched.explorer.look().replaced


def test_a_reorganisation_deeper_than_what_is_remembered_has_all_read_again(
    world: World, watching: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "KEPT_HEADS", 1)
    watched = watching(world.user)
    snapshot = world.chain.connection.request("evm_snapshot")
    for _ in range(3):
        world.open()
        watched.explorer.look()
    assert len(watched.archive.heads()) == 1
    world.chain.connection.request("evm_revert", snapshot)
    session = world.open()
    assert watched.explorer.look().replaced
    opened = list(watched.archive.events(contract="market", name="SessionOpened"))
    assert [event.session for event in opened] == ["0x" + session.hex()]


def test_a_range_that_changes_while_it_is_read_is_not_kept(
    world: World, watching: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the logs and the look at the block they end with, the chain puts another block in its place."""
    watched = watching(world.user)
    watched.explorer.look()
    before = kept(watched)
    snapshot = world.chain.connection.request("evm_snapshot")
    world.open()
    real = BoundContract.events_of

    def replaced(contract: BoundContract, names: Any, first: int, last: int) -> Any:
        found = real(contract, names, first, last)
        if contract.CONTRACT == "DisputeGame":  # the last one that is asked
            world.chain.connection.request("evm_revert", snapshot)
            world.chain.advance(3)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(BoundContract, "events_of", replaced)
        assert watched.explorer.look().events == []
    assert kept(watched) == before
    watched.explorer.look()
    assert kept(watched) == before


def test_a_chain_that_is_away_changes_nothing(world: World, watching: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = watching(world.user)
    watched.explorer.look()
    before = kept(watched)
    world.open()

    def away(*_: object) -> None:
        raise TransactionError("away", advice="Wait.")

    with monkeypatch.context() as patch:
        patch.setattr(BoundContract, "events_of", away)
        with pytest.raises(TransactionError):
            watched.explorer.look()
    assert kept(watched) == before
    assert len(watched.explorer.look().events) == 1


def test_a_reorganisation_is_told_after_a_look_that_failed(
    world: World, watching: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look that takes back what was replaced fails before it has read what took its place."""
    watched = watching(world.user)
    watched.explorer.look()
    snapshot = world.chain.connection.request("evm_snapshot")
    world.open()
    watched.explorer.look()
    world.chain.connection.request("evm_revert", snapshot)
    world.chain.advance(3)
    session = world.open()

    def away(*_: object) -> None:
        raise TransactionError("away", advice="Wait.")

    with monkeypatch.context() as patch:
        patch.setattr(BoundContract, "events_of", away)
        for _ in range(2):
            with pytest.raises(TransactionError):
                watched.explorer.look()
        head = watched.archive.head()
        assert watched.explorer.state()["block"] == (head and head.number), "no more is claimed than is known"
    news = watched.explorer.look()
    assert news.replaced
    assert [one.session for one in news.events] == ["0x" + session.hex()]
    assert not watched.explorer.look().replaced


def test_games_are_read_again_where_a_look_took_back_blocks_that_came_again(
    world: World, watching: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = watching(world.user)
    world.open()
    watched.explorer.look()
    heads: list[int] = []
    monkeypatch.setattr(GameReader, "read", lambda self, news, head: heads.append(head.number))

    def away(*_: object) -> None:
        raise TransactionError("away", advice="Wait.")

    with monkeypatch.context() as patch:
        patch.setattr(BoundContract, "events_of", away)
        patch.setattr(follower_module.ChainFollower, "_stands", lambda self, head: False)
        with pytest.raises(TransactionError):
            watched.explorer.look()
    watched.explorer.look()  # the same blocks as before, without the notes that were cut with them
    assert heads == [world.chain.connection.block_number()]


def test_what_another_gateway_on_the_same_file_has_read_is_told_here_too(world: World, watching: Make) -> None:
    watched = watching(world.user)
    watched.explorer.look()
    other = follower_module.ChainFollower(world.user, watched.archive)
    snapshot = world.chain.connection.request("evm_snapshot")
    session = world.open()
    assert [one.session for one in other.look().events] == ["0x" + session.hex()]
    assert [one.session for one in watched.explorer.look().events] == ["0x" + session.hex()]
    world.chain.connection.request("evm_revert", snapshot)
    assert other.look().replaced
    assert watched.explorer.look().replaced


def event(block: int, log: int, to_user: int) -> KeptEvent:
    arguments = {"toNode": 2**127, "toVault": 3, "toUser": to_user, "forfeited": False}
    return KeptEvent(block, log, 0, "market", "LineSettled", "0x", arguments, session="0xs", node="0xn")


def test_the_file_serves_the_next_start_and_no_other_deployment(tmp_path: Path) -> None:
    path = tmp_path / "explorer.sqlite"
    first = ChainArchive(path, "one")
    first.add([event(1, 0, 5), event(1, 1, 6)], BlockHead(1, b"h" * 32, 9))
    first.add([event(1, 2, 7)], BlockHead(1, b"h" * 32, 9))  # by another gateway of the same home, in between
    assert first.settled().to_node == 2**128
    first.close()
    second = ChainArchive(path, "one")
    assert len(list(second.events())) == 2
    assert second.head() == BlockHead(1, b"h" * 32, 9)
    second.close()
    other = ChainArchive(path, "two")
    assert (list(other.events()), other.head()) == ([], None)
    other.close()


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "explorer.sqlite"
    path.write_bytes(b"SQLite format 3\0" + b"rubbish" * 1000)
    archive = ChainArchive(path, "one")
    archive.add([event(1, 0, 5)], BlockHead(1, b"h" * 32, 9))
    assert archive.settled().lines == 1
    archive.close()
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_cut_takes_back_sums_and_notes(tmp_path: Path) -> None:
    archive = ChainArchive(tmp_path / "explorer.sqlite", "one")
    archive.add([event(1, 0, 5)], BlockHead(1, b"a" * 32, 9))
    archive.note("game", "1", 1, {"a": 1})
    before = archive.settled("0xn")
    archive.add([event(2, 0, 6)], BlockHead(2, b"b" * 32, 9))
    archive.note("game", "2", 2, {"a": 2})
    archive.cut(1)
    assert archive.settled("0xn") == before
    assert (archive.noted("game", "1"), archive.noted("game", "2")) == ({"a": 1}, None)
    assert archive.head() == BlockHead(1, b"a" * 32, 9)
    archive.cut(-1)
    assert archive.settled().lines == 0
    archive.close()


def test_uptime_counts_the_hours_that_are_kept(tmp_path: Path) -> None:
    archive = ChainArchive(tmp_path / "explorer.sqlite", "one")
    for hour, answered in ((1, True), (1, False), (2, True), (3, True)):
        archive.note_sightings(hour, [("0xn", answered)], keep_hours=2)
    assert archive.sightings("0xn") == (2, 2)
    assert archive.sightings("0xm") == (0, 0)
    archive.close()


def test_games_are_read_once_all_is_known_and_again_after_a_failure(
    world: World, watching: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = watching(world.user)
    monkeypatch.setattr(follower_module, "_BLOCKS_PER_LOOK", 3)
    heads: list[int] = []
    forgotten: list[int] = []
    monkeypatch.setattr(GameReader, "read", lambda self, news, head: heads.append(head.number))
    monkeypatch.setattr(GameReader, "forget", lambda self: forgotten.append(1))
    while watched.explorer.look().is_behind:
        assert heads == []
    assert heads == [world.chain.connection.block_number()]
    watched.explorer.look()
    assert len(heads) == 1  # nothing has moved
    world.open()
    forgotten.clear()

    def failing(*_: object) -> None:
        raise TransactionError("away", advice="Wait.")

    with monkeypatch.context() as patch:
        patch.setattr(GameReader, "read", failing)
        with pytest.raises(TransactionError):
            watched.explorer.look()
    assert forgotten
    watched.explorer.look()  # its event was kept, and is no news any more
    assert heads[-1] == world.chain.connection.block_number()
    assert len(heads) == 2
