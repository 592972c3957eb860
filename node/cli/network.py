"""``nexus nodes`` and ``nexus models``: what the chain says, and who answers."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from node.cli.output import emit_json, ether, hex_id, note, table
from node.cli.settings import JsonFlag, workspace_of


def nodes(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="Model version id or its beginning [default: all].")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the nodes themselves.")] = False,
    json: JsonFlag = False,
) -> None:
    """List nodes: layers, price, stake against the open lines that hang on it, and whether they answer."""
    from nexus_chain.workflows.overview import list_nodes

    workspace = workspace_of(context, quiet=json)
    with workspace.observer.stage("Asking the nodes"):
        found = list_nodes(workspace.chain, workspace.library, workspace.home, model, probe=not offline)
    rows = [
        {
            "node": listed.node.node_id,
            "model_version": hex_id(listed.version),
            "layers": f"{listed.node.layer_start}-{listed.node.layer_end}",
            "wei_per_token": str(listed.node.wei_per_token),
            "stake_wei": str(listed.node.stake),
            "open_lines_wei": str(listed.open_lines),
            "endpoint": listed.node.endpoint,
            "online": listed.online,
            "latency_ms": round(listed.node.latency_ms, 1) if listed.online else None,
            "active_orders": listed.node.active_orders if listed.online else None,
            "problem": listed.problem,
        }
        for listed in found
    ]
    if json:
        emit_json({"nodes": rows})
        return
    shown = [
        (
            r["node"],
            str(r["model_version"])[:12],
            r["layers"],
            f"{r['wei_per_token']} wei",
            ether(int(str(r["stake_wei"]))),
            ether(int(str(r["open_lines_wei"]))),
            r["endpoint"],
            f"{r['latency_ms']} ms, {r['active_orders']} orders" if r["online"] else "-" if offline else "no answer",
        )
        for r in rows
    ]
    table("Nodes", ("node", "model", "layers", "per token", "stake", "open lines", "endpoint", "state"), shown)
    for row in rows:
        if row["problem"] and not offline:
            note(f"{row['node']}: {row['problem']}")


def models(context: typer.Context, json: JsonFlag = False) -> None:
    """List registered model versions, what a token costs, and their certificate.

    The price is that of the cheapest nodes through all layers, and what the nodes of each layer range ask. Some
    publishers get a share of it on top.
    """
    from nexus_chain.workflows.overview import list_versions

    workspace = workspace_of(context, quiet=json)
    rows: list[dict[str, Any]] = [
        {
            "id": hex_id(listed.version),
            "version": str(listed.record.semver),
            "layers": listed.record.layers,
            "wei_per_token": str(listed.record.price_per_token),
            "route_wei_per_token": None if listed.route is None else str(listed.route),
            "asks": [
                {"layers": f"{start}-{end}", "lowest_wei": str(least), "highest_wei": str(most)}
                for (start, end), (least, most) in listed.asks.items()
            ],
            "publisher": listed.publisher,
            "share_basis_points": listed.share,
            "manifest_cid": listed.record.manifest_cid,
            "certificate_cid": listed.certificate.cid if listed.certificate else None,
            "weights_root": hex_id(listed.record.weights_root),
            "program_root": hex_id(listed.record.program_root),
            "tokenizer_hash": hex_id(listed.record.tokenizer_hash),
            "nodes": listed.nodes,
        }
        for listed in list_versions(workspace.chain, workspace.library)
    ]
    if json:
        emit_json({"models": rows})
        return
    columns = ("id", "version", "layers", "per token", "asked by layers", "nodes", "certificate")
    shown = [
        (r["id"], r["version"], r["layers"], _price(r), _asks(r), r["nodes"], r["certificate_cid"] or "none")
        for r in rows
    ]
    table("Model versions", columns, shown)


def _price(row: dict[str, Any]) -> str:
    """The cheapest route's price; the publisher's suggestion where nobody serves all layers."""
    from nexus_chain.market.publisher_share import per_cent

    route, share = row["route_wei_per_token"], row["share_basis_points"]
    on_top = f" + {per_cent(share)} for its publisher" if share else ""
    if route is None:
        return f"not served; suggested {row['wei_per_token']} wei{on_top}"
    wei = int(route)
    return f"{wei} wei" + (f" ({ether(wei)})" if ether(wei) != f"{wei} wei" else "") + on_top


def _asks(row: dict[str, Any]) -> str:
    """The asks of each layer range."""
    return "; ".join(
        f"{one['layers']}: {one['lowest_wei']}"
        + (f" to {one['highest_wei']}" if one["highest_wei"] != one["lowest_wei"] else "")
        for one in row["asks"]
    )
