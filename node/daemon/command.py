"""``nexus-node``: register a node, serve a shard, get paid, leave.

\b
nexus-node --data DIR register --stake WEI
nexus-node --data DIR start
nexus-node --data DIR status | withdraw | post-root | unbond
nexus-node --data DIR watch --policy sample=0.05

Settings come from flags, NEXUS_NODE_* and NEXUS_* variables, a TOML file (--config, else DIR/node.toml) and
defaults, in this order.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nexus_chain.errors import NexusError, OperatingSystemError
from nexus_chain.interruption import end_cleanly, settle_memory
from nexus_chain.log_output import LogSettings, start_log
from nexus_chain.settings import Explained, expanded, nexus_home
from node.daemon import archive
from node.daemon import configuration as settings
from node.daemon.configuration import NodeConfiguration
from node.daemon.stop_signals import end_by_signal
from node.flags import (
    ConfirmationsFlag,
    DeploymentFlag,
    HomeFlag,
    MaxFeeFlag,
    RpcFlag,
    TransactionTimeoutFlag,
    version_flag,
)
from node.watch.command import watch

if TYPE_CHECKING:
    from node.daemon.identity import NodeKeys
    from node.daemon.upkeep.settle import Settler

app = typer.Typer(
    name="nexus-node", help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
)

SWITCH_SECONDS = 0.0005
"""How long a thread of the node that looks at the chain may hold up one with rows in hand."""

NO_SETTINGS = ("data", "config", "verbose", "version")
"""Flags that say where settings are, or that are gone when the command ends."""

app.command()(watch)
app.command()(archive.backup)
app.command()(archive.restore)


@app.callback()
def read_settings(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option(help="Data folder [env: NEXUS_NODE_DATA; default: NEXUS_HOME/node].")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with any of these settings [default: DATA/node.toml].")
    ] = None,
    home: HomeFlag = None,
    rpc: RpcFlag = None,
    confirmations: ConfirmationsFlag = None,
    transaction_timeout: TransactionTimeoutFlag = None,
    max_fee: MaxFeeFlag = None,
    chain_id: Annotated[
        int | None, typer.Option(help="The chain it has to be [env: NEXUS_CHAIN_ID; default: 31337].")
    ] = None,
    deployment: DeploymentFlag = None,
    wallet: Annotated[
        Path | None, typer.Option(help="Keystore file [env: NEXUS_NODE_WALLET; default: DATA/wallet.json].")
    ] = None,
    staker: Annotated[
        str | None, typer.Option(help="Account that stakes and is paid, where its key is elsewhere [the wallet's].")
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(help="File with the wallet's password [env: NEXUS_NODE_PASSWORD_FILE; default: ask for it]."),
    ] = None,
    rpc_url: Annotated[str | None, typer.Option(hidden=True, help="Old spelling of --rpc.")] = None,
    keystore: Annotated[Path | None, typer.Option(hidden=True, help="Old spelling of --wallet.")] = None,
    block: Annotated[Path | None, typer.Option(help="The shard's TensorBlock.")] = None,
    model_version: Annotated[str | None, typer.Option(help="Id of the model version.")] = None,
    price: Annotated[int | None, typer.Option(help="Wei per token; by default the policy's price.")] = None,
    audit_price: Annotated[int | None, typer.Option(help="Wei per token of an audit; 0: none are sold.")] = None,
    listen: Annotated[str | None, typer.Option(help="host:port to listen on.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="host:port told to clients; --listen by default.")] = None,
    threads: Annotated[int | None, typer.Option(help="Engine threads; 0: one per core.")] = None,
    backend: Annotated[str | None, typer.Option(help="What computes: auto, native, torch or cuda.")] = None,
    memory_limit: Annotated[str | None, typer.Option(help="Most of the shard in memory, such as 2GiB.")] = None,
    resident: Annotated[Path | None, typer.Option(help="File with names of weights that stay in memory.")] = None,
    verification: Annotated[str | None, typer.Option(help="Of the shard: eager, cached or lazy.")] = None,
    trace_limit: Annotated[str | None, typer.Option(help="Most of the disk for disputed traces, as 16GiB.")] = None,
    orders: Annotated[int | None, typer.Option(help="Orders in memory at once.")] = None,
    settle_interval: Annotated[float | None, typer.Option(help="Seconds between looks at the chain.")] = None,
    withdraw_above: Annotated[int | None, typer.Option(help="Wei worth a withdrawal by itself.")] = None,
    close_idle_after: Annotated[int | None, typer.Option(help="Seconds after which an idle line is closed.")] = None,
    post_root_every: Annotated[int | None, typer.Option(help="Seconds between receipt roots.")] = None,
    drain: Annotated[float | None, typer.Option(help="Seconds that open chunks get at shutdown.")] = None,
    log_file: Annotated[Path | None, typer.Option(help="Where `start` logs; standard error by default.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, typer.Option(help="text, or json: one object a line.")] = None,
    log_bytes: Annotated[
        str | None, typer.Option(help="Length at which the file is rotated, as 16MiB; 0: never.")
    ] = None,
    log_count: Annotated[int | None, typer.Option(help="Older log files that are kept.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="The same as --log-level info.")] = False,
    version: Annotated[bool, version_flag("nexus-node")] = False,
) -> None:
    """Serve a shard of a registered model, and be paid for it."""
    start_log(LogSettings(level="info" if verbose else "warning"))  # until the settings say where to
    context.obj = settings.load(data or _data_folder(home), _given(context), config)


def _given(context: typer.Context) -> dict[str, Any]:
    """The settings among the flags."""
    flags = context.find_root().params
    level = flags["log_level"] or ("info" if flags["verbose"] else None)
    return {name: value for name, value in flags.items() if name not in NO_SETTINGS} | {"log_level": level}


def _data_folder(home: Path | None) -> Path:
    named = os.environ.get("NEXUS_NODE_DATA")
    return expanded(named) if named else (home or nexus_home()) / "node"


@app.command()
def register(
    context: typer.Context,
    stake: Annotated[int | None, typer.Option(help="Wei; the registry's minimum by default.")] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Although a daemon of this wallet answers from another data folder.")
    ] = False,
    unchecked_endpoint: Annotated[
        bool, typer.Option("--unchecked-endpoint", help="Although this machine cannot connect to its own endpoint.")
    ] = False,
) -> None:
    """Check shard, endpoint and money, then register and stake; again: bring endpoint, key and stake up to date."""
    from node.daemon.chain_settings import connect_contracts
    from node.daemon.identity import NodeKeys, open_or_make_wallet, serving_identity
    from node.daemon.upkeep.readiness import check_ready
    from node.daemon.upkeep.registration import register_node, require_own_stake

    configuration: NodeConfiguration = context.obj
    wallet, said = open_or_make_wallet(configuration)
    _say(said)
    require_own_stake(serving_identity(wallet, configuration.staker_address))
    contracts = connect_contracts(configuration, wallet)
    check_ready(contracts, configuration, wallet.address, stake, take_over, not unchecked_endpoint)
    keys = NodeKeys.of(wallet, configuration)
    _say([*register_node(contracts, keys, configuration, stake), *configuration.changes()])
    configuration.save()


@app.command()
def start(
    context: typer.Context,
    yes: Annotated[
        bool, typer.Option("--yes", help="Register and stake without a question, where that is not done yet.")
    ] = False,
) -> None:
    """Serve until SIGTERM or Ctrl-C; open chunks are finished first. A new node is checked and registered before.

    To register it stakes the registry's minimum; it says how much that is, and asks.
    """
    # Torch takes seconds to import, and only serving needs it.
    from node.daemon.identity import NodeKeys, open_or_make_wallet
    from node.daemon.running_node import RunningNode

    configuration: NodeConfiguration = context.obj
    start_log(configuration.log_settings)
    wallet, said = open_or_make_wallet(configuration)
    _say(said)
    keys = NodeKeys.of(wallet, configuration)
    _register_new(configuration, keys, yes=yes)
    ended = threading.Event()
    sys.setswitchinterval(SWITCH_SECONDS)
    with RunningNode.serving(configuration, keys) as node:
        end_by_signal(ended)
        settle_memory()
        model = node.model
        host, _ = configuration.listen_address
        typer.echo(
            f"{node.address} serves layers {model.layer_start}-{model.layer_end} of {model.layers} "
            f"on {host}:{node.port} for {model.wei_per_token} wei a token"
        )
        sys.stdout.flush()
        ended.wait()
        typer.echo("shutting down")
        sys.stdout.flush()
    typer.echo("stopped")


def _register_new(configuration: NodeConfiguration, keys: NodeKeys, *, yes: bool) -> None:
    """Register a node that the chain does not know, once somebody said yes to the stake. Raises NexusError."""
    from node.daemon.chain_settings import connect_contracts
    from node.daemon.upkeep.readiness import check_ready
    from node.daemon.upkeep.registration import record_of, register_node

    contracts, address = connect_contracts(configuration, keys.wallet), keys.wallet.address
    if keys.staker or record_of(contracts, address) is not None:
        return
    if configuration.block is None or not configuration.model_version:
        return
    stake = contracts.nodes.minimum_stake()
    check_ready(contracts, configuration, address, stake)
    # INVARIANT: nobody's money is staked without a yes.
    _require_yes(f"{address} is not registered yet. Register it with a stake of {stake} wei", yes=yes)
    _say(register_node(contracts, keys, configuration, stake))
    configuration.save()


def _require_yes(question: str, *, yes: bool) -> None:
    """Ask, unless that was answered. Raises RegistrationError where nobody can answer, or the answer is no."""
    from node.daemon.errors import RegistrationError

    if yes:
        typer.echo(f"{question}: yes, by --yes")
    elif not sys.stdin.isatty():
        raise RegistrationError(
            f"{question}? There is no terminal to ask at", advice="Give `start --yes`, or run `nexus-node register`."
        )
    elif not typer.confirm(f"{question}?"):
        raise RegistrationError("the node is not registered, and nothing was staked", advice="Start it again.")


@app.command()
def status(
    context: typer.Context,
    earnings: Annotated[
        bool, typer.Option("--earnings", help="Also what settlements brought since deployment; reads all of them.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """What the chain and the data folder say about this node."""
    from node.daemon.chain_settings import connect_contracts
    from node.daemon.status import describe, status_of

    configuration: NodeConfiguration = context.obj
    found = status_of(connect_contracts(configuration), configuration, earnings=earnings)
    typer.echo(json.dumps(found, indent=2) if as_json else describe(found))


@app.command()
def withdraw(
    context: typer.Context,
    close: Annotated[bool, typer.Option("--close", help="Also close every line that earned something.")] = False,
) -> None:
    """Post vouchers, settle ended lines, fetch the balance; harmless while the daemon runs."""
    with _settler(context.obj) as settler:
        done = settler.close_all() if close else settler.post_all()
        _say([*done, *settler.round()] or ["nothing to settle, nothing to withdraw"])


@app.command("post-root")
def post_receipt_root(context: typer.Context) -> None:
    """Commit the receipt log's root on the chain."""
    from nexus_chain.commitments.receipt_log import ReceiptLog
    from node.daemon.chain_settings import connect_contracts
    from node.daemon.data_folder import receipts_path
    from node.daemon.identity import NodeKeys
    from node.daemon.upkeep.receipt_root import post_root
    from node.daemon.upkeep.registration import require_own_stake

    configuration: NodeConfiguration = context.obj
    keys = NodeKeys.open(configuration)
    require_own_stake(keys.identity)
    contracts = connect_contracts(configuration, keys.wallet)
    with ReceiptLog(receipts_path(configuration.data)) as receipts:
        _say([post_root(contracts, keys.wallet.address, receipts) or "no new receipts since the last root"])


