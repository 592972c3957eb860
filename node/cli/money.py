"""``nexus withdraw``: fetch what the market owes the wallet."""

from __future__ import annotations

import typer

from node.cli.output import emit_json, ether, result
from node.cli.settings import JsonFlag, settings_of


def withdraw(context: typer.Context, json: JsonFlag = False) -> None:
    """Fetch refunds and earnings that the market holds for the wallet."""
    market = settings_of(context).wallet_chain.market
    wallet = settings_of(context).wallet
    owed = market.balance_of(wallet.address)
    mined = market.withdraw() if owed else None
    if json:
        emit_json(
            {
                "address": wallet.address,
                "withdrawn_wei": str(owed),
                "transaction": mined.hash if mined else None,
                "gas": mined.gas if mined else 0,
            }
        )
    elif mined:
        result(f"{ether(owed)} sent to {wallet.address} ({mined.gas} gas)")
    else:
        result("Nothing to withdraw. Sessions pay back when they are settled: `nexus session settle`.")
