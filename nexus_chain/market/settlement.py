"""Who gets what when a line is settled, by arithmetic and as the chain recorded it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nexus_chain.market.documents import checksum
from nexus_chain.market.errors import PriceError

if TYPE_CHECKING:  # the chain package imports this one's documents
    from nexus_chain.chain.contracts import Contracts

#: The vault gets one in ten.
VAULT_DIVISOR = 10


def split(cumulative: int) -> tuple[int, int]:
    """(node, vault) of a settled amount in wei, as the contract splits it: vault = amount // 10."""
    if cumulative < 0:
        raise PriceError(f"{cumulative} wei cannot be split", advice="Give an amount of zero or more.")
    vault = cumulative // VAULT_DIVISOR
    return cumulative - vault, vault


@dataclass(frozen=True)
class Settled:
    """Sums over settled lines, wei."""

    lines: int
    to_nodes: int
    to_vault: int
    to_users: int


def get_node_earnings(contracts: Contracts, node: str) -> int:
    """Wei that settled lines have credited to ``node`` since deployment, withdrawn or not."""
    return settled(contracts, node=node).to_nodes


def get_vault_revenue(contracts: Contracts) -> int:
    """Wei that settled lines have credited to the Genesis Vault since deployment."""
    return settled(contracts).to_vault


def settled(contracts: Contracts, *, node: str | None = None, session: bytes | None = None) -> Settled:
    """Sums over the chain's settlements, of one node or session or of all."""
    filters: dict[str, object] = {}
    if node is not None:
        filters["node"] = checksum(node)
    if session is not None:
        filters["session"] = session
    start = contracts.deployment.block
    done = [e.arguments for e in contracts.market.events("LineSettled", start, where=filters)]
    # A disputed line returns its unserved part before it is settled.
    early = [e.arguments for e in contracts.market.events("LineRefunded", start, where=filters)]
    return Settled(
        lines=len(done),
        to_nodes=sum(a["toNode"] for a in done),
        to_vault=sum(a["toVault"] for a in done),
        to_users=sum(a["toUser"] for a in done + early),
    )