@app.command()
def unbond(context: typer.Context) -> None:
    """Ask for the stake back; once the delay is over, fetch it."""
    from node.daemon.chain_settings import connect_contracts
    from node.daemon.identity import NodeKeys
    from node.daemon.upkeep.registration import require_own_stake, unbond_node

    configuration: NodeConfiguration = context.obj
    keys = NodeKeys.open(configuration)
    require_own_stake(keys.identity)
    _say([unbond_node(connect_contracts(configuration, keys.wallet), keys.wallet.address)])


@app.command("identity")
def print_identity(context: typer.Context) -> None:
    """Print the keys that the registry has to hold for this machine, and which registry, as JSON; save the settings.

    Sends nothing. Paste it on the page Operate, where the account of --staker registers, stakes and announces.
    """
    from node.daemon.identity import NodeKeys, open_or_make_wallet
    from node.daemon.upkeep.public_identity import public_identity

    configuration: NodeConfiguration = context.obj
    wallet, said = open_or_make_wallet(configuration)
    for line in said:
        typer.echo(line, err=True)
    found = public_identity(configuration, NodeKeys.of(wallet, configuration))
    configuration.save()
    typer.echo(json.dumps(found, indent=2))


class Period(StrEnum):
    """What earnings are summed by."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@app.command()
def earnings(
    context: typer.Context,
    by: Annotated[Period, typer.Option(help="Periods of UTC; weeks begin on Monday (ISO 8601).")] = Period.MONTH,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """What settled lines brought this node, in wei, by day, week or month of UTC; reads all settlements."""
    from nexus_chain.chain.periods import earnings_by_period
    from node.daemon.chain_settings import connect_contracts
    from node.daemon.identity import address_of_node

    configuration: NodeConfiguration = context.obj
    node = address_of_node(configuration)
    found = earnings_by_period(connect_contracts(configuration), node, by)
    if as_json:
        periods = [{"period": one.period, "lines": one.lines, "wei": str(one.wei)} for one in found]
        typer.echo(json.dumps({"node": node, "by": by, "time_zone": "UTC", "periods": periods}, indent=2))
        return
    for one in found:
        typer.echo(f"{one.period}  {one.wei} wei  {one.lines} lines")
    typer.echo(f"total {sum(one.wei for one in found)} wei; periods are UTC")


@app.command()
def doctor(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False
) -> None:
    """Check machine, keys, port, endpoint, chain, registration, funds and shard; exit code 1 when one fails."""
    from node.daemon.doctor import NodeDoctor

    report = NodeDoctor(context.obj, _explained(context)).report()
    typer.echo(json.dumps(report.to_dict(), indent=2) if as_json else "\n".join(report.lines()))
    if not report.passed:
        raise typer.Exit(1)


@app.command("settings")
def show_settings(context: typer.Context) -> None:
    """List every setting, its value, and what gave it: a flag, a variable, the TOML file, or the default."""
    for one in _explained(context):
        typer.echo(f"{one.name:16} {one.shown}  ({one.source})")


def _explained(context: typer.Context) -> list[Explained]:
    configuration: NodeConfiguration = context.obj
    config = context.find_root().params["config"]
    return settings.explain_configuration(configuration.data, _given(context), config)


@app.command("systemd-unit")
def print_unit(context: typer.Context) -> None:
    """Print a systemd unit that runs this node: save it as /etc/systemd/system/nexus-node.service."""
    from node.daemon.systemd_unit import unit_of

    typer.echo(unit_of(context.obj), nl=False)


@contextmanager
def _settler(configuration: NodeConfiguration) -> Iterator[Settler]:
    """A settler for one round by command; it reads the log of a daemon that may be running."""
    from node.daemon.chain_settings import connect_contracts, terms_of
    from node.daemon.chain_view import ChainView
    from node.daemon.data_folder import events_path
    from node.daemon.identity import NodeKeys
    from node.daemon.ledger.ledger import Ledger
    from node.daemon.ledger.write_ahead_log import WriteAheadLog
    from node.daemon.upkeep.settle import Settler

    keys = NodeKeys.open(configuration)
    contracts = connect_contracts(configuration, keys.wallet)
    identity = keys.identity
    address = identity.address
    log = WriteAheadLog(events_path(configuration.data))
    ledger = Ledger(log, terms_of(contracts, configuration), reader=True)
    try:
        yield Settler(contracts, address, ledger, ChainView(contracts, address), has_stake=identity.has_stake)
    finally:
        ledger.close()


def _say(lines: list[str]) -> None:
    for line in lines:
        typer.echo(line)


def run(arguments: list[str]) -> int:
    """Run one invocation; returns its exit code. Errors we know are one line, not a traceback."""
    try:
        app(args=arguments, prog_name="nexus-node")
    except SystemExit as leaving:  # done, --help, wrong usage
        return leaving.code if isinstance(leaving.code, int) else 0
    except NexusError as error:
        return _failed(error)
    except OSError as error:
        return _failed(OperatingSystemError.of(error))
    return 0


def _failed(error: NexusError) -> int:
    typer.echo(f"error: {error}", err=True)
    return 1


def main() -> None:
    """Entry point where an older installation names this module."""
    end_cleanly("nexus-node", lambda: run(sys.argv[1:]))


if __name__ == "__main__":
    main()
