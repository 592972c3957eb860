"""``nexus wallet``: the key that pays."""

from __future__ import annotations

import typer

from nexus_chain.chain.errors import ChainError, WalletPasswordError
from nexus_chain.chain.wallet import Wallet
from nexus_chain.market.documents import checksum
from node.cli.output import emit_json, ether, note, result
from node.cli.settings import JsonFlag, Settings, settings_of

app = typer.Typer(help="The wallet that pays.", no_args_is_help=True, rich_markup_mode=None)


@app.command("new")
def new(context: typer.Context, json: JsonFlag = False) -> None:
    """Create an encrypted wallet."""
    settings = settings_of(context)
    settings.home.prepare()
    password = settings.password("New wallet password: ")
    if settings.password_file is None and settings.password("Again: ") != password:
        raise WalletPasswordError("the passwords differ", advice="Run the command again.")
    wallet = Wallet.create(settings.wallet_path, password)
    if json:
        emit_json({"address": wallet.address, "keystore": str(settings.wallet_path)})
        return
    result(wallet.address)
    note(f"Keystore: {settings.wallet_path}. Send it some ether, then open a session.")


@app.command("show")
def show(context: typer.Context, json: JsonFlag = False) -> None:
    """Show the wallet's address and, where the chain answers, its money."""
    settings = settings_of(context)
    address = Wallet.address_in(settings.wallet_path)
    held = _money(settings, address)
    if json:
        known = {"balance_wei": str(held[0]), "owed_wei": str(held[1])} if held else {}
        emit_json({"address": address, "keystore": str(settings.wallet_path), **known})
        return
    result(address)
    if held:
        result(f"balance {ether(held[0])}, to withdraw {ether(held[1])}")


def _money(settings: Settings, address: str) -> tuple[int, int] | None:
    """(balance, owed by the market), wei; None where no chain answers."""
    try:
        contracts = settings.chain
        return contracts.web3.eth.get_balance(checksum(address)), contracts.market.balance_of(address)
    except ChainError as error:
        note(f"No balance: {error.message}")
        return None
