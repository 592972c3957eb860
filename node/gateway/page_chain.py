"""What the page has to know of the chain: which one it is, where the contracts are, where deposits go.

The page reads the chain through its user's wallet, so that a gateway that lies about money is found out. All of it is
public. Addresses of RPC servers may hold a key, so only those that the operator names as public are told.
"""

from __future__ import annotations

from dataclasses import dataclass

from nexus_chain.chain.credit_deposits import CreditDeposits
from nexus_chain.workflows.workspace import Workspace
from node.gateway.settings import GatewaySettings

CURRENCY = {"name": "Ether", "symbol": "ETH", "decimals": 18}


@dataclass(frozen=True)
class DepositTerms:
    """A deposit contract: address, the block it was created in, who its operator is, its notice in seconds."""

    contract: str
    block: int
    operator: str
    notice: int


@dataclass(frozen=True)
class PageChain:
    """``contracts``: addresses by the names of a deployment's file. ``block``: where their events begin.

    ``confirmations``: blocks, its own included, after which this gateway counts a deposit.
    """

    chain_id: int
    name: str
    rpc_urls: tuple[str, ...]
    contracts: dict[str, str]
    block: int
    confirmations: int
    deposits: DepositTerms | None


def page_chain(workspace: Workspace, settings: GatewaySettings, deposits: CreditDeposits | None) -> PageChain:
    """What the page is told. Raises the chain package's errors."""
    known = workspace.chain.deployment
    return PageChain(
        chain_id=known.chain_id,
        name=settings.chain_name or f"Chain {known.chain_id}",
        rpc_urls=tuple(settings.public_rpcs),
        contracts={
            "node_registry": known.node_registry,
            "model_registry": known.model_registry,
            "inference_market": known.inference_market,
            "dispute_game": known.dispute_game,
        },
        block=known.block,
        confirmations=workspace.settings.confirmations,
        deposits=None if deposits is None else _terms(deposits, settings.deposits_block),
    )


def _terms(contract: CreditDeposits, block: int) -> DepositTerms:
    return DepositTerms(contract.address, block, contract.operator(), contract.notice())
