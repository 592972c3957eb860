"""What has to be true before a node stakes: its shard, its version, its address and its money are looked at first.

Changes nothing, on the chain or on the disk; only what a verified shard is remembered by may be written.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.errors import ContractRevertedError, UnfundedWalletError
from nexus_chain.chain.fees import current_fees, most_per_gas
from nexus_chain.chain.node_registry import NodeRecord
from nexus_chain.folder_lock import is_busy
from nexus_chain.wire.tls_peer import connect_tls
from node.daemon.configuration import NodeConfiguration
from node.daemon.errors import ConfigurationError, PortInUseError, RegistrationError
from node.daemon.tls import TlsIdentity, certificate_hash
from node.daemon.upkeep.answer_funds import answer_funds
from node.daemon.upkeep.registration import record_of, require_active

ENDPOINT_SECONDS = 5.0
"""How long an endpoint may take to answer: one that takes longer serves nobody."""
REGISTER_GAS = 420_000
"""The gas limit that registering is sent with at most: 343 049 gas with an endpoint of 256 bytes, and a fifth more."""
_TOKEN_BYTES = 16


def check_ready(
    contracts: Contracts,
    configuration: NodeConfiguration,
    address: str,
    stake: int | None,
    take_over: bool = False,
    endpoint: bool = True,
) -> None:
    """All of it, the cheapest first; ``endpoint``: whether clients' way here is tried. Raises NexusError."""
    _parsed(configuration.announced_endpoint)
    found = record_of(contracts, address)
    if found is not None:
        require_active(found, address)
    check_funds(contracts, address, found, stake)
    own = TlsIdentity.kept(configuration.data)
    own_key_hash = None if own is None else own.key_hash
    check_alone(found, own_key_hash, take_over=take_over)
    if endpoint:
        check_endpoint(configuration, own_key_hash)
    check_shard(contracts, configuration)


def check_shard(contracts: Contracts, configuration: NodeConfiguration) -> None:
    """The version is on the chain, and the block holds its weights. Raises RegistrationError and as ``load_shard``."""
    version, path = configuration.version_id, configuration.block_path
    if not path.is_file():
        raise ConfigurationError(f"there is no block {path}", advice="Give --block, the shard's file.")
    try:
        contracts.models.version(version)
    except ContractRevertedError as error:
        if error.error_name != "ModelRegistry_Unknown":
            raise
        raise RegistrationError(
            f"the chain knows no model version 0x{version.hex()}", advice="Give an id that `nexus models` lists."
        ) from error
    from node.daemon.shard_loading import load_shard  # torch takes seconds to import

    load_shard(contracts, configuration)


def check_endpoint(configuration: NodeConfiguration, own_key_hash: bytes | None) -> None:
    """The port can be listened on, and what clients will connect to leads here.

    Where this folder's daemon has the port already, the TLS key that answers at the endpoint has to be this
    folder's, ``own_key_hash``. Raises RegistrationError, PortInUseError, ConfigurationError.
    """
    endpoint, token = configuration.announced_endpoint, secrets.token_bytes(_TOKEN_BYTES)
    try:
        with _listening(configuration, token):
            found = _first_bytes(configuration)
    except PortInUseError:
        if own_key_hash is None or not is_busy(configuration.data):
            raise
        if key_hash_at(endpoint) != own_key_hash:
            raise _unreachable(endpoint, configuration.listen, "this node's daemon does not answer there") from None
        return
    if found != token:
        raise _unreachable(endpoint, configuration.listen, "something else answers there")


def _first_bytes(configuration: NodeConfiguration) -> bytes:
    """What a client hears first at the endpoint. Raises RegistrationError, ConfigurationError."""
    endpoint = configuration.announced_endpoint
    try:
        with socket.create_connection(_parsed(endpoint), ENDPOINT_SECONDS) as connection:
            connection.settimeout(ENDPOINT_SECONDS)
            return connection.recv(_TOKEN_BYTES, socket.MSG_WAITALL)
    except OSError as error:
        raise _unreachable(endpoint, configuration.listen, str(error.strerror or error)) from error


