"""A small search over what can be made of one lie; `make bench-incentives` searches deeper, in more settings."""

from __future__ import annotations

import pytest

from tests.support.strategies import Outcome, Search, coalitions
from tests.support.strategy_stage import ETHER, FINDER, GAS, GWEI, Setting

LINE = ETHER
SETTING = Setting("mainnet", 30 * GWEI, LINE)
EVERYBODY = ("liar", "friend", "user", "copier")
DEPTH = 2
STAKE = 8 * ETHER


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, ...], tuple[Search, Outcome]]:
    searches = {members: Search(SETTING, members, GAS, DEPTH) for members in coalitions()}
    return {members: (search, search.run()) for members, search in searches.items()}


def test_no_coalition_with_a_lie_ends_above_honest_play(
    found: dict[tuple[str, ...], tuple[Search, Outcome]],
) -> None:
    """It loses half of the stake at least, whoever is in it, and what the line would have paid beside it."""
    for members, (search, outcome) in found.items():
        earned = 0 if "user" in members else LINE * 9 // 10
        assert search.honest() > earned - ETHER // 100
        gain, moves = outcome["gain"]
        assert gain - search.honest() < -STAKE // 2, (members, moves)


def test_a_finder_never_loses(found: dict[tuple[str, ...], tuple[Search, Outcome]]) -> None:
    """Neither in its game nor on the way to it: what another proof came in front of is paid for."""
    for members, (_, outcome) in found.items():
        for name in ("finder loss", "finder loss in game"):
            lost, moves = outcome[name]
            assert lost <= 0, (members, moves)


def test_a_liar_alone_that_falls_silent_loses_everything() -> None:
    search = Search(SETTING, ("liar",), GAS, 0)
    outcome = search.run()
    assert outcome["gain"][0] == -STAKE - GAS["post"] * SETTING.base_fee
    assert search.honest() == LINE * 9 // 10 - GAS["post"] * SETTING.base_fee
    assert "escape" not in outcome
    # Schedule of the first opening and of the clock's verdict with their premium, and the bounty, less the gas.
    paid = (450_000 + 350_000 + 230_000) * SETTING.base_fee * 5 // 4 + search.stage.numbers.bounty
    spent = sum(GAS[move] for move in ("commit", "open", "timeout", "withdraw")) * SETTING.base_fee
    assert outcome["finder loss"][0] == spent - paid
    assert search.position.spent[FINDER] == 0  # the search leaves no trace
