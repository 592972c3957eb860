"""A dispute as it is watched: whose turn, which moves, the element with both numbers, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.dispute_game import GameState
from nexus_chain.disputes.stored_trace import StoredTrace
from nexus_chain.program import PRESETS, random_model
from node.gateway.explorer.dispute_view import disputes_page, find_dispute
from node.gateway.explorer.forecast import Forecast, forecast
from node.gateway.explorer.node_view import find_node
from node.gateway.explorer.pages import PageRequest
from tests.gateway.explorer.conftest import Watched
from tests.support.courtroom import ETHER, Courtroom, courtroom

Make = Callable[[Contracts], Watched]


@pytest.fixture(scope="module")
def court(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Courtroom]:
    with courtroom(tmp_path_factory.mktemp("court"), random_model(PRESETS["tiny"], seed=4)) as made:
        yield made


def with_lie(right: StoredTrace, name: str, element: int) -> StoredTrace:
    number = right.layout.numbers[name]
    wrong = right.tensor(number).clone()
    wrong.view(-1)[element] ^= 1
    return right.replaced({number: wrong})


def found(watched: Watched, game: int = 1) -> dict[str, Any]:
    watched.explorer.look()
    told = find_dispute(watched.context, game)
    assert told is not None
    return told


def test_a_lie_is_followed_from_the_opening_to_the_two_numbers(court: Courtroom, watching: Make) -> None:
    right = court.right_trace(12, 2)
    posted = with_lie(right, "head.logits", 7)
    order = court.order(posted)
    signed = court.receipt(order[0], posted)
    watcher, evidence = court.accuse(court.proof(order, posted, signed))
    defence = court.defence(order[0], signed[0], posted)
    watched = watching(court.user)
    court.play(watcher, defence, until=GameState.TRACE)
    opened = found(watched)
    held = court.finder.disputes.game_of(1)
    assert held is not None
    assert (opened["state"], opened["nodes_turn"], opened["deadline"]) == ("trace", True, held.deadline)
    assert (opened["forecast"], opened["element"]) == ({"outcome": "open", "reason": "recompute"}, None)
    assert (opened["version"], opened["positions"]) == ("0x" + court.version.hex(), 12)
    assert opened["receipt"] == "0x" + evidence.digest.hex()
    assert [move["name"] for move in opened["moves"]] == ["GameOpened"]

    while found(watched)["state"] != "convict":
        watcher.round()
        defence.round()
        court.chain.advance(1)
    shown = found(watched)
    number = right.layout.numbers["head.logits"]
    assert (shown["state"], shown["tensor"], shown["nodes_turn"]) == ("convict", number, False)
    assert [move["name"] for move in shown["moves"]] == [
        "GameOpened", "TracePosted", "TensorPicked", "RowsPosted", "LeafPicked", "BytesPosted",
    ]  # fmt: skip
    assert [move["by"] for move in shown["moves"]] == ["challenger", "node"] * 3
    element = shown["element"]
    assert (element["kind"], element["claimed"], element["right"]) == ("linear", None, None)
    assert tuple(element["shape"]) == tuple(right.tensor(number).shape)

    court.play(watcher, defence)
    over = found(watched)
    element = over["element"]
    index = tuple(element["index"])
    assert (over["state"], over["forecast"]["outcome"], over["deadline"]) == ("convicted", "convicted", 0)
    assert int(element["claimed"]) == int(posted.tensor(number)[index])
    assert int(element["right"]) == int(right.tensor(number)[index])
    assert element["claimed"] != element["right"]
    assert (over["ending"]["name"], set(over["ending"]["wei"])) == ("NodeConvicted", {"refund", "bounty"})
    assert over["moves"][-1]["by"] == "anybody"
    node = find_node(watched.context, over["node"])
    assert node is not None
    assert (node["active"], node["stake_wei"]) == (False, "0")
    slashed = node["slashed"]
    assert int(slashed["to_vault_wei"]) + int(slashed["to_beneficiary_wei"]) == ETHER
    assert [item["game"] for item in disputes_page(watched.context, PageRequest())["items"]] == [1]
    assert find_dispute(watched.context, 2) is None
    watcher.close()

    later = watching(court.user)  # somebody who only comes when all is over reads the same
    assert {**found(later), "element": None} == {**over, "element": None}
    assert found(later)["element"] == element


NOTE: dict[str, Any] = {"state": int(GameState.TRACE), "deadline": 100, "nodes_turn": True}


@pytest.mark.parametrize(
    ("changes", "convicted", "now", "expected"),
    [
        ({}, False, 100, Forecast("open", "recompute")),
        ({}, False, 101, Forecast("convicted", "deadline")),
        ({"nodes_turn": False}, False, 101, Forecast("acquitted", "deadline")),
        ({"deadline": 0}, False, 101, Forecast("open", "recompute")),
        ({}, True, 101, Forecast("void", "node_convicted")),
        ({"state": int(GameState.CONVICTED)}, True, 1, Forecast("convicted", "over")),
        ({"state": int(GameState.ACQUITTED)}, True, 1, Forecast("acquitted", "over")),
        ({"state": int(GameState.VOID)}, True, 1, Forecast("void", "over")),
    ],
)
def test_forecasts(changes: dict[str, Any], convicted: bool, now: int, expected: Forecast) -> None:
    assert forecast({**NOTE, **changes}, convicted, now) == expected


def test_the_forecast_of_a_silent_node_comes_true(tmp_path: Path, watching: Make) -> None:
    with courtroom(tmp_path / "other", random_model(PRESETS["tiny"], seed=4)) as court:
        posted = with_lie(court.right_trace(6, 2), "head.logits", 0)
        order = court.order(posted)
        signed = court.receipt(order[0], posted)
        watcher, _ = court.accuse(court.proof(order, posted, signed))
        watched = watching(court.user)
        for _ in range(4):  # commit, then open
            watcher.round()
            court.chain.advance(2)
        assert found(watched)["forecast"] == {"outcome": "open", "reason": "recompute"}
        deadline = found(watched)["deadline"]
        court.chain.advance(deadline - watched.context.now() + 1)
        watched.explorer.look()
        assert found(watched)["forecast"] == {"outcome": "convicted", "reason": "deadline"}
        watcher.round()
        over = found(watched)
        assert (over["state"], over["forecast"]["reason"], over["element"]) == ("convicted", "over", None)
        watcher.close()
