"""The ``nexus-gateway`` command: flags, words and a server that ends as a whole.

Exit code 0: ended as it was told to (SIGTERM, Ctrl-C), answers under way included; 1: could not start.
"""

from __future__ import annotations

import getpass
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from nexus_chain.errors import NexusError, OperatingSystemError, SettingsError
from nexus_chain.interruption import EXIT_CODES, settle_memory
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
from node.gateway.http_connection import GatewayConnection
from node.gateway.settings import GatewaySettings, load_gateway_settings
from node.gateway.wiring import open_gateway

SWITCH_SECONDS = 0.001
"""How long a thread may keep the interpreter while others wait: answers hand over to the loop at every token."""
UNTAKEN_MILLISECONDS = 120_000
"""After so long a connection is closed by the system whose reader takes nothing of what was sent."""

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
    open_answers: Annotated[int | None, typer.Option(help="Under way for one account, over all its keys [16].")] = None,
    body_limit: Annotated[int | None, typer.Option(help="Bytes of a request [2097152].")] = None,
    keep_days: Annotated[float | None, typer.Option(help="How long evidence is kept [30].")] = None,
    drain: Annotated[float | None, typer.Option(help="Seconds that answers get at shutdown [30].")] = None,
    answers: Annotated[int | None, typer.Option(help="At once for each model [64].")] = None,
    session_tokens: Annotated[int | None, typer.Option(help="Positions that a session is opened for [65536].")] = None,
    public_url: Annotated[str | None, typer.Option(help="The address as callers see it [default: --listen].")] = None,
    operator_key_file: Annotated[
        Path | None, typer.Option(help="Where a key of the operator's own account lies; made where there is none.")
    ] = None,
    operator_credit: Annotated[int | None, typer.Option(help="Wei that the operator's account has in all [0].")] = None,
    deposits: Annotated[
        str | None, typer.Option(help="Contract of `nexus deploy-deposits` whose deposits are credit.")
    ] = None,
    deposits_block: Annotated[int | None, typer.Option(help="The block that it was created in [0].")] = None,
    x402_token: Annotated[
        str | None, typer.Option(help="Token (EIP-3009) that pays for requests without a key.")
    ] = None,
    x402_name: Annotated[str | None, typer.Option(help="Name in the token's EIP-712 domain.")] = None,
    x402_version: Annotated[str | None, typer.Option(help="Version in the token's EIP-712 domain.")] = None,
    x402_wei_per_unit: Annotated[int | None, typer.Option(help="Wei of credit for its smallest unit.")] = None,
    x402_least_wei: Annotated[
        int | None, typer.Option(help="Wei of credit of the least payment: what fetching one costs [10^14].")
    ] = None,
    public_rpc: Annotated[
        str | None, typer.Option(help="RPC servers that the page offers to wallets: anybody may use them [none].")
    ] = None,
    chain_name: Annotated[str | None, typer.Option(help="What wallets call the chain [Chain ID].")] = None,
    audits: Annotated[
        int | None, typer.Option(help="Of certificates, that callers may have run here at once [2].")
    ] = None,
    verifier: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Another gateway that readers may have answers recomputed by [none]."),
    ] = None,
    verify_for: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="A gateway whose readers may have answers recomputed here [none]."),
    ] = None,
    distillation: Annotated[
        Path | None, typer.Option(help="Folder of a distillation that callers may look at: `NEXUS_HOME/distillation`.")
    ] = None,
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
    flags = {name: None if value == [] else value for name, value in context.params.items() if name != "version"}
    own = load_gateway_settings({name: value for name, value in flags.items() if name not in SHARED})
    start_log(LogSettings(level=own.log_level, form=own.log_format))
    serve(load_settings({name: flags.get(name) for name in SHARED}), own)


def serve(shared: Settings, own: GatewaySettings) -> None:
    """Serve until a signal comes. Raises NexusError."""
    workspace = Workspace(shared, getpass.getpass if sys.stdin.isatty() else None)
    workspace.home.prepare()
    with ExitStack() as stack:
        listening = stack.enter_context(_bound(own))
        host, port = listening.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        gateway = stack.enter_context(open_gateway(workspace, own, address))
        config = uvicorn.Config(
            gateway.app, log_config=None, access_log=False, lifespan="on", server_header=False, loop="uvloop",
            http=GatewayConnection, ws="none", timeout_graceful_shutdown=max(1, round(own.drain)),
            timeout_keep_alive=75,
        )  # fmt: skip
        sys.setswitchinterval(SWITCH_SECONDS)
        settle_memory()
        typer.echo(f"serving {', '.join(model.name for model in gateway.models)} at {address}", err=True)
        _GatewayServer(config, gateway.end_streams).run(sockets=[listening])


class _GatewayServer(uvicorn.Server):
    """Ends at the first signal, answers under way included; at the second it waits for nobody. Both are no failure."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_streams = end_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams that never end by themselves are ended; answers are waited for."""
        self._end_streams()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals ask it to stop while it serves, and are not raised again afterwards."""
        before = {number: signal.signal(number, self.handle_exit) for number in EXIT_CODES}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _bound(own: GatewaySettings) -> socket.socket:
    """The socket that listens: a port in use is said before anything else is opened. Raises SettingsError."""
    host, port = own.address
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise SettingsError(
            f"{own.listen} cannot be listened on ({error.strerror or error})",
            advice="Give another address with --listen, or end the program that has it.",
        ) from error
    # Connections inherit it. A reader who takes nothing keeps what was sent last, also after its request has ended.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNTAKEN_MILLISECONDS)
    return made


def run(arguments: list[str]) -> int:
    """Run one invocation; returns its exit code. Errors we know are one line, not a traceback."""
    try:
        app(args=arguments, prog_name="nexus-gateway")
    except SystemExit as leaving:  # done, --help, wrong usage
        return leaving.code if isinstance(leaving.code, int) else 0
    except NexusError as error:
        return _fail(error)
    except OSError as error:
        return _fail(OperatingSystemError.of(error))
    return 0


def _fail(error: NexusError) -> int:
    typer.echo(f"error: {error}", err=True)
    return 1
