"""``nexus up``, ``down`` and ``status``: a whole local network that stays up."""

from __future__ import annotations

import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.output import Shown, emit_json, note, result, table
from node.cli.settings import JsonFlag, settings_of

if TYPE_CHECKING:
    from types import FrameType

    from nexus_chain.workflows.local_network.plan import Places, UpRequest
    from nexus_chain.workflows.local_network.state import NetworkState

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
START_LOOK_SECONDS = 0.2


def up(
    context: typer.Context,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Name in `nexus model catalogue`; give it again for more [default: smollm2-135m-instruct]."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Where HTTP clients connect.")] = 11434,
    chain_port: Annotated[int, typer.Option(min=1, max=65_535, help="Where the chain listens.")] = 8545,
    segments: Annotated[int, typer.Option(min=1, help="Parts that each model is cut into.")] = 2,
    copies: Annotated[int, typer.Option(min=1, help="Nodes that serve each part, spares included.")] = 2,
    gateway: Annotated[
        bool, typer.Option("--gateway/--no-gateway", help="Serve HTTP clients; without: chain and nodes only.")
    ] = True,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running, and come back once it serves.")] = False,
    notes_to: Annotated[Path | None, typer.Option(hidden=True, help="Bounded log for what is said meanwhile.")] = None,
    json: JsonFlag = False,
) -> None:
    """Bring up a whole network on this machine and keep it up: chain, contracts, models, nodes, gateway.

    The first start fetches and publishes the models. Everything is kept in NEXUS_HOME/up, and the next start goes on
    with it. Ctrl-C or `nexus down` stops it.
    """
    from nexus_chain.workflows.local_network.plan import DEFAULT_MODEL, Places, UpRequest

    names = tuple(dict.fromkeys(model or [DEFAULT_MODEL]))
    wanted = UpRequest(names, port, chain_port, segments, copies, gateway)
    places = Places(settings_of(context).home.absolute())
    if detach:
        _show(_detached(places, wanted, quiet=json), places, json=json)
        return
    _run(places, wanted, notes_to, json=json)


def down(context: typer.Context, json: JsonFlag = False) -> None:
    """Stop the local network of this home; what it knows stays for the next `nexus up`."""
    from nexus_chain.workflows.local_network.leftovers import stop_network
    from nexus_chain.workflows.local_network.plan import Places

    stopped = stop_network(Places(settings_of(context).home.absolute()), Shown(quiet=json))
    if json:
        emit_json({"stopped": stopped})
        return
    note("Stopped." if stopped else "No local network of this home runs.")


def status(context: typer.Context, json: JsonFlag = False) -> None:
    """What runs of the local network of this home; exit code 1 when not all of it does."""
    from nexus_chain.workflows.local_network.leftovers import network_report
    from nexus_chain.workflows.local_network.plan import Places

    places = Places(settings_of(context).home.absolute())
    found = network_report(places)
    serves = found.kept and found.state.ready and all(alive for _, _, alive in found.processes)
    if json:
        rows = [{"name": name, "process": number, "running": alive} for name, number, alive in found.processes]
        emit_json({"serves": serves, "kept": found.kept, "processes": rows, **_document(found.state, places)})
    else:
        shown = [(name, number, "runs" if alive else "does not run") for name, number, alive in found.processes]
        table("Local network", ("name", "process", "state"), shown)
        note("It serves." if serves else "It does not serve: `nexus up` starts it.")
    if not serves:
        raise typer.Exit(1)


class _Interruption:
    """Ctrl-C, SIGTERM and a closed terminal. While it starts they interrupt; then they end it; again: they hurry it."""

    def __init__(self) -> None:
        self.ended, self.hurry = threading.Event(), threading.Event()
        self.starting = True

    @contextmanager
    def taken(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._note) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.ended.is_set():
            self.hurry.set()
            return
        self.ended.set()
        if self.starting:
            raise KeyboardInterrupt


