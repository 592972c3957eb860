"""What a local network is made of: places, ports and command lines. Nothing here starts anything."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from nexus_chain.chain.local import LOCAL_CHAIN_ID, port_error
from nexus_chain.workflows.errors import LocalNetworkError
from nexus_chain.workflows.local_network.children import ChildPlan
from nexus_chain.workflows.local_network.state import DepositPlace, ServedVersion

DEFAULT_MODEL = "smollm2-135m-instruct"
GATEWAY_PORT, CHAIN_PORT, FIRST_NODE_PORT = 11434, 8545, 20_000
NODE_WEI_PER_TOKEN = 10**9
"""What each node asks: play money, and a fixed price needs no measuring at every start."""
CREDIT_WEI = 100 * 10**18
"""What the printed API key may spend in all, of play money."""
DEPOSIT_NOTICE = 30 * 86_400
"""Seconds, the longest there is: blocks of this chain lie hours apart, and a gateway's notice is measured by them."""
OPEN_ANSWERS_HERE = 256
"""Answers that its account may have under way: everybody on this machine uses this one, benchmarks too."""
PYTHON = (sys.executable, "-P", "-m")
"""Runs a module of the installation that runs now: what lies in the working directory is nobody's module."""
CHAIN, GATEWAY = "chain", "gateway"
CHAIN_NAME = "Neural Nexus, local"
"""What wallets call the chain."""
DRAIN_SECONDS = 5
LAST_PORT = 65_535
PORTS_APART, NETWORKS = 32, 390
"""Of networks in different homes: from 20000 on, below the ports that systems give out by themselves."""
PORT_SECONDS = 3.0
"""A chain that was ended a moment ago holds its port a little longer: Anvil runs behind a wrapper, which ends first."""
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class UpRequest:
    """What is wanted. ``models``: names of the catalogue, the first one is shown to people.

    ``segments``: parts of a model, each served by ``copies`` nodes. ``gateway``: whether HTTP clients are served.
    """

    models: tuple[str, ...] = (DEFAULT_MODEL,)
    port: int = GATEWAY_PORT
    chain_port: int = CHAIN_PORT
    segments: int = 2
    copies: int = 2
    gateway: bool = True


@dataclass(frozen=True)
class Places:
    """Where a local network keeps its things: a home inside the user's, so that no other chain's state mixes in."""

    user_home: Path

    @property
    def root(self) -> Path:
        """The network's own home: wallet, sessions, answers, models."""
        return self.user_home / "up"

    @property
    def state(self) -> Path:
        return self.root / "network.json"

    @property
    def password(self) -> Path:
        return self.root / "password"

    @property
    def chain_state(self) -> Path:
        return self.root / "chain" / "state.json"

    @property
    def api_key(self) -> Path:
        return self.root / "gateway" / "api-key"

    @property
    def nodes(self) -> Path:
        return self.root / "nodes"

    def log(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"


@dataclass(frozen=True)
class NodePlan:
    """One node: ``layers`` as its shard's file names them."""

    name: str
    version: str
    shard: str
    data: Path
    port: int = 0


def nodes_of(served: Mapping[str, ServedVersion], copies: int, places: Places) -> list[NodePlan]:
    """The nodes of every model: ``copies`` of each shard, the first ones first."""
    return [
        NodePlan(name, one.version, shard, places.nodes / name)
        for model, one in served.items()
        for copy in range(1, copies + 1)
        for shard in one.shards
        for name in [f"node-{model}-{Path(shard).stem}-{copy}"]
    ]


def node_words(node: NodePlan, rpc: str, places: Places, threads: int) -> tuple[str, ...]:
    """``nexus-node`` with a node's settings, without the command."""
    return (
        *PYTHON, "node.daemon",
        "--data", str(node.data),
        "--home", str(places.root),
        "--rpc", rpc,
        "--chain-id", str(LOCAL_CHAIN_ID),
        "--password-file", str(places.password),
        "--block", node.shard,
        "--model-version", node.version,
        "--listen", f"127.0.0.1:{node.port}",
        "--price", str(NODE_WEI_PER_TOKEN),
        "--threads", str(threads),
        "--drain", str(DRAIN_SECONDS),
    )  # fmt: skip


def node_child(node: NodePlan, rpc: str, places: Places, threads: int) -> ChildPlan:
    """The daemon, which registers and stakes at its first start."""
    words = (*node_words(node, rpc, places, threads), "start", "--yes")
    return ChildPlan(node.name, words, ready="serves layers", threads=threads)


def gateway_child(
    port: int, served: Mapping[str, ServedVersion], rpc: str, places: Places, deposits: DepositPlace
) -> ChildPlan:
    """The gateway. Its flags stand here and nowhere else."""
    models = [word for name, one in served.items() for word in ("--model", f"{name}={one.version}")]
    own = (
        "--home", str(places.root),
        "--rpc", rpc,
        "--password-file", str(places.password),
        "--listen", f"127.0.0.1:{port}",
        "--operator-key-file", str(places.api_key),
        "--operator-credit", str(CREDIT_WEI),
        "--open-answers", str(OPEN_ANSWERS_HERE),
        "--deposits", deposits.contract,
        "--deposits-block", str(deposits.block),
        "--public-rpc", rpc,
        "--chain-name", CHAIN_NAME,
    )  # fmt: skip
    return ChildPlan(GATEWAY, (*PYTHON, "node.gateway.main", *own, *models))


def threads_each(segments: int, cores: int | None = os.cpu_count()) -> int:
    """Engine threads of a node. The segments of an answer work in turn, those of several answers at once."""
    return max(1, (cores or 1) // segments)


def port_is_free(port: int) -> bool:
    """Whether a server may listen there now."""
    return port_error(port) is None


def require_port(
    port: int, flag: str, who: str, is_free: Callable[[int], bool] = port_is_free, patience: float = PORT_SECONDS
) -> None:
    """Raise LocalNetworkError, which names the flag and a port that is free, where another program has the port.

    ``patience``: seconds that the port has to become free in.
    """
    until = time.monotonic() + patience
    while not is_free(port) and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
    if not is_free(port):
        other = next(_free_ports(port + 1, is_free))
        raise LocalNetworkError(
            f"port {port}, where {who} would listen, is in use by another program", advice=f"Give {flag} {other}."
        )


def first_node_port(home: Path) -> int:
    """Where a network begins to look for ports of its nodes: two that start at once in two homes do not meet."""
    return FIRST_NODE_PORT + PORTS_APART * (crc32(str(home.resolve()).encode()) % NETWORKS)


def with_ports(
    nodes: Sequence[NodePlan],
    known: Mapping[str, int],
    first: int = FIRST_NODE_PORT,
    is_free: Callable[[int], bool] = port_is_free,
) -> list[tuple[NodePlan, bool]]:
    """Nodes with ports, those that they had where these are free; with each, whether it had another one before.

    ``first``: where the search for ports begins.
    """
    taken = set(known.values())
    fresh = (port for port in _free_ports(first, is_free) if port not in taken)
    found = []
    for node in nodes:
        before = known.get(node.name, 0)
        port = before if before and is_free(before) else next(fresh)
        found.append((NodePlan(node.name, node.version, node.shard, node.data, port), before not in (0, port)))
    return found


def _free_ports(first: int, is_free: Callable[[int], bool]) -> Iterator[int]:
    for port in range(first, LAST_PORT + 1):
        if is_free(port):
            yield port
    raise LocalNetworkError(f"no port from {first} on is free", advice="End programs that listen on this machine.")
