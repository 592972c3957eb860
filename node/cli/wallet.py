"""``nexus wallet``: the key that pays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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


@app.command("import")
def import_(
    context: typer.Context,
    keystore: Annotated[
        list[str] | None, typer.Argument(metavar="[KEYSTORE]", help="A keystore of geth, Foundry, MetaMask and others.")
    ] = None,
    keystore_password_file: Annotated[
        Path | None, typer.Option(help="File with that keystore's password [default: ask for it].")
    ] = None,
    private_key: Annotated[bool, typer.Option("--private-key", help="Ask for a private key.")] = False,
    private_key_file: Annotated[Path | None, typer.Option(help="File with a private key.")] = None,
    mnemonic: Annotated[bool, typer.Option("--mnemonic", help="Ask for a mnemonic.")] = False,
    mnemonic_file: Annotated[Path | None, typer.Option(help="File with a mnemonic.")] = None,
    derivation_path: Annotated[str, typer.Option(help="Which account of the mnemonic.")] = "m/44'/60'/0'/0/0",
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Ask for the mnemonic's passphrase.")] = False,
    passphrase_file: Annotated[Path | None, typer.Option(help="File with the mnemonic's passphrase.")] = None,
    json: JsonFlag = False,
) -> None:
    """Bring a wallet from another program: a keystore, a private key or a mnemonic. Overwrites nothing."""
    from nexus_chain.workflows.wallet_import import ASKED, WalletSource, import_wallet, keystore_named

    workspace = workspace_of(context, quiet=json)
    source = WalletSource(
        keystore_named(keystore or []),
        private_key_file or (ASKED if private_key else None),
        mnemonic_file or (ASKED if mnemonic else None),
        derivation_path,
        passphrase_file or (ASKED if passphrase else None),
        keystore_password_file,
    )
    address = import_wallet(workspace, source)
    if json:
        emit_json({"address": address, "keystore": str(workspace.wallet_path)})
        return
    result(address)
    note(f"Keystore: {workspace.wallet_path}. Keep the original as its backup.")


@app.command("show")
def show(context: typer.Context, json: JsonFlag = False) -> None:
    """Show the wallet's address and, where the chain answers, its money."""
    from nexus_chain.workflows.money import Balance, balance_of

    workspace = workspace_of(context, quiet=json)
    address = workspace.address
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
