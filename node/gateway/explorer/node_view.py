"""Nodes: what the registry's events say of each, what its settled lines brought, and what this gateway saw of it."""

from __future__ import annotations

from typing import Any

from node.gateway.explorer.archive import ChainArchive
from node.gateway.explorer.chain_events import NODES, KeptEvent
from node.gateway.explorer.context import ViewContext
from node.gateway.explorer.pages import PageRequest, page_of


def nodes_page(context: ViewContext, page: PageRequest) -> dict[str, Any]:
    """Nodes, the newest registration first."""
    return page_of(
        context.archive, page, lambda event: node_document(context, event), contract=NODES, name="Registered"
    )


def find_node(context: ViewContext, node: str) -> dict[str, Any] | None:
    """One node; None where none has registered under that address."""
    registered = context.archive.latest(contract=NODES, name="Registered", node=node)
    return None if registered is None else node_document(context, registered)


def node_document(context: ViewContext, registered: KeptEvent) -> dict[str, Any]:
    """A node as it stands."""
    node = str(registered.node)
    asked, answered = context.archive.sightings(node)
    seen = context.measured().get(node)
    return {
        "id": registered.id,
        "node": node,
        "registered_at": registered.time,
        **_registry_state(context.archive, registered),
        "announcements": announcements_by(context.archive, node),
        "settled": context.archive.settled(node).document(),
        "reputation": None if seen is None else round(seen.reputation, 4),
        "online": None if seen is None else seen.online,
        "latency_ms": None if seen is None or not seen.online else round(seen.latency_ms, 1),
        "active_orders": None if seen is None or not seen.online else seen.active_orders,
        "uptime": None if not asked else {"asked": asked, "answered": answered},
    }


def _registry_state(archive: ChainArchive, registered: KeptEvent) -> dict[str, Any]:
    stake, first = int(registered.arguments["stake"]), registered.arguments
    state: dict[str, Any] = {
        "endpoint": first["endpoint"], "tls_key_hash": first["tlsKeyHash"], "receipt_key": first["receiptKey"],
        "unbondable_after": 0, "convicted_at": None, "left_at": None, "open_games": 0,
    }  # fmt: skip
    for event in archive.events(node=str(registered.node), contract=NODES, after=registered.place):
        match event.name:
            case "StakeAdded":
                stake = int(event.arguments["stake"])
            case "EndpointUpdated":
                state |= {"endpoint": event.arguments["endpoint"], "tls_key_hash": event.arguments["tlsKeyHash"]}
            case "UnbondRequested":
                state["unbondable_after"] = int(event.arguments["unbondableAfter"])
            case "Unbonded":
                stake, state["left_at"] = 0, event.time
            case "Slashed":
                stake, state["convicted_at"] = 0, event.time
                state["slashed"] = {
                    "to_vault_wei": str(event.arguments["toVault"]),
                    "to_beneficiary_wei": str(event.arguments["toBeneficiary"]),
                    "transaction": event.transaction,
                }
            case "GameOpened" | "GameClosed":
                state["open_games"] = int(event.arguments["openGames"])
    active = state["convicted_at"] is None and state["unbondable_after"] == 0
    return {**state, "stake_wei": str(stake), "active": active}


def is_active(archive: ChainArchive, node: str) -> bool:
    """Whether sessions may name it."""
    return not any(archive.latest(contract=NODES, name=name, node=node) for name in ("UnbondRequested", "Slashed"))


def announcements_by(archive: ChainArchive, node: str) -> list[dict[str, Any]]:
    """What a node announces now, in the order of first announcing."""
    standing: dict[str, dict[str, Any]] = {}
    for event in archive.events(node=node, contract=NODES):
        if event.name == "Announced":
            standing[str(event.version)] = announcement(event)
        elif event.name == "AnnouncementRemoved":
            standing.pop(str(event.version), None)
    return list(standing.values())


def announcement(event: KeptEvent) -> dict[str, Any]:
    """An ``Announced`` event as it is served."""
    return {
        "version": event.version,
        "node": event.node,
        "layer_start": int(event.arguments["layerStart"]),
        "layer_end": int(event.arguments["layerEnd"]),
        "wei_per_token": str(event.arguments["weiPerToken"]),
        "since": event.time,
    }
