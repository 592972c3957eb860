"""A node's settings: what it shares with ``nexus`` (``nexus_chain.settings``), and its own.

Flags win over environment variables, those over the TOML file, that over defaults. The variable of a setting is
``NEXUS_NODE_`` and its name; where both programs have the setting, ``NEXUS_`` and its name comes after it. The TOML
file is the one given, else ``node.toml`` in the data folder, which ``register`` writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nexus_chain.byte_sizes import ByteSizeError, parse_size
from nexus_chain.engine.backends import BACKENDS, Backend
from nexus_chain.errors import NexusError
from nexus_chain.log_output import LogSettings
from nexus_chain.market.documents import checksum
from nexus_chain.settings import (
    DEFAULT_RPC,
    SHARED,
    SHORTEST_WAIT_SECONDS,
    VARIABLE_PREFIX,
    Explained,
    at_least,
    expanded,
    explain,
    home_source,
    nexus_home,
    read_toml,
    resolve,
)
from node.daemon.errors import ConfigurationError

CONFIGURATION_FILE = "node.toml"
NODE_PREFIX = "NEXUS_NODE_"
MOST_WEI = 2**128 - 1
"""The contracts count in 128 bits."""
FOLDERS = ("data", "home")
"""Settings that say where the file is, and so do not stand in it."""
OLD_NAMES = {"rpc_url": "rpc", "keystore": "wallet"}
"""Spellings of earlier versions, which are still read; ``save`` writes the new ones."""
#: At every start; at a start unless the same file was verified before; each layer before it first computes.
#: Settings of a node that it shares with no other program.
KEYS = ("wallet", "password_file")
VERIFICATION = ("eager", "cached", "lazy")


@dataclass(frozen=True)
class NodeConfiguration:
    """Settings of one node; paths are absolute or relative to the working directory.

    ``home``: where deployments are. ``deployment``: addresses file, by default the one of ``chain_id`` there.
    ``wallet``: the keystore, by default ``wallet.json`` in the data folder. ``staker``: the account that registers,
    stakes and is paid, where it is not the wallet's: the wallet then pays gas, and no more. ``endpoint``: host:port
    told to clients, by default ``listen``. ``price``: wei per token, by default the policy's (``asking_price``);
    ``audit_price``: wei per token of an audit, 0 where none are sold.
    ``backend``: what computes ("cuda": a GPU). ``memory_limit``: most
    of the shard in memory at once, by default all; ``resident``: file with names of weights that
    stay in memory. ``trace_limit``: most of the disk for traces of disputed receipts. Times in seconds, amounts in wei.
    ``log_file``: by default standard error; ``log_bytes``: its length at which ``log_count`` older ones are kept
    beside it, 0 where another program rotates it. ``log_level``, ``log_format``: see ``nexus_chain.log_output``.
    """

    data: Path
    home: Path = field(default_factory=nexus_home)
    rpc: str = DEFAULT_RPC
    confirmations: int = at_least(1, 1)
    transaction_timeout: float = at_least(SHORTEST_WAIT_SECONDS, 120.0)
    max_fee: int = at_least(0, 10**18)
    chain_id: int = at_least(1, 31337)
    deployment: Path | None = None
    wallet: Path | None = None
    staker: str = ""
    password_file: Path | None = None
    block: Path | None = None
    model_version: str = ""
    price: int | None = at_least(0, None, most=MOST_WEI)
    audit_price: int = at_least(0, 0, most=MOST_WEI)
    listen: str = "127.0.0.1:7070"
    endpoint: str = ""
    threads: int = at_least(0, 0)
    backend: str = "auto"
    memory_limit: str = ""
    resident: Path | None = None
    verification: str = "cached"
    trace_limit: str = "16GiB"
    orders: int = at_least(1, 64)
    settle_interval: float = at_least(0.05, 5.0)
    withdraw_above: int = at_least(0, 10**16, most=MOST_WEI)
    close_idle_after: int = at_least(0, 86_400)
    post_root_every: int = at_least(0, 86_400)
    drain: float = at_least(0, 20.0)
    log_file: Path | None = None
    log_level: str = "warning"
    log_format: str = "text"
    log_bytes: str = "16MiB"
    log_count: int = at_least(1, 5)

    @property
    def wallet_path(self) -> Path:
        """The wallet's keystore."""
        return self.wallet or self.data / "wallet.json"

    @property
    def staker_address(self) -> str:
        """The account that stakes, where it is not the wallet's; empty: it is. Raises ConfigurationError."""
        try:
            return checksum(self.staker) if self.staker else ""
        except (ValueError, NexusError):
            raise ConfigurationError(
                f"staker = {self.staker!r} is no address", advice="Give 0x and 40 hexadecimal digits."
            ) from None

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
    def log_settings(self) -> LogSettings:
        """Where the log goes, and how. Raises SettingsError."""
        size = parse_size(self.log_bytes) if self.log_bytes not in ("", "0") else 0
        return LogSettings(self.log_file, self.log_level, self.log_format, size, self.log_count)

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

    def _kept(self) -> dict[str, Any]:
        """What ``node.toml`` holds: strings and numbers, by name."""
        given = {name: value for name, value in asdict(self).items() if name not in FOLDERS and value is not None}
        return {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}

    def changes(self) -> list[str]:
        """What ``save`` would change in a ``node.toml`` that is there: ``price: 10 -> 20``. Raises SettingsError."""
        old, new = read_toml(self.data / CONFIGURATION_FILE, required=False), self._kept()
        old = {OLD_NAMES.get(name, name): value for name, value in old.items()}
        pairs = {name: (old.get(name, "(none)"), new.get(name, "(none)")) for name in {**old, **new}} if old else {}
        return [f"{name}: {before} -> {after}" for name, (before, after) in pairs.items() if before != after]

    def save(self) -> None:
        """Write ``node.toml`` into the data folder, whole or not at all. It holds no secret."""
        # JSON strings and numbers are TOML strings and numbers.
        lines = [f"{name} = {json.dumps(value)}" for name, value in self._kept().items()]
        path = self.data / CONFIGURATION_FILE
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text("\n".join(lines) + "\n")
        draft.replace(path)


