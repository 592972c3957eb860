"""Model versions: what is registered, who serves which layers for how much, and what is certified."""

from __future__ import annotations

from typing import Any

from nexus_chain.routing.cheapest import asked_by_range, cheapest_cover
from nexus_chain.routing.registry_view import ShardNode
from node.gateway.explorer.archive import ChainArchive
from node.gateway.explorer.chain_events import CERTIFICATES, MODELS, NODES, KeptEvent
from node.gateway.explorer.context import ViewContext
from node.gateway.explorer.node_view import announcement, find_node, is_active
from node.gateway.explorer.pages import PageRequest, page_of

VERSION_NOTE, QUALITY_NOTE = "version", "quality"


def models_page(context: ViewContext, page: PageRequest) -> dict[str, Any]:
    """Versions, the newest first."""
    return page_of(context.archive, page, lambda event: _model(context, event), contract=MODELS, name="Published")


def find_model(context: ViewContext, version: str) -> dict[str, Any] | None:
    """One version, with its children and what is known of its nodes; None where none has that id."""
    published = context.archive.latest(contract=MODELS, name="Published", version=version)
    if published is None:
        return None
    found = _model(context, published)
    nodes = {offer["node"]: find_node(context, offer["node"]) for offer in found["offers"]}
    children = context.archive.events(contract=MODELS, name="Published")
    return {
        **found,
        "children": [event.version for event in children if event.arguments["parent"] == version],
        "nodes": [node for node in nodes.values() if node is not None],
    }


def _model(context: ViewContext, published: KeptEvent) -> dict[str, Any]:
    version = str(published.version)
    record = context.archive.noted(VERSION_NOTE, version)
    offers = _offers(context, version)
    layers = 0 if record is None else int(record["layers"])
    serving = [_shard_node(offer) for offer in offers if offer["active"]]
    cover = cheapest_cover(serving, layers) if layers else None
    online = [_shard_node(offer) for offer in offers if offer["active"] and offer["online"]]
    names = [model.name for model in context.offered() if "0x" + model.version.hex() == version]
    share = context.archive.latest(contract=MODELS, name="ShareSet", version=version)
    pace = next((context.paces()[name] for name in names if name in context.paces()), None)
    return {
        "id": published.id,
        "version": version,
        "publisher": published.arguments["publisher"],
        "parent": _parent(published),
        "published_at": published.time,
        "transaction": published.transaction,
        "record": record,
        "certificate": _certificate(context.archive, version),
        "names": names,
        "licence": next((model.licence for model in context.offered() if model.name in names), "") or None,
        "offers": offers,
        "asks": [
            {"layer_start": start, "layer_end": end, "least_wei": str(least), "most_wei": str(most)}
            for (start, end), (least, most) in asked_by_range(serving).items()
        ],
        "wei_per_token": None if cover is None else str(cover),
        "share_basis_points": 0 if share is None else int(share.arguments["basisPoints"]),
        "answers": bool(layers) and cheapest_cover(online, layers) is not None,
        "pace": None
        if pace is None
        else {"answers": pace.answers, "tokens": pace.tokens, "seconds": round(pace.seconds, 3)},
    }


def _parent(published: KeptEvent) -> str | None:
    parent = str(published.arguments["parent"])
    return parent if int(parent, 16) else None


def _certificate(archive: ChainArchive, version: str) -> dict[str, Any] | None:
    anchored = archive.latest(contract=CERTIFICATES, name="Anchored", version=version)
    if anchored is None:
        return None
    return {
        "cid": anchored.arguments["cid"],
        "content_hash": anchored.arguments["contentHash"],
        "anchored_at": anchored.time,
        "transaction": anchored.transaction,
        "quality": archive.noted(QUALITY_NOTE, version),
    }


def _offers(context: ViewContext, version: str) -> list[dict[str, Any]]:
    """What is announced for a version now, by layers; with what this gateway measured of each node."""
    standing: dict[str, dict[str, Any]] = {}
    for event in context.archive.events(version=version):
        if event.contract == NODES and event.name == "Announced":
            standing[str(event.node)] = announcement(event)
        elif event.contract == NODES and event.name == "AnnouncementRemoved":
            standing.pop(str(event.node), None)
    measured = context.measured()
    for node, offer in standing.items():
        seen = measured.get(node)
        asked, answered = context.archive.sightings(node)
        offer |= {
            "active": is_active(context.archive, node),
            "online": None if seen is None else seen.online,
            "latency_ms": None if seen is None or not seen.online else round(seen.latency_ms, 1),
            "uptime": None if not asked else {"asked": asked, "answered": answered},
        }
    return sorted(standing.values(), key=lambda offer: (offer["layer_start"], offer["layer_end"], offer["node"]))


def _shard_node(offer: dict[str, Any]) -> ShardNode:
    """As routing takes it."""
    return ShardNode(
        offer["node"], "", (), offer["latency_ms"] or 0.0, 1.0, bool(offer["online"]), offer["layer_start"],
        offer["layer_end"], int(offer["wei_per_token"]), "", "",
    )  # fmt: skip
