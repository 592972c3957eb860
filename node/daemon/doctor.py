"""``nexus-node doctor``: whether this node could serve, be paid and defend itself. Changes nothing on the chain."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.diagnosis import chain_answers, clock_skew, contracts_stand
from nexus_chain.chain.node_registry import NodeRecord
from nexus_chain.chain.wallet import Wallet, read_password
from nexus_chain.diagnosis import (
    FAIL,
    OK,
    WARN,
    Check,
    Finding,
    Report,
    disk_space,
    examine,
    packages,
    private,
    python_version,
    settings_said,
)
from nexus_chain.engine.diagnosis import engine_health
from nexus_chain.folder_lock import is_busy
from nexus_chain.settings import Explained
from node.daemon.chain_settings import connect_contracts
from node.daemon.configuration import NodeConfiguration
from node.daemon.data_folder import events_path
from node.daemon.errors import RegistrationError
from node.daemon.identity import address_of_node, address_of_wallet, receipt_key_of
from node.daemon.tls import TlsIdentity
from node.daemon.upkeep.answer_funds import answer_funds
from node.daemon.upkeep.readiness import check_endpoint
from node.daemon.upkeep.registration import record_of

if TYPE_CHECKING:
    from nexus_chain.commitments.tensor_block import TensorBlock


class NodeDoctor:
    """The checks of one node."""

    def __init__(self, configuration: NodeConfiguration, settings: Sequence[Explained]) -> None:
        """``settings``: where each value comes from."""
        self.configuration, self._settings = configuration, settings

    def report(self) -> Report:
        """Run every check."""
        known = self.configuration
        machine: list[list[Check]] = [
            [("python", python_version)],
            [("packages", packages)],
            [("engine", lambda: engine_health(known.engine_backend))],
            [("settings", lambda: settings_said(self._settings))],
            [("data folder", self.folder), ("disk", lambda: disk_space(known.data, known.trace_limit_bytes))],
            [("log", self.log), ("daemon", self.daemon)],
            [("events", self.events)],
            [("TLS key", self.tls_key)],
            [("password file", self.password_file)],
            [("wallet", self.wallet), ("receipt key", self.receipt_key)],
            [("port", self.port), ("endpoint", self.endpoint)],
        ]
        chain: list[Check] = [
            ("chain", lambda: chain_answers(known.rpc, known.chain_id)),
            ("clock", lambda: clock_skew(known.rpc)),
            ("deployment", lambda: contracts_stand(self._contracts)),
        ]
        report = examine(*machine, chain)
        if any(name == "deployment" and found.level == OK for name, found in report.findings):
            money: list[Check] = [("registration", self.registration), ("answer funds", self.funds)]
            report = Report((*report.findings, *examine(money, [("shard", self.shard)]).findings))
        return report

    @cached_property
    def _contracts(self) -> Contracts:
        return connect_contracts(self.configuration)

    @cached_property
    def _address(self) -> str:
        return address_of_node(self.configuration)

    @cached_property
    def _record(self) -> NodeRecord | None:
        return record_of(self._contracts, self._address)

    @cached_property
    def _busy(self) -> bool:
        return self.configuration.data.is_dir() and is_busy(self.configuration.data)

    def folder(self) -> Finding:
        """The data folder and what others may read of it."""
        data = self.configuration.data
        if not data.is_dir():
            return Finding(FAIL, f"there is no folder {data}", "Run `nexus-node register`, or give --data.")
        if not os.access(data, os.W_OK):
            return Finding(FAIL, f"{data} cannot be written", "Run this as its owner.")
        return private(data, "the data folder", must=False)

    def log(self) -> Finding:
        """Whether the log can be written."""
        settings = self.configuration.log_settings
        if settings.file is None:
            return Finding(OK, "standard error")
        file = settings.file.absolute()
        place = next(place for place in (file, *file.parents) if place.exists())
        if not os.access(place, os.W_OK) or (place != file and not place.is_dir()):
            return Finding(FAIL, f"{settings.file} cannot be written", "Make its folder, or give another --log-file.")
        return Finding(OK, f"{settings.file}, {settings.level}, {settings.form}")

    def daemon(self) -> Finding:
        """Whether the daemon runs."""
        said = "a daemon runs on this folder" if self._busy else "no daemon runs on this folder"
        return Finding(OK, said)

    def events(self) -> Finding:
        """Whether the write-ahead log can be read to its end. Raises WriteAheadLogError."""
        from node.daemon.ledger.write_ahead_log import WriteAheadLog

        if not events_path(self.configuration.data).exists():
            return Finding(OK, "none yet")
        log = WriteAheadLog(events_path(self.configuration.data))
        try:
            return Finding(OK, f"{sum(1 for _ in log.events())} events")
        finally:
            log.close()

    def tls_key(self) -> Finding:
        """Whether key and certificate belong together. Raises DataFolderError."""
        data = self.configuration.data
        if not (data / "tls.crt").exists():
            return Finding(WARN, "none yet", "`nexus-node register` makes it.")
        identity = TlsIdentity.open(data)
        found = private(data / "tls.key", "the TLS key")
        return found if found.level != OK else Finding(OK, f"hash 0x{identity.key_hash.hex()}")

    def password_file(self) -> Finding:
        """Whether nobody else can read it."""
        path = self.configuration.password_file
        if path is None:
            return Finding(WARN, "none: `start` asks for the password", "A service needs --password-file.")
        return private(path, "the password file")

    def wallet(self) -> Finding:
        """Raises WalletError."""
        address, path = address_of_wallet(self.configuration), self.configuration.wallet_path
        found = private(path, "the keystore")
        return found if found.level != OK else Finding(OK, f"{address} in {path}")

    def receipt_key(self) -> Finding:
        """The key that follows from the wallet; compared with the registry's where a password file is there."""
        if self.configuration.password_file is None:
            return Finding(WARN, "not looked at", "Give --password-file to have it compared with the registry's.")
        wallet = Wallet.load(self.configuration.wallet_path, read_password(self.configuration.password_file))
        self._receipt_key = receipt_key_of(wallet).address
        return Finding(OK, self._receipt_key)

    _receipt_key: str | None = None

    def port(self) -> Finding:
        """Whether the address to listen on is free, or the daemon's. Raises ConfigurationError."""
        if self._busy:
            return Finding(OK, f"{self.configuration.listen} is the daemon's")
        try:
            host, port = self.configuration.listen_address
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            socket.create_server((host.strip("[]"), port), family=family).close()
        except OSError as error:
            said = f"{self.configuration.listen} cannot be listened on ({error.strerror})"
            return Finding(FAIL, said, "Give another --listen, or stop the program that has it.")
        return Finding(OK, f"{self.configuration.listen} is free")

    def endpoint(self) -> Finding:
        """Whether what clients are told leads to this machine's listener, as `register` looks at it."""
        told, own = self.configuration.announced_endpoint, TlsIdentity.kept(self.configuration.data)
        try:
            check_endpoint(self.configuration, None if own is None else own.key_hash)
        except RegistrationError as error:
            return Finding(WARN, error.message.rstrip("."), error.advice)
        return Finding(OK, f"{told} leads here")

    def registration(self) -> Finding:
        """Whether the registry has this node, active, with these keys. Raises ChainError."""
        record = self._record
        if record is None:
            return Finding(FAIL, f"{self._address} is not registered", "Run `nexus-node register`.")
        if not record.active:
            said = "was convicted" if record.convicted else "is unbonding"
            return Finding(FAIL, f"{self._address} {said}", "Register with a new wallet.")
        if self._receipt_key not in (None, record.receipt_key):
            said = f"the registry holds receipt key {record.receipt_key}"
            return Finding(FAIL, said, "Use the wallet that registered this node.")
        data = self.configuration.data
        if (data / "tls.crt").exists() and TlsIdentity.open(data).key_hash != record.tls_key_hash:
            return Finding(FAIL, "the registry holds another TLS key", "Run `nexus-node register` again.")
        told = self.configuration.announced_endpoint
        if record.endpoint != told:
            said = f"the registry says {record.endpoint}, the settings {told}"
            return Finding(WARN, said, "Run `nexus-node register` again.")
        return Finding(OK, f"stake {record.stake} wei at {record.endpoint}")

    def funds(self) -> Finding:
        """Whether the wallet can pay for the answers of its games, and of one more. Raises ChainError."""
        games = self._record.open_games if self._record is not None else 0
        payer = address_of_wallet(self.configuration)
        found = answer_funds(self._contracts, payer, games)
        if found.warning:
            return Finding(FAIL, f"{found.wallet} wei", found.warning)
        next_one = answer_funds(self._contracts, payer, games + 1)
        said = f"{found.wallet} wei, {games} open games"
        return (
            Finding(WARN, said, f"One more game may take {next_one.needed} wei.")
            if next_one.warning
            else Finding(OK, said)
        )

    def shard(self) -> Finding:
        """Whether the shard is the version's, to the byte. Raises what loading it raises."""
        from node.daemon.shard_loading import load_shard  # torch takes seconds to import

        block: TensorBlock
        block, model = load_shard(self._contracts, self.configuration)
        return Finding(OK, f"layers {model.layer_start}-{model.layer_end} of {model.layers}, {block.nbytes} bytes")
