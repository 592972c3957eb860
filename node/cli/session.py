"""``nexus session``: lock money for many answers, and get back what was not used."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from node.cli import other_account, recovery
from node.cli.output import emit_json, ether, hex_id, mined_fields, note, result, table
from node.cli.settings import JsonFlag, OperatorsOption, ValueOption, workspace_of

app = typer.Typer(help="Sessions: one lock, many answers.", no_args_is_help=True, rich_markup_mode=None)
app.command("recover")(recovery.recover)
app.command("prepare")(other_account.prepare)
app.command("adopt")(other_account.adopt)
SessionArgument = Annotated[
    str | None,
    typer.Argument(metavar="[SESSION]", help="Session id or its beginning [default: newest fitting one]."),
]


@app.command("open")
def open_session(
    context: typer.Context,
    tokens: Annotated[int, typer.Option(min=1, help="Positions (prompt and answer) to lock money for.")] = 4096,
    model: Annotated[str | None, typer.Option(help="Model version id or its beginning.")] = None,
    minutes: Annotated[int, typer.Option(min=1, help="How long the session may be used.")] = 60,
    value_at_risk: ValueOption = None,
    operators: OperatorsOption = None,
    json: JsonFlag = False,
) -> None:
    """Open a session: lock money for the nodes of the best route, and the publisher's share where there is one."""
    from nexus_chain.market.publisher_share import per_cent
    from nexus_chain.workflows import sessions

    workspace = workspace_of(context, quiet=json)
    named = workspace.operators(operators)
    wanted = sessions.SessionRequest(tokens, 60 * minutes, model, value_at_risk or 0, named)
    with workspace.client() as client, workspace.observer.stage("Opening the session"):
        opened = sessions.open_session(client, workspace.library, wanted)
    session, lines = hex_id(opened.session.id), opened.lines
    if json:
        caps = {node: str(line.cap) for node, line in lines.items()}
        facts = {
            "session": session,
            "locked_wei": str(opened.locked),
            "share_basis_points": opened.share,
            "caps": caps,
        }
        emit_json({**facts, "expiry": opened.session.record.expiry, **mined_fields(opened.mined)})
        return
    result(session)
    publisher = f" and the publisher's {per_cent(opened.share)}" if opened.share else ""
    locked = f"Locked {ether(opened.locked)} for {len(lines)} nodes{publisher}"
    note(f"{locked} ({opened.mined.gas} gas). Ask with `nexus ask`.")


@app.command("list")
def list_sessions(context: typer.Context, json: JsonFlag = False) -> None:
    """List the sessions opened from this machine."""
    from nexus_chain.workflows.session_list import list_sessions as listed_sessions

    listed = listed_sessions(workspace_of(context, quiet=json))
    rows: list[dict[str, Any]] = [
        {
            "session": hex_id(one.record.id),
            "state": one.record.state,
            "direct": bool(one.record.direct),
            "locked_wei": str(one.locked),
            "share_basis_points": one.share,
            "promised_wei": str(one.promised),
            "expiry": one.record.expiry,
            "orders": [hex_id(digest) for digest in one.orders],
        }
        for one in listed
    ]
    if json:
        emit_json({"sessions": rows})
        return
    shown = [
        (r["session"], r["state"], ether(int(r["locked_wei"])), ether(int(r["promised_wei"])), len(r["orders"]))
        for r in rows
    ]
    table("Sessions", ("session", "state", "locked", "promised", "orders"), shown)


@app.command("close")
def close(context: typer.Context, session: SessionArgument = None, json: JsonFlag = False) -> None:
    """Close a session: its challenge window starts, nothing more can be asked."""
    from nexus_chain.durations import about
    from nexus_chain.workflows import sessions

    workspace = workspace_of(context, quiet=json)
    with workspace.client() as client:
        chosen = sessions.pick_ending(client, session, "open", "recovered")
        mined, end = sessions.close_session(client, chosen)
        wait = end - client.user.chain_time()
    if json:
        emit_json({"session": hex_id(chosen.record.id), "window_ends": end, **mined_fields(mined)})
        return
    result(f"{hex_id(chosen.record.id)} is closing; settle it in {about(wait)}.")


@app.command("settle")
def settle(context: typer.Context, session: SessionArgument = None, json: JsonFlag = False) -> None:
    """After the challenge window: pay the nodes and the vault, get the rest back."""
    from nexus_chain.workflows import sessions

    workspace = workspace_of(context, quiet=json)
    with workspace.client() as client:
        chosen = sessions.pick_ending(client, session, "closed", "settled")
        settled = sessions.settle_session(client, chosen)
    sums = settled.amounts
    if json:
        amounts = {
            "to_nodes_wei": sums.to_nodes,
            "to_vault_wei": sums.to_vault,
            "to_publisher_wei": sums.to_publishers,
            "to_user_wei": sums.to_users,
        }
        document = {"session": hex_id(settled.session), **{name: str(wei) for name, wei in amounts.items()}}
        emit_json({**document, **(mined_fields(settled.mined) if settled.mined else {})})
        return
    publisher = f"publisher {ether(sums.to_publishers)}, " if sums.to_publishers else ""
    result(f"nodes {ether(sums.to_nodes)}, vault {ether(sums.to_vault)}, {publisher}back to you {ether(sums.to_users)}")
    note("Fetch your part with `nexus withdraw`.")


@app.command("allot")
def allot(
    context: typer.Context,
    session: Annotated[str, typer.Argument(help="Session id or its beginning.")],
    node: Annotated[str, typer.Argument(help="Node address.")],
    cap: Annotated[int, typer.Argument(min=1, help="The node's new cap in wei; caps never fall.")],
    json: JsonFlag = False,
) -> None:
    """Raise what a node may earn in a session, or add a node."""
    from nexus_chain.market.documents import checksum
    from nexus_chain.workflows import sessions

    workspace, address = workspace_of(context, quiet=json), checksum(node)
    with workspace.client() as client:
        chosen = sessions.pick_session(client, workspace.library, session, "open")
        mined = chosen.allot(address, cap)
    if json:
        document = {"session": hex_id(chosen.id), "node": address, "cap_wei": str(cap)}
        emit_json({**document, **mined_fields(mined)})
        return
    result(f"{address} may now earn {ether(cap)} in {hex_id(chosen.id)[:12]} ({mined.gas} gas)")
