"""``nexus wallet``: the key that pays."""

from __future__ import annotations

import typer

from node.cli.output import emit_json, ether, note, result
from node.cli.settings import JsonFlag, workspace_of

app = typer.Typer(help="The wallet that pays.", no_args_is_help=True, rich_markup_mode=None)


@app.command("new")
def new(context: typer.Context, json: JsonFlag = False) -> None:
    """Create an encrypted wallet."""
    from nexus_chain.workflows.money import create_wallet

    workspace = workspace_of(context, quiet=json)
    address = create_wallet(workspace)
    if json:
        emit_json({"address": address, "keystore": str(workspace.wallet_path)})
        return
    result(address)
    note(f"Keystore: {workspace.wallet_path}. Send it some ether, then open a session.")


@app.command("show")
def show(context: typer.Context, json: JsonFlag = False) -> None:
    """Show the wallet's address and, where the chain answers, its money."""
    from nexus_chain.chain.wallet import Wallet
    from nexus_chain.workflows.money import Balance, balance_of

    workspace = workspace_of(context, quiet=json)
    address = Wallet.address_in(workspace.wallet_path)
    balance = balance_of(workspace, address)
    if json:
        facts = {"address": address, "keystore": str(workspace.wallet_path)}
        if isinstance(balance, Balance):
            facts |= {"balance_wei": str(balance.held), "owed_wei": str(balance.owed)}
        emit_json(facts)
        return
    result(address)
    if isinstance(balance, Balance):
        result(f"balance {ether(balance.held)}, to withdraw {ether(balance.owed)}")
    else:
        note(f"No balance: {balance.message}")
