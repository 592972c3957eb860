"""Deploying the contracts from the shipped artefacts with a wallet; no compiler, no ape."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nexus_chain.chain.connection import connect
from nexus_chain.chain.credit_deposits import create_credit_deposits
from nexus_chain.chain.deployer import DEVELOPMENT_CHAINS, ArtefactCreator, deploy
from nexus_chain.chain.deployment import Deployment
from nexus_chain.chain.errors import DeploymentError
from nexus_chain.chain.local import DEVELOPMENT_KEYS
from nexus_chain.chain.wallet import Wallet
from nexus_chain.market.documents import checksum
from nexus_chain.workflows.workspace import Workspace


@dataclass(frozen=True)
class DeploymentRequest:
    """``preset``: None: the local one, on a development chain. ``beneficiary``: None: the payer, likewise.

    ``again``: new contracts although some stand.
    """

    preset: str | None = None
    beneficiary: str | None = None
    again: bool = False


@dataclass(frozen=True)
class Deployed:
    """A deployment, its file, and whether anything was created."""

    deployment: Deployment
    path: Path
    created: bool


def deploy_contracts(workspace: Workspace, wanted: DeploymentRequest) -> Deployed:
    """Create what is missing and write the deployment file into the home. Raises ChainError."""
    settings = workspace.settings
    connection = connect(settings.rpc, settings.chain_id)
    toy = connection.chain_id() in DEVELOPMENT_CHAINS
    preset = _needed(wanted.preset or ("local" if toy else None), "--preset mainnet or rollup")
    beneficiary = checksum(wanted.beneficiary) if wanted.beneficiary else None
    if not toy:
        _needed(beneficiary, "--beneficiary, who may spend what reaches the Genesis Vault")
    creator = ArtefactCreator(connection, _payer(workspace, toy), workspace.sending)
    path = settings.deployment or Deployment.path_for(creator.chain_id, workspace.home.root)
    deployment, created = deploy(
        creator,
        beneficiary or creator.sender.wallet.address,
        preset=preset,
        path=path,
        expected_chain_id=settings.chain_id,
        again=wanted.again,
        say=workspace.observer.note,
    )
    return Deployed(deployment, path, created)


@dataclass(frozen=True)
class DeployedDeposits:
    """A gateway's deposit contract, the block it was created in, who its operator is, and its notice in seconds."""

    contract: str
    block: int
    operator: str
    notice: int


def deploy_deposits(workspace: Workspace, operator: str | None, notice: int) -> DeployedDeposits:
    """Create a deposit contract; ``operator`` None: the wallet, which pays in any case. Raises ChainError."""
    settings = workspace.settings
    creator = ArtefactCreator(connect(settings.rpc, settings.chain_id), workspace.wallet, workspace.sending)
    who = checksum(operator or creator.sender.wallet.address)
    contract, block = create_credit_deposits(creator, who, notice)
    return DeployedDeposits(contract, block, who, notice)


def _payer(workspace: Workspace, toy: bool) -> Wallet:
    """The user's wallet; on a development chain the first public test account, unless a wallet is named."""
    if toy and workspace.settings.wallet is None:
        return Wallet.from_hex(DEVELOPMENT_KEYS[0])
    return workspace.wallet


def _needed(value: str | None, flag: str) -> str:
    if value is None:
        raise DeploymentError("this is a real chain, and what is decided here is for ever", advice=f"Give {flag}.")
    return value
