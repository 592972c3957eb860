"""The ``nexus`` command: its global options, its commands, and how it fails.

Exit code 0: done; 1: something the user can act on, said with advice; 2: used wrongly.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from nexus_chain.errors import NexusError, OperatingSystemError
from node.cli import ask, audit, embed, model, money, network, session, verify, wallet
from node.cli.output import emit_json, note
from node.cli.settings import DEFAULT_RPC, Settings

app = typer.Typer(
    name="nexus",
    help="Language-model inference that nobody has to trust: ask, pay, verify.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(wallet.app, name="wallet")
app.add_typer(session.app, name="session")
app.add_typer(model.app, name="model")
app.command("ask")(ask.ask)
app.command("embed")(embed.embed)
app.command("verify")(verify.verify)
app.command("withdraw")(money.withdraw)
app.command("nodes")(network.nodes)
app.command("models")(network.models)
app.command("audit")(audit.audit)


@app.callback()
def settings(
    context: typer.Context,
    rpc: Annotated[str, typer.Option(envvar="NEXUS_RPC", help="The chain's RPC address.")] = DEFAULT_RPC,
    deployment: Annotated[
        Path | None,
        typer.Option(envvar="NEXUS_DEPLOYMENT", help="Deployment file [default: NEXUS_HOME/deployments/CHAIN.json]."),
    ] = None,
    home: Annotated[
        Path | None, typer.Option(envvar="NEXUS_HOME", help="Folder of everything that is kept [default: ~/.nexus].")
    ] = None,
    wallet_file: Annotated[
        Path | None,
        typer.Option("--wallet", envvar="NEXUS_WALLET", help="Keystore file [default: NEXUS_HOME/wallet.json]."),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(envvar="NEXUS_PASSWORD_FILE", help="File with the wallet's password [default: ask for it]."),
    ] = None,
    model_dir: Annotated[
        Path | None,
        typer.Option(envvar="NEXUS_MODEL_DIR", help="Folder of model files, looked at before NEXUS_HOME/models."),
    ] = None,
) -> None:
    """Language-model inference that nobody has to trust: ask, pay, verify."""
    context.obj = Settings(rpc, deployment, home, wallet_file, password_file, model_dir)


def main() -> None:
    """Entry point of the ``nexus`` command."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one invocation; returns its exit code."""
    try:
        app(arguments, prog_name="nexus")
    except SystemExit as leaving:  # done, --help, a failed check, wrong usage
        return leaving.code if isinstance(leaving.code, int) else 0
    except NexusError as error:
        return _failed(error, arguments)
    except BrokenPipeError:
        # The reader of our output is gone; nothing more can be said to it, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _failed(OperatingSystemError.of(error), arguments)
    return 0


def _failed(error: NexusError, arguments: list[str]) -> int:
    """Say what is wrong and what to do; the exit code."""
    if "--json" in arguments:
        emit_json({"error": {"type": type(error).__name__, "message": error.message, "advice": error.advice}})
    note(f"nexus: {error}")
    return 1
