"""How a game will end, where that can be said without recomputing the receipt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nexus_chain.chain.dispute_game import GameState

CONVICTED, ACQUITTED, VOID, OPEN = "convicted", "acquitted", "void", "open"
_FINAL = {GameState.CONVICTED: CONVICTED, GameState.ACQUITTED: ACQUITTED, GameState.VOID: VOID}


@dataclass(frozen=True)
class Forecast:
    """``outcome``: one of the four; ``open``: it cannot be told.

    ``reason``: ``over``, ``node_convicted``, ``deadline`` (the mover let it pass, and anybody may end the game) or
    ``recompute`` (whoever is right wins, and nobody here knows who is).
    """

    outcome: str
    reason: str


def forecast(game: dict[str, Any], is_convicted: bool, now: int) -> Forecast:
    """Of a game's note. ``is_convicted``: its node lost another game. ``now``: the chain's time, Unix seconds."""
    state = GameState(game["state"])
    if state.final:
        return Forecast(_FINAL[state], "over")
    if is_convicted:
        return Forecast(VOID, "node_convicted")
    if now > int(game["deadline"]) > 0:
        return Forecast(CONVICTED if game["nodes_turn"] else ACQUITTED, "deadline")
    return Forecast(OPEN, "recompute")
