"""Flags that every program here has, spelled alike. What they mean and who wins: ``nexus_chain.settings``.

A flag that was not given is None: the environment, the TOML file and the defaults come after it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nexus_chain.settings import DEFAULT_RPC, SHORTEST_WAIT_SECONDS

HomeFlag = Annotated[
    Path | None, typer.Option("--home", help="Folder of everything that is kept [env: NEXUS_HOME; default: ~/.nexus].")
]
RpcFlag = Annotated[
    str | None,
    typer.Option("--rpc", help=f"The chain's RPC address; more after commas [env: NEXUS_RPC; default: {DEFAULT_RPC}]."),
]
ConfirmationsFlag = Annotated[
    int | None,
    typer.Option(
        "--confirmations", min=1, help="Blocks after which a transaction counts [env: NEXUS_CONFIRMATIONS; default: 1]."
    ),
]
TransactionTimeoutFlag = Annotated[
    float | None,
    typer.Option(
        "--transaction-timeout",
        min=SHORTEST_WAIT_SECONDS,
        help="Seconds to wait until it does [env: NEXUS_TRANSACTION_TIMEOUT; default: 120].",
    ),
]
MaxFeeFlag = Annotated[
    int | None,
    typer.Option(
        "--max-fee", min=0, help="Wei that one transaction's gas may cost [env: NEXUS_MAX_FEE; default: 1 ether]."
    ),
]
DeploymentFlag = Annotated[
    Path | None,
    typer.Option(
        "--deployment", help="Deployment file [env: NEXUS_DEPLOYMENT; default: NEXUS_HOME/deployments/CHAIN.json]."
    ),
]
PasswordFlag = Annotated[
    Path | None,
    typer.Option(
        "--password-file", help="File with the wallet's password [env: NEXUS_PASSWORD_FILE; default: ask for it]."
    ),
]
DISTRIBUTION = "neural-nexus"


def version_flag(program: str) -> object:
    """The option ``--version`` of a program."""

    def show(wanted: bool) -> None:
        if wanted:
            typer.echo(f"{program} {_version()}")
            raise typer.Exit

    return typer.Option("--version", callback=show, is_eager=True, help="Show the version and exit.")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "(run from its sources, not installed)"
