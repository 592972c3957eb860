"""``nexus nodes`` and ``nexus models``: what the chain says, and who answers."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.output import emit_json, ether, hex_id, note, spinner, table
from node.cli.settings import JsonFlag, settings_of


def nodes(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="Model version id or its beginning [default: all].")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the nodes themselves.")] = False,
    json: JsonFlag = False,
) -> None:
    """List nodes: layers, price, stake against the open lines that hang on it, and whether they answer."""
    from nexus_chain.chain.exposure import unsettled_lines
    from nexus_chain.client.network import ProbedNode, probe_nodes
    from nexus_chain.routing.registry_view import discover_nodes
    from nexus_chain.wire.tls_peer import dial
    from node.cli.versions import choose_version, versions_of

    settings = settings_of(context)
    chain = settings.chain
    wanted = [choose_version(settings, model)] if model else [v for v, _ in versions_of(chain)]
    found: list[tuple[bytes, ProbedNode]] = []
    with spinner("Asking the nodes", quiet=json):
        for version in wanted:
            if offline:
                found += [(version, ProbedNode(node)) for node in discover_nodes(chain, version)]
            else:
                found += [(version, probed) for probed in probe_nodes(chain, dial, version)]
    hanging = unsettled_lines(chain, settings.home.exposure(chain.domain.chain_id)).by_node()
    rows = [
        {
            "node": probed.node.node_id,
            "model_version": hex_id(version),
            "layers": f"{probed.node.layer_start}-{probed.node.layer_end}",
            "wei_per_token": str(probed.node.wei_per_token),
            "stake_wei": str(probed.node.stake),
            "open_lines_wei": str(hanging.get(probed.node.node_id, 0)),
            "endpoint": probed.node.endpoint,
            "online": None if offline else probed.node.online,
            "latency_ms": round(probed.node.latency_ms, 1) if probed.node.online and not offline else None,
            "active_orders": probed.node.active_orders if probed.node.online and not offline else None,
            "problem": probed.problem,
        }
        for version, probed in found
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
    """List registered model versions, their price and certificate."""
    from node.cli.versions import versions_of

    chain = settings_of(context).chain
    rows = []
    for version, record in versions_of(chain):
        certificate = chain.certificates.certificate(version)
        rows.append(
            {
                "id": hex_id(version),
                "version": str(record.semver),
                "layers": record.layers,
                "wei_per_token": str(record.price_per_token),
                "publisher": chain.models.publisher_of(version),
                "manifest_cid": record.manifest_cid,
                "certificate_cid": certificate.cid if certificate else None,
                "weights_root": hex_id(record.weights_root),
                "program_root": hex_id(record.program_root),
                "tokenizer_hash": hex_id(record.tokenizer_hash),
                "nodes": chain.nodes.announcement_count(version),
            }
        )
    if json:
        emit_json({"models": rows})
        return
    columns = ("id", "version", "layers", "per token", "nodes", "certificate")
    shown = [
        (r["id"], r["version"], r["layers"], f"{r['wei_per_token']} wei", r["nodes"], r["certificate_cid"] or "none")
        for r in rows
    ]
    table("Model versions", columns, shown)
