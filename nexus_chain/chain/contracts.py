"""The contracts of one deployment, connected and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nexus_chain.chain.bound import BoundContract
from nexus_chain.chain.certificate_registry import CertificateRegistry
from nexus_chain.chain.connection import ChainConnection, connect
from nexus_chain.chain.deployment import Deployment
from nexus_chain.chain.dispute_game import DisputeGame
from nexus_chain.chain.errors import ContractMissingError
from nexus_chain.chain.genesis_vault import GenesisVault
from nexus_chain.chain.inference_market import InferenceMarket
from nexus_chain.chain.journal import TransactionJournal
from nexus_chain.chain.model_registry import ModelRegistry
from nexus_chain.chain.node_registry import NodeRegistry
from nexus_chain.chain.transactions import MOST_FEE, Sender
from nexus_chain.chain.wallet import Wallet
from nexus_chain.market.documents import Domain


@dataclass(frozen=True)
class Sending:
    """How transactions are sent. ``journal``: the file that they are written into; None: they are forgotten.

    ``timeout``: seconds to wait for each; ``confirmations``, ``max_fee``: as of ``Sender``.
    """

    journal: Path | None = None
    timeout: float = 120.0
    confirmations: int = 1
    max_fee: int = MOST_FEE

    def sender(self, connection: ChainConnection, wallet: Wallet) -> Sender:
        """A sender for the wallet."""
        journal = TransactionJournal(self.journal)
        return Sender(
            connection,
            wallet,
            timeout=self.timeout,
            journal=journal,
            confirmations=self.confirmations,
            max_fee=self.max_fee,
        )


DEFAULT_SENDING = Sending()


@dataclass(frozen=True)
class Contracts:
    """Typed access to one deployment, for one wallet or for reading only."""

    connection: ChainConnection
    deployment: Deployment
    nodes: NodeRegistry
    models: ModelRegistry
    market: InferenceMarket
    vault: GenesisVault
    certificates: CertificateRegistry
    disputes: DisputeGame
    sender: Sender | None = None

    @property
    def domain(self) -> Domain:
        """The EIP-712 domain of all documents here."""
        return self.deployment.domain

    @classmethod
    def at(
        cls,
        connection: ChainConnection,
        deployment: Deployment,
        wallet: Wallet | None = None,
        sending: Sending = DEFAULT_SENDING,
    ) -> Contracts:
        """Bind the contracts; raises ContractMissingError when they are not there or not ours."""
        found = cls._bound(connection, deployment, None if wallet is None else sending.sender(connection, wallet))
        parts: tuple[BoundContract, ...] = (
            *(found.nodes, found.models, found.market, found.vault),
            *(found.certificates, found.disputes),
        )
        for contract in parts:
            contract.require_code()
        # INVARIANT: games are played where the market listens; elsewhere they would move nothing.
        if found.market.dispute() != found.disputes.address:
            raise ContractMissingError(
                f"market {deployment.inference_market} does not obey dispute contract {deployment.dispute_game}",
                advice="Use the deployment file that was written when these contracts were deployed.",
            )
        # INVARIANT: everything signed here counts there; another domain would make every signature worthless.
        if found.market.domain_separator() != deployment.domain.separator:
            raise ContractMissingError(
                f"the market at {deployment.inference_market} signs under another domain than this program",
                advice="Use the deployment file of this chain, and the program version it was deployed with.",
            )
        return found

    @classmethod
    def _bound(cls, connection: ChainConnection, deployment: Deployment, sender: Sender | None) -> Contracts:
        return cls(
            connection,
            deployment,
            NodeRegistry(connection, deployment.node_registry, sender),
            ModelRegistry(connection, deployment.model_registry, sender),
            InferenceMarket(connection, deployment.inference_market, sender),
            GenesisVault(connection, deployment.genesis_vault, sender),
            CertificateRegistry(connection, deployment.certificate_registry, sender),
            DisputeGame(connection, deployment.dispute_game, sender),
            sender,
        )

    @classmethod
    def connect(
        cls,
        rpc_url: str,
        deployment: Deployment | Path | int,
        wallet: Wallet | None = None,
        sending: Sending = DEFAULT_SENDING,
    ) -> Contracts:
        """Connect to ``rpc_url`` and bind a deployment (itself, its file, or its chain id)."""
        known = deployment if isinstance(deployment, Deployment) else Deployment.load(deployment)
        return cls.at(connect(rpc_url, known.chain_id), known, wallet, sending)

    def with_wallet(self, wallet: Wallet, sending: Sending = DEFAULT_SENDING) -> Contracts:
        """The same deployment for another wallet."""
        return self._bound(self.connection, self.deployment, sending.sender(self.connection, wallet))
