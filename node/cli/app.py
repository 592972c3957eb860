"""The ``nexus`` command: its global options, its commands, and how it fails.

Exit code 0: done; 1: something the user can act on, said with advice; 2: used wrongly; 130: Ctrl-C.
Commands with more to tell apart use codes from 3 on (``nexus judge``).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from nexus_chain.errors import NexusError, OperatingSystemError
from nexus_chain.settings import load_settings
from node.cli import (
    ask,
    audit,
    backup,
    deploy,
    distill,
    distill_run,
    doctor,
    embed,
    judge,
    model,
    money,
    network,
    session,
    up,
    verify,
)
from node.cli import wallet as wallets
from node.cli.output import emit_json, note
from node.flags import (
    ConfirmationsFlag,
    DeploymentFlag,
    HomeFlag,
    MaxFeeFlag,
    PasswordFlag,
    RpcFlag,
    TransactionTimeoutFlag,
    version_flag,
)

app = typer.Typer(
    name="nexus",
    help="Language-model inference that nobody has to trust: ask, pay, verify.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(wallets.app, name="wallet")
app.add_typer(session.app, name="session")
app.add_typer(model.app, name="model")
distill.app.command("run")(distill_run.run)
app.add_typer(distill.app, name="distill")
app.command("up")(up.up)
app.command("down")(up.down)
app.command("status")(up.status)
app.command("ask")(ask.ask)
app.command("embed")(embed.embed)
app.command("verify")(verify.verify)
app.command("withdraw")(money.withdraw)
app.command("nodes")(network.nodes)
app.command("models")(network.models)
app.command("audit")(audit.audit)
app.command("judge")(judge.judge)
app.command("deploy")(deploy.deploy)
app.command("deploy-deposits")(deploy.deploy_deposits)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("doctor")(doctor.doctor)
app.command("settings")(doctor.settings)


@app.callback()
def read_settings(
    context: typer.Context,
    rpc: RpcFlag = None,
    confirmations: ConfirmationsFlag = None,
    transaction_timeout: TransactionTimeoutFlag = None,
    max_fee: MaxFeeFlag = None,
    chain_id: Annotated[
        int | None, typer.Option(help="The chain it has to be [env: NEXUS_CHAIN_ID; default: whichever answers].")
    ] = None,
    deployment: DeploymentFlag = None,
    home: HomeFlag = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file with any of these settings [env: NEXUS_CONFIG; default: NEXUS_HOME/config.toml]."),
    ] = None,
    wallet: Annotated[
        Path | None,
        typer.Option(help="Keystore file [env: NEXUS_WALLET; default: NEXUS_HOME/wallet.json]."),
    ] = None,
    password_file: PasswordFlag = None,
    model_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of model files, looked at before NEXUS_HOME/models [env: NEXUS_MODEL_DIR]."),
    ] = None,
    version: Annotated[bool, version_flag("nexus")] = False,
) -> None:
    """Language-model inference that nobody has to trust: ask, pay, verify."""
    given = {
        "rpc": rpc, "chain_id": chain_id, "deployment": deployment, "home": home, "wallet": wallet,
        "password_file": password_file, "model_dir": model_dir,
        "confirmations": confirmations, "transaction_timeout": transaction_timeout, "max_fee": max_fee,
    }  # fmt: skip
    context.obj = load_settings(given, config)


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
