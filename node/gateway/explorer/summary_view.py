"""The whole deployment at a glance."""

from __future__ import annotations

from typing import Any

from node.gateway.explorer.chain_events import DISPUTES, MARKET, MODELS, NODES
from node.gateway.explorer.context import ViewContext
from node.gateway.explorer.games import ENDINGS


def summary(context: ViewContext) -> dict[str, Any]:
    """Counts, sums in wei, and what the deployment fixes."""
    archive = context.archive
    games = archive.count(DISPUTES, "GameOpened")
    return {
        "models": archive.count(MODELS, "Published"),
        "nodes": archive.count(NODES, "Registered"),
        "nodes_leaving": archive.count(NODES, "UnbondRequested"),
        "nodes_convicted": archive.count(NODES, "Slashed"),
        "sessions": archive.count(MARKET, "SessionOpened"),
        "settlements": archive.count(MARKET, "LineSettled"),
        "disputes": games,
        "disputes_open": games - sum(archive.count(DISPUTES, name) for name in ENDINGS),
        "settled": archive.settled().document(),
        "terms": dict(context.terms),
    }
