"""Bringing a local network up, keeping it up, and taking it down in order."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import requests

from nexus_chain.chain.development_wallet import make_test_wallet
from nexus_chain.chain.local import LOCAL_CHAIN_ID
from nexus_chain.chain.wallet import Wallet
from nexus_chain.client.home import ClientHome
from nexus_chain.settings import USER_FILE, Settings
from nexus_chain.staging import write_whole
from nexus_chain.workflows.catalogue import entry_named
from nexus_chain.workflows.deploying import DeploymentRequest, deploy_contracts, deploy_deposits
from nexus_chain.workflows.errors import LocalNetworkError
from nexus_chain.workflows.local_network.bounded_log import BoundedLog
from nexus_chain.workflows.local_network.children import Child, Watch
from nexus_chain.workflows.local_network.kept_chain import KeptChain
from nexus_chain.workflows.local_network.leftovers import end_leftovers, held
from nexus_chain.workflows.local_network.plan import (
    DEPOSIT_NOTICE,
    GATEWAY,
    NodePlan,
    Places,
    UpRequest,
    first_node_port,
    gateway_child,
    node_child,
    node_words,
    nodes_of,
    require_port,
    threads_each,
    with_ports,
)
from nexus_chain.workflows.local_network.process_marks import mark_of
from nexus_chain.workflows.local_network.served_models import served_version
from nexus_chain.workflows.local_network.state import DepositPlace, NetworkState, ServedVersion
from nexus_chain.workflows.observer import SILENT, Advance, TaskObserver
from nexus_chain.workflows.workspace import Workspace

ROUND_SECONDS = 0.25
"""How often processes and the chain's head are looked at."""
START_SECONDS = 180.0
"""How long processes have until they serve."""
KEYSTORE_WORK = 2**12
"""Of wallets that hold play money: opening one takes no second."""


