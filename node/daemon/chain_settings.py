"""The chain as a node's settings name it, and the terms that follow from it."""

from __future__ import annotations

from nexus_chain.chain.contracts import Contracts, Sending
from nexus_chain.chain.deployment import Deployment
from nexus_chain.chain.wallet import Wallet
from node.daemon.configuration import NodeConfiguration
from node.daemon.data_folder import transactions_path
from node.daemon.errors import RegistrationError
from node.daemon.ledger.state import Terms


def configured_deployment(configuration: NodeConfiguration) -> Deployment:
    """Where the contracts are, as the node's operator says. Raises DeploymentError, RegistrationError."""
    at_home = Deployment.path_for(configuration.chain_id, configuration.home)
    deployment = Deployment.load(configuration.deployment or at_home)
    if deployment.chain_id != configuration.chain_id:
        raise RegistrationError(
            f"the deployment file is for chain {deployment.chain_id}, the node is configured for "
            f"chain {configuration.chain_id}",
            advice="Give the deployment file and --chain-id of the same chain.",
        )
    return deployment


def connect_contracts(configuration: NodeConfiguration, wallet: Wallet | None = None) -> Contracts:
    """The contracts of the configured deployment, for ``wallet`` (None: for reading only)."""
    deployment = configured_deployment(configuration)
    journal = transactions_path(configuration.data)
    sending = Sending(journal, configuration.transaction_timeout, configuration.confirmations, configuration.max_fee)
    return Contracts.connect(configuration.rpc, deployment, wallet, sending)


def terms_of(contracts: Contracts, configuration: NodeConfiguration) -> Terms:
    """Rows are kept for the longest game after a session's end."""
    return Terms(contracts.nodes.longest_game(), configuration.close_idle_after)
