"""``nexus withdraw``: fetch what the market owes the wallet."""

from __future__ import annotations

import typer

from node.cli.output import emit_json, ether, result
from node.cli.settings import JsonFlag, workspace_of


def withdraw(context: typer.Context, json: JsonFlag = False) -> None:
    """Fetch refunds and earnings that the market holds for the wallet."""
    from nexus_chain.workflows import money

    done = money.withdraw(workspace_of(context, quiet=json))
    if json:
        transaction = {"transaction": done.mined and done.mined.hash, "gas": done.mined.gas if done.mined else 0}
        emit_json({"address": done.address, "withdrawn_wei": str(done.wei), **transaction})
    elif done.mined:
        result(f"{ether(done.wei)} sent to {done.address} ({done.mined.gas} gas)")
    else:
        result("Nothing to withdraw. Sessions pay back when they are settled: `nexus session settle`.")