class LocalNetwork:
    """One local network of a user's home. ``run`` it once; setting ``hurry`` shortens its end."""

    def __init__(
        self,
        places: Places,
        wanted: UpRequest,
        observer: TaskObserver = SILENT,
        hurry: threading.Event | None = None,
    ) -> None:
        """Raises CatalogueError for a model that nobody knows."""
        self.places, self.wanted, self.observer = places, wanted, observer
        self.hurry = hurry or threading.Event()
        self._entries = {name: entry_named(name) for name in wanted.models}
        self._children: list[Child] = []
        self._chain: KeptChain | None = None
        self._state = NetworkState()

    def run(self, ended: threading.Event, ready: Callable[[NetworkState], None]) -> None:
        """Bring it up, call ``ready``, keep it up until ``ended``, take it down: also after an error or an interrupt.

        Raises LocalNetworkError, and the errors of fetching, publishing and the chain.
        """
        with held(self.places):
            self._state = replace(NetworkState.load(self.places.state), ready=False)
            self._require_whole()
            end_leftovers(self.places, self._state, self.observer)
            try:
                self._bring_up()
                self._note_state(ready=True)
                ready(self._state)
                self._keep_up(ended)
            finally:
                self._take_down()

    # ---------------------------------------------------------------- up

    def _bring_up(self) -> None:
        wanted = self.wanted
        require_port(wanted.chain_port, "--chain-port", "the chain")
        if wanted.gateway:
            require_port(wanted.port, "--port", "the gateway")
        self._note_state(supervisor=mark_of(os.getpid()), children={}, models=wanted.models)
        chain = self._start_chain()
        workspace = self._open_workspace(chain)
        deploy_contracts(workspace, DeploymentRequest())
        served = {name: self._served(name, workspace) for name in wanted.models}
        self._note_state(published={**self._state.published, **served})
        deposits = self._deposits(workspace) if wanted.gateway else None
        self._start_programs(chain, served, deposits)
        chain.keep(always=True)

    def _start_chain(self) -> KeptChain:
        chain = KeptChain(self.wanted.chain_port, self.places.chain_state)
        child = self._start(Child(chain.plan(), self._log("chain")))
        self._wait_until(chain.answers, [child])
        self._chain = chain
        chain.keep(always=True)
        child.plan = chain.plan()  # from now on it goes on from what was written down
        self._note_state(chain_port=self.wanted.chain_port, gateway_port=self.wanted.port if self.wanted.gateway else 0)
        return chain

    def _open_workspace(self, chain: KeptChain) -> Workspace:
        """The network's own home, with a wallet that has play money. Raises ChainError."""
        places = self.places
        if not places.password.is_file():
            write_whole(places.password, secrets.token_urlsafe(24) + "\n", 0o600)
        settings = Settings(home=places.root, rpc=chain.url, chain_id=LOCAL_CHAIN_ID, password_file=places.password)
        lines = {"rpc": chain.url, "chain_id": LOCAL_CHAIN_ID, "password_file": str(places.password)}
        # JSON strings and numbers are TOML strings and numbers.
        text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items())
        write_whole(places.root / USER_FILE, "# Written by `nexus up`.\n" + text)
        workspace = Workspace(settings, observer=self.observer)
        self._fund(chain, workspace.home)
        return workspace

    def _deposits(self, workspace: Workspace) -> DepositPlace:
        """The contract for callers' deposits, made where there is none, so that a wallet can open credit here."""
        known = self._state.deposits
        if known is None:
            made = deploy_deposits(workspace, None, DEPOSIT_NOTICE)
            known = DepositPlace(made.contract, made.block)
            self._note_state(deposits=known)
        return known

    def _fund(self, chain: KeptChain, home: ClientHome) -> None:
        """A wallet in ``home`` or a node's folder, made where it is missing, with play money."""
        if not home.wallet.is_file():
            home.prepare()
            password = self.places.password.read_text().strip()
            make_test_wallet(chain.connection, home.wallet, password, work=KEYSTORE_WORK)
        address = Wallet.address_in(home.wallet)
        if address is not None:
            chain.fund(address)

    def _served(self, name: str, workspace: Workspace) -> ServedVersion:
        known = self._state.published.get(name)
        user_home = ClientHome(self.places.user_home)
        return served_version(workspace, self._entries[name], user_home, self.wanted.segments, known)

    def _start_programs(
        self, chain: KeptChain, served: dict[str, ServedVersion], deposits: DepositPlace | None
    ) -> None:
        """Nodes and gateway at once: each waits longest for its own imports. ``deposits`` None: no gateway."""
        nodes = self._start_nodes(chain, served)
        and_gateway = "" if deposits is None else " and the gateway"
        with self.observer.stage(f"Starting {len(nodes)} nodes{and_gateway}") as advance:
            children = nodes
            if deposits is not None:
                plan = gateway_child(self.wanted.port, served, chain.url, self.places, deposits)
                children = [*nodes, self._start(Child(plan, self._log(GATEWAY)))]
            self._wait_until(lambda: _count(nodes, advance) == len(nodes), children)
            if deposits is not None:
                self._wait_until(partial(_is_answering, self.wanted.port), children)

    def _start_nodes(self, chain: KeptChain, served: dict[str, ServedVersion]) -> list[Child]:
        threads, rpc = threads_each(self.wanted.segments), chain.url
        planned, first = nodes_of(served, self.wanted.copies, self.places), first_node_port(self.places.user_home)
        nodes = with_ports(planned, self._state.node_ports, first)
        for node, moved in nodes:
            self._fund(chain, ClientHome(node.data))
            if moved:
                self._announce_port(node, rpc, threads)
        self._note_state(node_ports={**self._state.node_ports, **{node.name: node.port for node, _ in nodes}})
        return [
            self._start(Child(node_child(node, rpc, self.places, threads), self._log(node.name))) for node, _ in nodes
        ]

    def _announce_port(self, node: NodePlan, rpc: str, threads: int) -> None:
        """Tell the registry a node's new port, where another program has the old one."""
        self.observer.note(f"{node.name} moves to port {node.port}: another program has its old one.")
        words = [*node_words(node, rpc, self.places, threads), "register"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LocalNetworkError(
                f"{node.name} could not be moved to port {node.port} ({_last_line(done.stderr)})",
                advice="Free its old port, or delete the network's folder to begin anew.",
            )

    def _start(self, child: Child) -> Child:
        """Start a process, and write down which it is before anything else."""
        child.start()
        self._children.append(child)
        self._note_processes()
        return child

    def _wait_until(self, serves: Callable[[], bool], children: Sequence[Child]) -> None:
        """Raises LocalNetworkError where one ends, or does not serve in time."""
        deadline = time.monotonic() + START_SECONDS
        while not serves():
            for child in children:
                if not child.is_running():
                    raise LocalNetworkError(
                        f"{child.name} {child.how_it_ended()}", advice=f"Its log is {child.log.path}."
                    )
            if time.monotonic() > deadline:
                late = [child.name for child in children if not child.is_ready()] or [GATEWAY]
                raise LocalNetworkError(
                    f"{', '.join(late)} did not serve within {START_SECONDS:.0f} s",
                    advice=f"The machine may be overloaded; logs are in {self.places.log('x').parent}.",
                )
            if self._chain is not None:
                self._chain.keep()
            time.sleep(ROUND_SECONDS / 5)

    # ------------------------------------------------------------- while up

    def _keep_up(self, ended: threading.Event) -> None:
        """Start again what ends, and write the chain down, until somebody ends it."""
        watch = Watch(self._children, self.observer.note)
        while not ended.is_set():
            if watch.look():
                self._note_processes()
            if self._chain is not None:
                self._chain.keep()
            ended.wait(ROUND_SECONDS)

    # ---------------------------------------------------------------- down

    def _take_down(self) -> None:
        """The gateway first, which lets answers end; then nodes, which post what they earned; the chain last."""
        gateways = [child for child in self._children if child.name == GATEWAY]
        nodes = [child for child in self._children[1:] if child not in gateways]
        for group in (gateways, nodes):
            for child in group:
                child.ask_to_end()
            for child in group:
                child.wait(self.hurry)
        if self._chain is not None:
            self._chain.keep(always=True)
        for child in self._children[:1]:
            child.ask_to_end()
            child.wait(self.hurry)
        self._children.clear()
        with suppress(OSError):  # a full disk must not hide what went wrong
            self._note_state(supervisor=None, children={}, ready=False)

    # --------------------------------------------------------------- notes

    def _note_processes(self) -> None:
        self._note_state(children={child.name: mark for child in self._children if (mark := child.mark) is not None})

    def _note_state(self, **changes: object) -> None:
        self._state = replace(self._state, **changes)  # type: ignore[arg-type]  # fields of the dataclass, by name
        self._state.save(self.places.state)

    def _log(self, name: str) -> BoundedLog:
        return BoundedLog(self.places.log(name))

    def _require_whole(self) -> None:
        """Nothing may be left of a chain that is gone: sessions and stakes would hang on nothing."""
        places = self.places
        if not places.chain_state.is_file() and (places.root / "deployments").is_dir():
            raise LocalNetworkError(
                f"the chain's state is gone ({places.chain_state}), and what hangs on it is in {places.root}",
                advice=f"Delete {places.root} to begin anew; fetched models stay.",
            )


def _count(children: Sequence[Child], advance: Advance) -> int:
    """How many serve; said to whoever watches."""
    found = sum(child.is_ready() for child in children)
    advance(found, len(children))
    return found


def _is_answering(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/ready", timeout=2).ok
    except requests.RequestException:
        return False


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1]
