"""``nexus session``: lock money for many answers, and get back what was not used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nexus_chain.chain.transactions import Mined
from nexus_chain.client.errors import SessionStateError
from node.cli.output import emit_json, ether, hex_id, note, result, spinner, table
from node.cli.settings import JsonFlag, OperatorsOption, Settings, ValueOption, operators_of, settings_of

if TYPE_CHECKING:
    from nexus_chain.client.client import Client
    from nexus_chain.client.session import Session

app = typer.Typer(help="Sessions: one lock, many answers.", no_args_is_help=True, rich_markup_mode=None)
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
    """Open a session: lock money for the nodes of the best route."""
    from node.cli.versions import choose_version, files_of

    settings = settings_of(context)
    version = choose_version(settings, model)
    files = files_of(settings, version)
    with settings.client() as client, spinner("Opening the session", quiet=json):
        session, mined = client.open_session(
            version,
            files,
            tokens=tokens,
            seconds=60 * minutes,
            value_at_risk=value_at_risk or 0,
            operators=operators_of(operators),
        )
        lines = client.store.lines(session.id)
    locked = sum(line.cap for line in lines.values())
    if json:
        caps = {node: str(line.cap) for node, line in lines.items()}
        expiry = session.record.expiry
        emit_json(
            {"session": hex_id(session.id), "locked_wei": str(locked), "caps": caps, "expiry": expiry, **_mined(mined)}
        )
        return
    result(hex_id(session.id))
    note(f"Locked {ether(locked)} for {len(lines)} nodes ({mined.gas} gas). Ask with `nexus ask`.")


@app.command("list")
def list_sessions(context: typer.Context, json: JsonFlag = False) -> None:
    """List the sessions opened from this machine."""
    with settings_of(context).client(signing=False) as client:
        rows: list[dict[str, Any]] = []
        for record in client.sessions():
            lines = client.store.lines(record.id).values()
            rows.append(
                {
                    "session": hex_id(record.id),
                    "state": record.state,
                    "direct": bool(record.direct),
                    "locked_wei": str(sum(line.cap for line in lines)),
                    "promised_wei": str(sum(line.promised for line in lines)),
                    "expiry": record.expiry,
                    "orders": [hex_id(digest) for digest in client.store.order_digests(record.id)],
                }
            )
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
    settings = settings_of(context)
    with settings.client() as client:
        chosen = pick_session(settings, client, session, "open")
        mined = chosen.close()
        end = settings.chain.market.session_of(chosen.id).end
    if json:
        emit_json({"session": hex_id(chosen.id), "window_ends": end, **_mined(mined)})
        return
    result(f"{hex_id(chosen.id)} is closing; settle it after {end} (chain time, Unix seconds).")


@app.command("settle")
def settle(context: typer.Context, session: SessionArgument = None, json: JsonFlag = False) -> None:
    """After the challenge window: pay the nodes and the vault, get the rest back."""
    from nexus_chain.chain.earnings import sum_settlements

    settings = settings_of(context)
    with settings.client() as client:
        chosen = pick_session(settings, client, session, "closed", "settled")
        mined = chosen.settle()  # nothing is left to do where the nodes were quicker
        sums = sum_settlements(settings.chain, session=chosen.id)
    if json:
        amounts = {"to_nodes_wei": sums.to_nodes, "to_vault_wei": sums.to_vault, "to_user_wei": sums.to_users}
        emit_json(
            {
                "session": hex_id(chosen.id),
                **{k: str(v) for k, v in amounts.items()},
                **(_mined(mined) if mined else {}),
            }
        )
        return
    result(f"nodes {ether(sums.to_nodes)}, vault {ether(sums.to_vault)}, back to you {ether(sums.to_users)}")
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

    settings = settings_of(context)
    with settings.client() as client:
        chosen = pick_session(settings, client, session, "open")
        mined = chosen.allot(checksum(node), cap)
    if json:
        emit_json({"session": hex_id(chosen.id), "node": checksum(node), "cap_wei": str(cap), **_mined(mined)})
        return
    result(f"{checksum(node)} may now earn {ether(cap)} in {hex_id(chosen.id)[:12]} ({mined.gas} gas)")


def pick_session(settings: Settings, client: Client, wanted: str | None, *states: str) -> Session:
    """The session whose id starts with ``wanted``, else the newest in the first of ``states`` that has one.

    Raises SessionStateError.
    """
    from node.cli.versions import files_of

    prefix = (wanted or "").lower().removeprefix("0x")
    known = [record for record in client.sessions() if record.id.hex().startswith(prefix)]
    by_state = ([record for record in known if record.state == state] for state in states)
    found = known if wanted else next(filter(None, by_state), [])
    if not found or (wanted and len(found) > 1):
        what = f"start with {wanted}" if wanted else f"are {' or '.join(states)}"
        raise SessionStateError(
            f"{len(found)} of this machine's sessions {what}",
            advice="See `nexus session list`, or open one with `nexus session open`.",
        )
    return client.session(found[-1].id, files_of(settings, found[-1].model_version))


def _mined(mined: Mined) -> dict[str, object]:
    return {"transaction": mined.hash, "gas": mined.gas, "fee_wei": str(mined.fee)}
