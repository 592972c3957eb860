"""The ``nexus-gateway`` command: flags, words and a server that ends as a whole.

Exit code 0: ended as it was told to (SIGTERM, Ctrl-C), answers under way included; 1: could not start, said with advice.
"""

from __future__ import annotations

import getpass
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn

from nexus_chain.errors import NexusError, OperatingSystemError, SettingsError
from nexus_chain.log_output import LogSettings, start_log
from nexus_chain.settings import SHARED, Settings, load_settings
from nexus_chain.workflows.workspace import Workspace
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
from node.gateway.access.single_key import single_key_accounts
from node.gateway.ledger.database import Database, sqlite_url
from node.gateway.settings import GatewaySettings, load_gateway_settings
from node.gateway.wiring import open_gateway

app = typer.Typer(name="nexus-gateway", pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def gateway(
    context: typer.Context,
    listen: Annotated[str | None, typer.Option(help="host:port [default: 127.0.0.1:11434].")] = None,
    model: Annotated[
        list[str] | None, typer.Option(metavar="NAME[=VERSION]", help="A model to serve [default: the newest here].")
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="sqlite:///FILE or postgresql://HOST/NAME [default: in NEXUS_HOME/gateway].")
    ] = None,
    home: HomeFlag = None,
    rpc: RpcFlag = None,
    chain_id: Annotated[int | None, typer.Option(help="The chain it has to be [env: NEXUS_CHAIN_ID].")] = None,
    deployment: DeploymentFlag = None,
    wallet: Annotated[Path | None, typer.Option(help="Keystore file [env: NEXUS_WALLET].")] = None,
    password_file: PasswordFlag = None,
    confirmations: ConfirmationsFlag = None,
    transaction_timeout: TransactionTimeoutFlag = None,
    max_fee: MaxFeeFlag = None,
    model_dir: Annotated[Path | None, typer.Option(help="Looked at before the home's models.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Of an answer whose request names no number [1024].")] = None,
    verify_rate: Annotated[float | None, typer.Option(help="Share of answers that are recomputed here [0.05].")] = None,
    audit_rate: Annotated[float | None, typer.Option(help="Share of receipts that others recompute, paid [0].")] = None,
    fee_basis_points: Annotated[int | None, typer.Option(help="Of an answer's cost, for this gateway [0].")] = None,
    gas_wei: Annotated[int | None, typer.Option(help="Of each answer, for this gateway's gas [0].")] = None,
    body_limit: Annotated[int | None, typer.Option(help="Bytes of a request [2097152].")] = None,
    keep_days: Annotated[float | None, typer.Option(help="How long evidence is kept [30].")] = None,
    drain: Annotated[float | None, typer.Option(help="Seconds that answers get at shutdown [30].")] = None,
    answers: Annotated[int | None, typer.Option(help="At once for each model [32].")] = None,
    session_tokens: Annotated[int | None, typer.Option(help="Positions that a session is opened for [65536].")] = None,
    insecure_single_key_file: Annotated[
        Path | None, typer.Option(help="File with a key that may ask without limits: no accounts, no ledger.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, typer.Option(help="text, or json: one object a line.")] = None,
    version: Annotated[bool, version_flag("nexus-gateway")] = False,
) -> None:
    """Serve the network by the HTTP interfaces of OpenAI, Ollama and Anthropic.

    Settings come from flags, NEXUS_GATEWAY_* and NEXUS_* variables, config.toml in the home, and defaults.
    """
    flags = {name: value for name, value in context.params.items() if name != "version"}
    own = load_gateway_settings({name: value or None for name, value in flags.items() if name not in SHARED})
    start_log(LogSettings(level=own.log_level, form=own.log_format))
    serve(load_settings({name: flags.get(name) for name in SHARED}), own)


def serve(shared: Settings, own: GatewaySettings) -> None:
    """Serve until a signal comes. Raises NexusError."""
    ask = getpass.getpass if sys.stdin.isatty() else None
    workspace = Workspace(shared, ask)
    workspace.home.prepare()
    with ExitStack() as stack:
        listening = stack.enter_context(_bound(own))
        database = stack.enter_context(opened(own, shared.home))
        if own.insecure_single_key_file is None:
            raise SettingsError("accounts are not wired yet", advice="Give --insecure-single-key-file.")
        accounts = single_key_accounts(own.insecure_single_key_file)
        gateway = stack.enter_context(open_gateway(workspace, own, accounts, database))
        host, port = listening.getsockname()[:2]
        names = ", ".join(model.name for model in gateway.models)
        typer.echo(f"serving {names} at http://{host}:{port}", err=True)
        config = uvicorn.Config(
            gateway.app, log_config=None, access_log=False, lifespan="on", server_header=False,
            timeout_graceful_shutdown=max(1, round(own.drain)), timeout_keep_alive=75, loop="uvloop", http="httptools",
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listening])


