"""Disputes: each game with its moves, its clock, the element in question and what is likely to come of it."""

from __future__ import annotations

from typing import Any

from nexus_chain.chain.dispute_game import GameState
from node.gateway.explorer.archive import ChainArchive
from node.gateway.explorer.chain_events import DISPUTES, MODELS, NODES, KeptEvent
from node.gateway.explorer.context import ViewContext
from node.gateway.explorer.forecast import forecast
from node.gateway.explorer.games import ENDINGS, GAME_NOTE
from node.gateway.explorer.model_view import VERSION_NOTE
from node.gateway.explorer.pages import PageRequest, page_of

#: Who makes the move that an event tells; endings can come from anybody.
_MOVERS = {
    "GameOpened": "challenger", "TensorPicked": "challenger", "SubtreePicked": "challenger", "LeafPicked": "challenger",
    "ElementPicked": "challenger", "TracePosted": "node", "RowsPosted": "node", "SubtreePosted": "node",
    "BytesPosted": "node", "ScoresPosted": "node",
}  # fmt: skip
#: Arguments of answers that have to be those that a game has picked.
_PICKED = {"tensor": "tensor", "subtree": "subtree", "leaf": "leaf", "element": "picked_element"}
_CONTRADICTIONS = 20


def disputes_page(context: ViewContext, page: PageRequest) -> dict[str, Any]:
    """Games, the newest first, and the latest contradictions: two signatures convict at once, without a game."""
    found = page_of(context.archive, page, lambda event: _game(context, event), contract=DISPUTES, name="GameOpened")
    proofs = context.archive.events(contract=DISPUTES, name="Equivocated", newest_first=True, limit=_CONTRADICTIONS)
    return {**found, "contradictions": [_contradiction(event) for event in proofs]}


def find_dispute(context: ViewContext, game: int) -> dict[str, Any] | None:
    """One game with its moves, oldest first; None where there is none of that number."""
    opened = context.archive.latest(contract=DISPUTES, name="GameOpened", game=game)
    if opened is None:
        return None
    found = _game(context, opened)
    return {**found, "moves": [_move(event) for event in _events(context.archive, opened, found)]}


def _game(context: ViewContext, opened: KeptEvent) -> dict[str, Any]:
    archive, node = context.archive, str(opened.node)
    note = archive.noted(GAME_NOTE, str(opened.game)) or {"state": int(GameState.NONE), "deadline": 0}
    slashed = archive.latest(contract=NODES, name="Slashed", node=node)
    told = forecast(note, slashed is not None, context.now())
    return {
        "id": opened.id,
        "game": opened.game,
        "receipt": opened.receipt,
        "node": node,
        "challenger": opened.arguments["challenger"],
        "covered": bool(opened.arguments["covered"]),
        "opened_at": opened.time,
        "transaction": opened.transaction,
        "first_bond_wei": str(opened.arguments["bond"]),
        **{name: value for name, value in note.items() if name != "state"},
        "state": GameState(note["state"]).name.lower(),
        "version": _version(archive, note),
        "forecast": {"outcome": told.outcome, "reason": told.reason},
        "ending": _ending(archive, opened),
    }


def _version(archive: ChainArchive, note: dict[str, Any]) -> str | None:
    """The newest version with the program and the weights that the game is about."""
    for event in archive.events(contract=MODELS, name="Published", newest_first=True):
        record = archive.noted(VERSION_NOTE, str(event.version))
        if record is not None and all(record[name] == note.get(name) for name in ("program_root", "weights_root")):
            return event.version
    return None


def _ending(archive: ChainArchive, opened: KeptEvent) -> dict[str, Any] | None:
    """Who got what, once it is over."""
    for event in archive.events(game=int(opened.game or 0), contract=DISPUTES):
        if event.name in ENDINGS:
            wei = ("refund", "bounty", "toNode", "toVault", "toChallenger")
            return {
                "name": event.name, "time": event.time, "transaction": event.transaction,
                "committer": event.arguments.get("committer"),
                "wei": {name: str(event.arguments[name]) for name in wei if name in event.arguments},
            }  # fmt: skip
    return None


def _events(archive: ChainArchive, opened: KeptEvent, game: dict[str, Any]) -> list[KeptEvent]:
    """The game's own events, and the answers about its receipt to what it picked."""
    own = list(archive.events(contract=DISPUTES, game=int(opened.game or 0)))
    answers = [
        event
        for event in archive.events(contract=DISPUTES, receipt=str(opened.receipt))
        if _MOVERS.get(event.name) == "node" and _is_about(event, game)
    ]
    return sorted(own + answers, key=lambda event: event.place)


def _is_about(event: KeptEvent, game: dict[str, Any]) -> bool:
    return all(event.arguments.get(name, game.get(picked)) == game.get(picked) for name, picked in _PICKED.items())


def _move(event: KeptEvent) -> dict[str, Any]:
    numbers = {name: event.arguments[name] for name in (*_PICKED, "tensorRoots", "hashes", "leaves")
               if name in event.arguments}  # fmt: skip
    if "data" in event.arguments:
        numbers["bytes"] = (len(event.arguments["data"]) - 2) // 2
    return {
        "id": event.id, "name": event.name, "by": _MOVERS.get(event.name, "anybody"), "time": event.time,
        "transaction": event.transaction, "numbers": numbers,
    }  # fmt: skip


def _contradiction(event: KeptEvent) -> dict[str, Any]:
    return {
        "id": event.id, "node": event.node, "finder": event.arguments["finder"], "time": event.time,
        "transaction": event.transaction, "first": event.arguments["first"], "second": event.arguments["second"],
        "reward_wei": str(event.arguments["reward"]),
    }  # fmt: skip
