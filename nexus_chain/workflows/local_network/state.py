"""What a local network wrote down about itself: ports, models, and the processes that it started."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nexus_chain.json_text import parse_json
from nexus_chain.staging import write_whole
from nexus_chain.workflows.errors import LocalNetworkError
from nexus_chain.workflows.local_network.process_marks import ProcessMark

FORMAT = "nexus.local-network.v1"
CHAT, COMPLETION, EMBEDDING = "chat", "completion", "embedding"


@dataclass(frozen=True)
class ServedVersion:
    """A published model: its version's id (0x hex), the files of its shards in order, and what it is asked for."""

    version: str
    shards: tuple[str, ...]
    kind: str


@dataclass(frozen=True)
class DepositPlace:
    """The gateway's deposit contract, and the block that it was created in."""

    contract: str
    block: int


@dataclass(frozen=True)
class NetworkState:
    """``supervisor``: the process that keeps the others; ``children``: those, by name, in the order of their start.

    ``chain_port``, ``gateway_port``: 0: never chosen. ``node_ports``: by the node's name. ``ready``: everything serves.
    ``models``: those that run, by name, the first one asked for first; ``published``: all that ever ran.
    ``deposits``: None: no gateway ran yet.
    """

    supervisor: ProcessMark | None = None
    children: Mapping[str, ProcessMark] = field(default_factory=dict)
    chain_port: int = 0
    gateway_port: int = 0
    node_ports: Mapping[str, int] = field(default_factory=dict)
    published: Mapping[str, ServedVersion] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    ready: bool = False
    deposits: DepositPlace | None = None

    def save(self, path: Path) -> None:
        """Write it, whole or not at all. Raises OSError."""
        write_whole(path, json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n", 0o600)

    @classmethod
    def load(cls, path: Path) -> NetworkState:
        """What the file says; an empty state where there is none. Raises LocalNetworkError."""
        try:
            return _state_of(parse_json(path.read_bytes()))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise LocalNetworkError(
                f"{path} cannot be read ({error!r})",
                advice="Delete it: models are published again where needed, and chain and keys stay. "
                "End processes of the network that still run by hand.",
            ) from error


def _state_of(said: Any) -> NetworkState:
    if said["format"] != FORMAT:
        raise ValueError(f"format {said['format']!r}")
    supervisor = said["supervisor"]
    return NetworkState(
        None if supervisor is None else _mark(supervisor),
        {str(name): _mark(mark) for name, mark in said["children"].items()},
        int(said["chain_port"]),
        int(said["gateway_port"]),
        {str(name): int(port) for name, port in said["node_ports"].items()},
        {
            str(name): ServedVersion(str(one["version"]), tuple(map(str, one["shards"])), str(one["kind"]))
            for name, one in said["published"].items()
        },
        tuple(map(str, said["models"])),
        bool(said["ready"]),
        _deposits(said.get("deposits")),
    )


def _deposits(said: Any) -> DepositPlace | None:
    """None, too, in what a version wrote whose gateway took no deposits."""
    return None if said is None else DepositPlace(str(said["contract"]), int(said["block"]))


def _mark(said: Any) -> ProcessMark:
    return ProcessMark(int(said["number"]), str(said["started"]))
