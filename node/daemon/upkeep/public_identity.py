"""What the account that stakes has to know of the machine that serves for it. All of it is public."""

from __future__ import annotations

from typing import Any

from nexus_chain.commitments.block_index import BlockIndex, index_path
from node.daemon.chain_settings import configured_deployment
from node.daemon.configuration import NodeConfiguration
from node.daemon.errors import ConfigurationError
from node.daemon.identity import NodeKeys


def public_identity(configuration: NodeConfiguration, keys: NodeKeys) -> dict[str, Any]:
    """A JSON value: who stakes, who pays gas, both public keys, where it listens, and what it would serve.

    ``chain_id`` and ``node_registry``: where it will look for its stake, so that the account that stakes can compare it
    with what a stranger's page names. ``layers`` and ``model_version``: left out where no shard is configured.
    ``price``: wei for a token, decimal; left out without ``--price``. Raises ConfigurationError, DeploymentError,
    RegistrationError, and as reading the shard does.
    """
    deployment = configured_deployment(configuration)
    identity = keys.identity
    found: dict[str, Any] = {
        "node": identity.address,
        "wallet": identity.gas_address,
        "receipt_key": identity.receipt_key.address,
        "tls_key_hash": "0x" + keys.tls.key_hash.hex(),
        "endpoint": configuration.announced_endpoint,
        "chain_id": deployment.chain_id,
        "node_registry": deployment.node_registry,
    }
    if configuration.block is not None:
        found |= {"model_version": "0x" + configuration.version_id.hex(), "layers": _layers(configuration)}
    if configuration.price is not None:
        found["price"] = str(configuration.price)
    return found


def _layers(configuration: NodeConfiguration) -> list[int]:
    path = configuration.block_path
    if not path.is_file():
        raise ConfigurationError(f"there is no block {path}", advice="Give --block, the shard's file.")
    start, end = BlockIndex.read(index_path(path)).layers
    return [start, end]
