"""``nexus session prepare`` and ``adopt``: a contract account pays, and this machine asks."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.output import emit_json, ether, hex_id, note, result
from node.cli.settings import JsonFlag, OperatorsOption, ValueOption, workspace_of


def prepare(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="The account that will open the session and pay for it.")],
    tokens: Annotated[int, typer.Option(min=1, help="Positions (prompt and answer) to lock money for.")] = 4096,
    model: Annotated[str | None, typer.Option(help="Model version id or its beginning.")] = None,
    minutes: Annotated[int, typer.Option(min=1, help="How long the session may be used, from now.")] = 60,
    value_at_risk: ValueOption = None,
    operators: OperatorsOption = None,
    json: JsonFlag = False,
) -> None:
    """Print the calls by which another account (a Safe, say) opens a session, closes it, and is paid back.

    Keeps the session's key here and sends nothing; no password is needed. Then: `nexus session adopt ID`.
    """
    from nexus_chain.workflows import other_account, sessions

    workspace = workspace_of(context, quiet=json)
    wanted = sessions.SessionRequest(tokens, 60 * minutes, model, value_at_risk or 0, workspace.operators(operators))
    with workspace.client(signing=False) as client:
        made = other_account.prepare_for(client, workspace.library, account, wanted)
    session = hex_id(made.record.id)
    calls = {
        call.name: {"to": call.to, "value_wei": str(call.value), "data": "0x" + call.data.hex()} for call in made.calls
    }
    if json:
        emit_json({"session": session, "account": made.record.user, "expiry": made.record.expiry, "calls": calls})
        return
    result(session)
    for call in made.calls:
        note(f"{call.name}: to {call.to}, value {call.value} wei ({ether(call.value)}), data 0x{call.data.hex()}")
    note(f"{made.record.user} sends `open`; then `nexus session adopt {session[:12]}`, and ask with --session.")


def adopt(
    context: typer.Context,
    session: Annotated[str, typer.Argument(help="Id of the prepared session, or its beginning.")],
    json: JsonFlag = False,
) -> None:
    """Take up a prepared session that its account has opened: from now on it can be asked in."""
    from nexus_chain.workflows import other_account

    with workspace_of(context, quiet=json).client(signing=False) as client:
        record = other_account.adopt_session(client, session)
        locked = client.store.locked(record.id)
    if json:
        emit_json({"session": hex_id(record.id), "state": record.state, "locked_wei": str(locked)})
        return
    result(f"{hex_id(record.id)} is {record.state}: {record.user} locked {ether(locked)}")
    note("Its account alone can close it before its expiry, and fetches what is left.")
