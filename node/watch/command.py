"""The ``nexus-node watch`` command."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nexus_chain.errors import NexusError
from nexus_chain.log_output import LogSettings, start_log

if TYPE_CHECKING:
    from node.daemon.configuration import NodeConfiguration
    from node.watch.watcher import Watcher


def watch(
    context: typer.Context,
    answers: Annotated[
        list[Path] | None, typer.Option(help="Folder with answer files; NEXUS_HOME/answers by default. Repeatable.")
    ] = None,
    model_dir: Annotated[
        list[Path] | None,
        typer.Option(
            "--model-dir", "--models", help="Folder with model files; NEXUS_HOME/models by default. Repeatable."
        ),
    ] = None,
    policy: Annotated[str, typer.Option(help="trust, sample=p (a share of the answers) or full.")] = "full",
    bonds: Annotated[int, typer.Option(help="Wei that bonds may ever take, locked or lost.")] = 10**18,
    fees: Annotated[int, typer.Option(help="Wei that fees may ever take.")] = 10**18,
    reputation: Annotated[
        Path | None,
        typer.Option(help="File that tells your client about nodes; NEXUS_HOME/reputation.json by default."),
    ] = None,
    interval: Annotated[float, typer.Option(help="Seconds between rounds.")] = 5.0,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Stop when no case is open.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with a report for scripts.")] = False,
) -> None:
    """Recompute answers and dispute wrong ones: commits, opens and plays games by itself."""
    # Recomputing needs torch, which takes seconds to import.
    from nexus_chain.chain.wallet import Wallet, read_password
    from nexus_chain.client.home import ClientHome
    from nexus_chain.evidence.verify import level_of_share
    from nexus_chain.folder_lock import exclusive
    from node.daemon.chain_settings import connect_contracts
    from node.daemon.stop_signals import end_by_signal
    from node.watch.policy import Budget, parse_policy
    from node.watch.watcher import Watcher, WatchSettings

    configuration: NodeConfiguration = context.obj
    start_log(_own_log(configuration.log_settings))
    home = ClientHome(configuration.home)
    settings = WatchSettings(
        configuration.data / "watch",
        tuple(answers or [home.answers]),
        tuple(model_dir or [home.models]),
        level_of_share(parse_policy(policy)),
        Budget(bonds, fees),
        reputation or home.reputation,
    )
    path = configuration.wallet_path
    Wallet.address_in(path)  # no question for a password when there is no keystore
    wallet = Wallet.load(path, read_password(configuration.password_file, prompt=f"Password of {path}: "))
    ended = threading.Event()
    end_by_signal(ended)
    with exclusive(settings.data):
        contracts = connect_contracts(configuration, wallet)
        watcher = Watcher(settings, contracts, contracts.disputes, wallet.address)
        try:
            _rounds(watcher, interval, ended, until_idle, quiet=as_json)
            if as_json:
                typer.echo(json.dumps(watcher.report(), indent=2))
        finally:
            watcher.close()


def _own_log(settings: LogSettings) -> LogSettings:
    """Beside the daemon's: two programs that rotate one file lose lines."""
    file = settings.file
    return settings if file is None else replace(settings, file=file.with_name(f"{file.stem}-watch{file.suffix}"))


def _rounds(watcher: Watcher, interval: float, ended: threading.Event, until_idle: bool, *, quiet: bool) -> None:
    while not ended.is_set():
        try:
            said = watcher.round()
        except NexusError as error:
            said = [f"this round has to wait: {error}"]
        for line in said:
            typer.echo(line, err=quiet)
        if until_idle and watcher.idle and not said:
            return
        ended.wait(interval)