def load(
    data: Path, given: Mapping[str, Any], file: Path | None = None, environment: Mapping[str, str] = os.environ
) -> NodeConfiguration:
    """The settings of the node in ``data``; ``given`` by flags, None where they were not. Raises SettingsError."""
    home = expanded(given.get("home") or nexus_home(environment))
    found = _resolve(data, given, file, environment)
    configuration = NodeConfiguration(data=data, home=home, **{name: one.value for name, one in found.items()})
    _require_sense(configuration)
    return configuration


def _require_sense(configuration: NodeConfiguration) -> None:
    """INVARIANT: no wallet is made, and nothing staked or saved, with settings that the node could not start with.

    Raises ConfigurationError, SettingsError.
    """
    _ = configuration.staker_address, configuration.listen_address, configuration.engine_backend
    _ = configuration.verification_policy
    for name in ("memory_limit", "trace_limit", "log_bytes"):
        try:
            parse_size(getattr(configuration, name) or "0")
        except ByteSizeError as error:
            raise ConfigurationError(f"{name}: {error.message}", advice=error.advice) from error
    if configuration.model_version:
        _ = configuration.version_id
    configuration.log_settings.require_known()


def explain_configuration(
    data: Path, given: Mapping[str, Any], file: Path | None = None, environment: Mapping[str, str] = os.environ
) -> list[Explained]:
    """The values that ``load`` takes, and where each one comes from. Raises SettingsError."""
    home = expanded(given.get("home") or nexus_home(environment))
    found = _resolve(data, given, file, environment)
    named = [Explained("data", data, ""), Explained("home", home, home_source(given, environment))]
    return [*named, *explain(NodeConfiguration(data, home), found, file or data / CONFIGURATION_FILE)]


def _resolve(
    data: Path, given: Mapping[str, Any], file: Path | None, environment: Mapping[str, str]
) -> dict[str, Explained]:
    return resolve(
        NodeConfiguration,
        {name: value for name, value in given.items() if name != "home"},
        read_toml(file or data / CONFIGURATION_FILE, required=file is not None),
        environment,
        fixed=FOLDERS,
        variables=_variables,
        old_names=OLD_NAMES,
        path=file or data / CONFIGURATION_FILE,
    )


def _variables(name: str) -> list[str]:
    """A node's own variable, then the one that it shares with ``nexus``."""
    own, shared = NODE_PREFIX + name.upper(), VARIABLE_PREFIX + name.upper()
    # INVARIANT: a node never takes the wallet that was exported for its owner's `nexus`: it would stake from it.
    return [own, shared] if name in SHARED and name not in KEYS else [own]
