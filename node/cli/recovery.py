"""``nexus session recover``: the wallet's sessions, where the database is gone or damaged."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.output import emit_json, ether, hex_id, note, table
from node.cli.settings import JsonFlag, workspace_of

WHAT_NOW = (
    "What they promised is not known here, so nothing can be asked in them. `nexus session close ID` and, after the "
    "challenge window, `nexus session settle ID` pay nodes what they hold vouchers for and give the rest back."
)


def recover(
    context: typer.Context,
    owner: Annotated[str | None, typer.Option(help="Whose sessions to look for [default: the wallet's].")] = None,
    json: JsonFlag = False,
) -> None:
    """Find the wallet's sessions on the chain and remember those that this machine does not know.

    A damaged database is renamed, never deleted. No password is needed: nothing is signed.
    """
    from nexus_chain.workflows import sessions

    aside, found = sessions.find_lost_sessions(workspace_of(context, quiet=json), owner)
    rows = [
        {
            "session": hex_id(one.record.id),
            "state": one.record.state,
            "locked_wei": str(one.locked),
            "expiry": one.record.expiry,
            "key_here": one.key,
        }
        for one in found
    ]
    if json:
        emit_json({"damaged_database": str(aside) if aside else None, "sessions": rows})
        return
    if aside:
        note(f"The database was damaged; it is {aside} now.")
    shown = [(r["session"], r["state"], ether(int(str(r["locked_wei"]))), r["key_here"]) for r in rows]
    table("Recovered sessions", ("session", "state", "locked", "key here"), shown)
    if any(r["state"] == "recovered" for r in rows):
        note(WHAT_NOW)
