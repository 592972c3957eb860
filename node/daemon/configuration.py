"""A node's settings: flags win over NEXUS_NODE_* variables, those over TOML, that over defaults.

The TOML file is the one given, else ``node.toml`` in the data folder, which ``register`` writes.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nexus_chain.byte_sizes import parse_size
from nexus_chain.engine.backends import BACKENDS, Backend
from node.daemon.errors import ConfigurationError

CONFIGURATION_FILE = "node.toml"
VARIABLE_PREFIX = "NEXUS_NODE_"
#: At every start; at a start unless the same file was verified before; each layer before it first computes.
VERIFICATION = ("eager", "cached", "lazy")


@dataclass(frozen=True)
class NodeConfiguration:
    """Settings of one node; paths are absolute or relative to the working directory.

    ``deployment``: addresses file, by default the one of ``chain_id`` in NEXUS_HOME. ``keystore``:
    the wallet, by default ``wallet.json`` in the data folder. ``endpoint``: host:port told to
    clients, by default ``listen``. ``price`` and ``audit_price``: wei per token, of an audit 0 where none are sold.
    ``backend``: what computes ("cuda": a GPU). ``memory_limit``: most
    of the shard in memory at once, by default all; ``resident``: file with names of weights that
    stay in memory. ``trace_limit``: most of the disk for traces of disputed receipts. Times in seconds, amounts in wei.
    """

    data: Path
    rpc_url: str = "http://127.0.0.1:8545"
    chain_id: int = 31337
    deployment: Path | None = None
    keystore: Path | None = None
    password_file: Path | None = None
    block: Path | None = None
    model_version: str = ""
    price: int = 0
    audit_price: int = 0
    listen: str = "127.0.0.1:7070"
    endpoint: str = ""
    threads: int = 0
    backend: str = "auto"
    memory_limit: str = ""
    resident: Path | None = None
    verification: str = "cached"
    trace_limit: str = "16GiB"
    orders: int = 64
    settle_interval: float = 5.0
    withdraw_above: int = 10**16
    close_idle_after: int = 86_400
    post_root_every: int = 86_400
    drain: float = 20.0

    @property
    def wallet_path(self) -> Path:
        """The wallet's keystore."""
        return self.keystore or self.data / "wallet.json"

    @property
    def announced_endpoint(self) -> str:
        """What clients connect to."""
        return self.endpoint or self.listen

    @property
    def listen_address(self) -> tuple[str, int]:
        """Host and port to bind; raises ConfigurationError."""
        host, _, port = self.listen.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise ConfigurationError(f"listen = {self.listen!r} is not host:port", advice="Write 127.0.0.1:7070.")
        return host, int(port)

    @property
    def version_id(self) -> bytes:
        """The model version's 32-byte id; raises ConfigurationError."""
        try:
            version = bytes.fromhex(self.model_version.removeprefix("0x"))
        except ValueError:
            version = b""
        if len(version) != 32:
            raise ConfigurationError(
                f"model_version = {self.model_version!r} is not a version id",
                advice="Give the 0x id that `nexus models` lists.",
            )
        return version

    @property
    def block_path(self) -> Path:
        """The TensorBlock to serve; raises ConfigurationError."""
        if self.block is None:
            raise ConfigurationError("no block is configured", advice="Give --block, the shard's file.")
        return self.block

    @property
    def memory_limit_bytes(self) -> int:
        """Bytes of the shard in memory at once; 0: no limit. Raises ByteSizeError."""
        return parse_size(self.memory_limit) if self.memory_limit else 0

    @property
    def trace_limit_bytes(self) -> int:
        """Bytes of traces on the disk; 0: none. Raises ByteSizeError."""
        return parse_size(self.trace_limit) if self.trace_limit else 0

    @property
    def engine_backend(self) -> Backend:
        """What computes: one of the engine's backends; raises ConfigurationError."""
        for known in BACKENDS:
            if self.backend == known:
                return known
        raise ConfigurationError(f"backend = {self.backend!r} is none", advice=f"Choose {', '.join(BACKENDS)}.")

    @property
    def verification_policy(self) -> str:
        """When the shard's bytes are verified: one of VERIFICATION; raises ConfigurationError."""
        if self.verification not in VERIFICATION:
            raise ConfigurationError(
                f"verification = {self.verification!r} is no policy", advice=f"Choose {', '.join(VERIFICATION)}."
            )
        return self.verification

    def save(self) -> None:
        """Write ``node.toml`` into the data folder, whole or not at all. It holds no secret."""
        # JSON strings and numbers are TOML strings and numbers.
        values = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}
        lines = [f"{name} = {json.dumps(value)}" for name, value in values.items() if value is not None]
        path = self.data / CONFIGURATION_FILE
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text("\n".join(line for line in lines if not line.startswith("data =")) + "\n")
        draft.replace(path)


def load(
    data: Path, flags: Mapping[str, Any], file: Path | None = None, environment: Mapping[str, str] = os.environ
) -> NodeConfiguration:
    """The settings of the node in ``data``; ``flags`` that are None were not given. Raises ConfigurationError."""
    values: dict[str, Any] = _from_file(file or data / CONFIGURATION_FILE, required=file is not None)
    names = {entry.name for entry in fields(NodeConfiguration)} - {"data"}
    for name in names:
        if (variable := environment.get(VARIABLE_PREFIX + name.upper())) is not None:
            values[name] = variable
    values.update({name: value for name, value in flags.items() if value is not None})
    if unknown := sorted(set(values) - names):
        raise ConfigurationError(
            f"there is no setting {unknown[0]!r}", advice=f"Settings are {', '.join(sorted(names))}."
        )
    typed = {entry.name: _typed(entry.name, str(entry.type), values[entry.name]) for entry in _given(values)}
    return NodeConfiguration(data=data, **typed)


def _given(values: Mapping[str, Any]) -> list[Any]:
    return [entry for entry in fields(NodeConfiguration) if entry.name in values]


def _from_file(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        if not required:
            return {}
        raise ConfigurationError(f"there is no file {path}", advice="Give the path of a TOML file.") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error})", advice="Write name = value lines (TOML)."
        ) from error


def _typed(name: str, kind: str, value: Any) -> Any:
    """A value from a flag, variable or file as the field's type."""
    try:
        if kind.startswith("Path"):
            return Path(value).expanduser()
        if kind == "int":
            return int(value)
        return float(value) if kind == "float" else str(value)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{name} = {value!r} is not a {kind}", advice=f"Give a {kind}.") from None
