"""A node and the registry: registering, announcing, checking, leaving. Sends transactions, serves nothing."""

from __future__ import annotations

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.errors import ContractRevertedError
from nexus_chain.chain.node_registry import NodeRecord
from node.daemon.configuration import NodeConfiguration
from node.daemon.errors import RegistrationError
from node.daemon.identity import Identity, NodeKeys
from node.daemon.served_model import ServedModel


def record_of(contracts: Contracts, address: str) -> NodeRecord | None:
    """The registry's record of a node, or None when it never registered."""
    try:
        return contracts.nodes.node(address)
    except ContractRevertedError as error:
        if error.error_name == "NodeRegistry_Unknown":
            return None
        raise


def register_node(
    contracts: Contracts, keys: NodeKeys, configuration: NodeConfiguration, stake: int | None
) -> list[str]:
    """Register, or bring the registry up to date: endpoint, TLS key, stake (wei, None: the minimum). In words."""
    require_own_stake(keys.identity)
    endpoint, key_hash = configuration.announced_endpoint, keys.tls.key_hash
    found = record_of(contracts, keys.wallet.address)
    if found is None:
        stake = contracts.nodes.minimum_stake() if stake is None else stake
        contracts.nodes.register(endpoint, key_hash, keys.receipt_key.address, stake=stake)
        return [f"registered {keys.wallet.address} at {endpoint} with a stake of {stake} wei"]
    _require_ours(found, keys)
    done = []
    if (found.endpoint, found.tls_key_hash) != (endpoint, key_hash):
        contracts.nodes.update_endpoint(endpoint, key_hash)
        done.append(f"changed the endpoint to {endpoint}")
    if stake is not None and stake > found.stake:
        contracts.nodes.add_stake(stake - found.stake)
        done.append(f"raised the stake to {stake} wei")
    return done or ["already registered; nothing to change"]


def require_own_stake(identity: Identity) -> None:
    """Raise RegistrationError where another account staked: what it decides is signed there, never on this machine."""
    if not identity.has_stake:
        raise RegistrationError(
            f"the stake is {identity.address}'s, and this machine has no key of it",
            advice="Run `nexus-node identity`, and use that account's wallet on the page Operate.",
        )


def require_registered(contracts: Contracts, keys: NodeKeys) -> NodeRecord:
    """The registry's record; raises RegistrationError unless it is active, with the keys about to be used."""
    identity = keys.identity
    found = record_of(contracts, identity.address)
    if found is None:
        advice = "Run `nexus-node register` first."
        if not identity.has_stake:
            advice = "Run `nexus-node identity`, and register with that account's wallet on the page Operate."
        raise RegistrationError(f"{identity.address} is not a registered node", advice=advice)
    _require_ours(found, keys)
    if found.tls_key_hash != keys.tls.key_hash:
        raise RegistrationError(
            "the registry holds another TLS key than this data folder, so no client would connect",
            advice="Run `nexus-node register` again, or restore tls.key and tls.crt.",
        )
    return found


def require_active(found: NodeRecord, address: str) -> None:
    """Raise RegistrationError where the node was convicted or leaves."""
    if not found.active:
        raise RegistrationError(
            f"{address} was convicted" if found.convicted else f"{address} is unbonding",
            advice="Register with a new wallet: this address cannot serve again.",
        )


def _require_ours(found: NodeRecord, keys: NodeKeys) -> None:
    require_active(found, keys.identity.address)
    if found.receipt_key != keys.receipt_key.address:
        raise RegistrationError(
            f"the registry holds receipt key {found.receipt_key}, this wallet signs with {keys.receipt_key.address}",
            advice="Use the wallet that registered this node with this program.",
        )


def announce(contracts: Contracts, address: str, model: ServedModel) -> str | None:
    """Announce range and price unless the registry has them already; what was done, in words."""
    offer = contracts.nodes.announcement_of(address, model.version)
    wanted = (model.layer_start, model.layer_end, model.wei_per_token)
    if offer is not None and (offer.layer_start, offer.layer_end, offer.wei_per_token) == wanted:
        return None
    contracts.nodes.announce(model.version, *wanted)
    return f"announced layers {model.layer_start}-{model.layer_end} for {model.wei_per_token} wei a token"


def announced_price(contracts: Contracts, address: str, model: ServedModel) -> int:
    """Wei per token that ``address`` announced for these layers. Raises RegistrationError where it did not.

    The account that staked decides the price, and its key is elsewhere.
    """
    offer = contracts.nodes.announcement_of(address, model.version)
    if offer is None or (offer.layer_start, offer.layer_end) != (model.layer_start, model.layer_end):
        said = "nothing" if offer is None else f"layers {offer.layer_start}-{offer.layer_end}"
        raise RegistrationError(
            f"{address} announces {said} of this version, and this machine has layers "
            f"{model.layer_start}-{model.layer_end}",
            advice="Announce them with that account's wallet on the page Operate, then start again.",
        )
    return offer.wei_per_token


def unbond_node(contracts: Contracts, address: str) -> str:
    """Ask for the stake back; once the delay is over, fetch it. What was done, in words."""
    found = record_of(contracts, address)
    if found is None:
        raise RegistrationError(f"{address} is not a registered node", advice="There is no stake to fetch.")
    if found.unbondable_after == 0:
        contracts.nodes.request_unbond()
        delay = contracts.nodes.unbonding_delay()
        return f"unbonding: no new session can name this node; run `nexus-node unbond` again in {delay} s"
    contracts.nodes.complete_unbond()
    contracts.nodes.withdraw()
    return f"the stake of {found.stake} wei is back in the wallet"