def _run(places: Places, wanted: UpRequest, notes_to: Path | None, *, json: bool) -> None:
    """Until a signal ends it: then everything is stopped, and that is no error."""
    from nexus_chain.workflows.local_network.network import LocalNetwork

    pressed = _Interruption()
    network = LocalNetwork(places, wanted, _observer(notes_to, quiet=json), pressed.hurry)

    def ready(state: NetworkState) -> None:
        pressed.starting = False
        if notes_to is None:
            _show(state, places, json=json)

    with pressed.taken():
        try:
            network.run(pressed.ended, ready)
        except BaseException:
            # Libraries turn an interrupt into errors of their own, most of all while they are imported.
            if not pressed.ended.is_set():
                raise
    if not json:
        note("Stopped. `nexus up` goes on where it was.")


def _observer(notes_to: Path | None, *, quiet: bool) -> Shown:
    from nexus_chain.workflows.local_network.bounded_log import BoundedLog

    class Logged(Shown):
        """Notes of a network that nobody looks at go to a file."""

        def note(self, line: str) -> None:
            if notes_to is None:
                super().note(line)
            else:
                BoundedLog(notes_to).write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")

    return Logged(quiet=quiet)


def _detached(places: Places, wanted: UpRequest, *, quiet: bool) -> NetworkState:
    """Start a process that keeps the network up, and wait until it serves. Raises LocalNetworkError."""
    from nexus_chain.workflows.errors import LocalNetworkError
    from nexus_chain.workflows.local_network.state import NetworkState

    said, log = places.log("start"), places.log("up")
    said.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(said, "w", opener=_private) as out, Shown(quiet=quiet).stage("Starting a local network"):
        keeper = subprocess.Popen(
            [*_words(places, wanted), "--notes-to", str(log)],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
        while True:
            state = NetworkState.load(places.state)
            if state.ready and state.supervisor is not None and state.supervisor.number == keeper.pid:
                return state
            if keeper.poll() is not None:
                lines = said.read_text().strip().splitlines() or ["it says nothing"]
                raise LocalNetworkError(lines[-1].removeprefix("nexus: "), advice=f"What happened before is in {log}.")
            time.sleep(START_LOOK_SECONDS)


def _words(places: Places, wanted: UpRequest) -> list[str]:
    """This command again, staying in the foreground."""
    from nexus_chain.workflows.local_network.plan import PYTHON

    models = [word for name in wanted.models for word in ("--model", name)]
    ports = ["--port", str(wanted.port), "--chain-port", str(wanted.chain_port)]
    parts = ["--segments", str(wanted.segments), "--copies", str(wanted.copies)]
    own = [*models, *ports, *parts, "--gateway" if wanted.gateway else "--no-gateway"]
    return [*PYTHON, "node.cli", "--home", str(places.user_home), "up", *own]


def _private(path: str, flags: int) -> int:
    import os

    return os.open(path, flags, 0o600)


def _show(state: NetworkState, places: Places, *, json: bool) -> None:
    """Where it is, the key, and what to paste."""
    if json:
        emit_json(_document(state, places))
        return
    from nexus_chain.workflows.local_network.first_words import first_words

    home = shlex.quote(str(places.root))
    for line in first_words(state, _key(places)):
        result(line)
    note(f"The command line asks this network with --home: nexus --home {home} ask TEXT")
    note("It is up. Ctrl-C or `nexus down` stops it; `nexus up` goes on where it was.")


def _document(state: NetworkState, places: Places) -> dict[str, object]:
    """For programs: the key is in its file, and not here."""
    return {
        "gateway": f"http://127.0.0.1:{state.gateway_port}" if state.gateway_port else None,
        "api_key_file": str(places.api_key) if state.gateway_port else None,
        "rpc": f"http://127.0.0.1:{state.chain_port}",
        "home": str(places.root),
        "models": {name: state.published[name].version for name in state.models if name in state.published},
    }


def _key(places: Places) -> str:
    return places.api_key.read_text().strip() if places.api_key.is_file() else "API_KEY"