def check_funds(contracts: Contracts, address: str, found: NodeRecord | None, stake: int | None) -> None:
    """The wallet pays the stake, the transaction, and the answers of one dispute. Raises UnfundedWalletError."""
    if found is None:
        sent = contracts.nodes.minimum_stake() if stake is None else stake
    else:
        sent = max(0, (stake or 0) - found.stake)
    if not sent:
        return
    funds = answer_funds(contracts, address, 1)
    fees = current_fees(contracts.connection)
    needed = sent + funds.needed + REGISTER_GAS * most_per_gas(fees)
    if funds.wallet < needed:
        raise UnfundedWalletError(address, funds.wallet, needed)


def check_alone(found: NodeRecord | None, own_key_hash: bytes | None, *, take_over: bool = False) -> None:
    """No other daemon serves for this wallet: none answers at the registered endpoint with another folder's key.

    ``own_key_hash``: of this folder's TLS key, None where it has none yet. Raises RegistrationError.
    """
    if found is None or take_over or found.tls_key_hash == own_key_hash:
        return
    if key_hash_at(found.endpoint) == found.tls_key_hash:
        raise RegistrationError(
            f"a daemon of this wallet answers at {found.endpoint}, from another data folder",
            advice="Stop it and restore its data folder here, or give --take-over: two sign over each other.",
        )


def require_not_serving(found: NodeRecord, own_key_hash: bytes) -> None:
    """A copy of this data folder serves nowhere else: nothing answers at the endpoint with its key.

    Raises RegistrationError.
    """
    if key_hash_at(found.endpoint) == own_key_hash:
        raise RegistrationError(
            f"a daemon with this node's keys answers at {found.endpoint} already",
            advice="Stop it first: two would sign over each other, and lose the stake.",
        )


def key_hash_at(endpoint: str) -> bytes | None:
    """The hash of the TLS key of whoever answers at host:port; None where nobody does."""
    try:
        with connect_tls(*_parsed(endpoint), ENDPOINT_SECONDS) as secured:
            shown = secured.getpeercert(binary_form=True)
            return None if shown is None else certificate_hash(shown)
    except (OSError, ValueError, ConfigurationError):
        return None


def _parsed(endpoint: str) -> tuple[str, int]:
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ConfigurationError(
            f"endpoint = {endpoint!r} is not host:port", advice="Write node.example.org:7070, as clients reach it."
        )
    return host.strip("[]"), int(port)


class _listening:
    """Listens where the node will, and gives whoever connects the token, until the block ends."""

    def __init__(self, configuration: NodeConfiguration, token: bytes) -> None:
        self._address, self._token = configuration.listen_address, token

    def __enter__(self) -> None:
        host, port = self._address
        try:
            self._listener = socket.create_server(
                (host.strip("[]"), port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
            )
        except OSError as error:
            raise PortInUseError(
                f"{host}:{port} cannot be listened on: {error.strerror or error}", advice="Give another --listen."
            ) from error
        self._thread = threading.Thread(target=self._greet, name="endpoint-check", daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(ENDPOINT_SECONDS)  # until it has hung up, the port is not free

    def _greet(self) -> None:
        try:
            while True:
                connection, _ = self._listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(ENDPOINT_SECONDS)
                    connection.sendall(self._token)
                    connection.recv(1)  # who hangs up first keeps the port busy for a while: not this side
        except OSError:
            return


def _unreachable(endpoint: str, listen: str, why: str) -> RegistrationError:
    return RegistrationError(
        f"a connection to the endpoint {endpoint} does not reach {listen} here ({why})",
        advice="Give --endpoint as clients reach it and open the port; behind a router that leads no connection back "
        "to itself, give --unchecked-endpoint.",
    )
