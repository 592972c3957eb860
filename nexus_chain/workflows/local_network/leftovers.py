"""A local network from outside: who holds it, what runs of it, and how it is ended, also where its keeper is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nexus_chain.errors import DataFolderBusyError
from nexus_chain.folder_lock import exclusive, is_busy
from nexus_chain.workflows.errors import LocalNetworkError
from nexus_chain.workflows.local_network.kept_chain import KeptChain
from nexus_chain.workflows.local_network.plan import CHAIN, Places
from nexus_chain.workflows.local_network.state import NetworkState
from nexus_chain.workflows.observer import TaskObserver

GRACE_SECONDS = 30.0
STOP_SECONDS = 150.0
"""How long a network gets to end: its processes one group after the other."""
_LOOK_SECONDS = 0.1


@contextmanager
def held(places: Places) -> Iterator[None]:
    """Hold the network's folder for the block. Raises LocalNetworkError where another process holds it."""
    try:
        with exclusive(places.root):
            yield
    except DataFolderBusyError as error:
        raise LocalNetworkError(
            f"a local network of {places.user_home} is up already",
            advice="Stop it with `nexus down`, or give this one another --home.",
        ) from error


def end_leftovers(places: Places, state: NetworkState, observer: TaskObserver) -> int:
    """End what still runs of a network whose keeper was killed, the chain last; returns how many processes did.

    The caller holds the network's folder.
    """
    running = [(name, mark) for name, mark in state.children.items() if mark.is_alive]
    for name, mark in reversed(running):
        observer.note(f"Ending {name} (process {mark.number}), left over from a run that broke off.")
        if name == CHAIN:
            KeptChain(state.chain_port, places.chain_state).keep(always=True)
        mark.end(GRACE_SECONDS)
    return len(running)


def stop_network(places: Places, observer: TaskObserver) -> bool:
    """End the network of a home; whether anything ran. Raises LocalNetworkError where it does not end."""
    if not places.root.is_dir():
        return False
    keeper = NetworkState.load(places.state).supervisor
    if not is_busy(places.root):
        with held(places):
            return end_leftovers(places, NetworkState.load(places.state), observer) > 0
    with observer.stage("Stopping"):
        if keeper is not None:
            keeper.ask_to_end()
        deadline = time.monotonic() + STOP_SECONDS
        while is_busy(places.root):
            if time.monotonic() > deadline:
                raise LocalNetworkError(
                    f"the network did not end within {STOP_SECONDS:.0f} s",
                    advice=f"Look at the logs in {places.log('x').parent}, then end its processes by hand.",
                )
            time.sleep(_LOOK_SECONDS)
    return True


@dataclass(frozen=True)
class NetworkReport:
    """What runs: ``processes`` with whether each does; ``kept``: whether somebody keeps them running."""

    state: NetworkState
    kept: bool
    processes: tuple[tuple[str, int, bool], ...]


def network_report(places: Places) -> NetworkReport:
    """Look at the network of a home; changes nothing. Raises LocalNetworkError."""
    state = NetworkState.load(places.state)
    kept = state.supervisor is not None and state.supervisor.is_alive
    marks = tuple((name, mark.number, mark.is_alive) for name, mark in state.children.items())
    return NetworkReport(state, kept, marks)
