"""What settled lines have paid, as the chain recorded it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nexus_chain.chain.contracts import Contracts
from nexus_chain.market.documents import checksum


@dataclass(frozen=True)
class Settled:
    """Sums over settled lines, wei: ``to_publishers`` and what came back of it were locked beside the lines."""

    lines: int
    to_nodes: int
    to_vault: int
    to_users: int
    to_publishers: int = 0


def get_node_earnings(contracts: Contracts, node: str) -> int:
    """Wei that settled lines have credited to ``node`` since deployment, withdrawn or not."""
    return sum_settlements(contracts, node=node).to_nodes


def get_vault_revenue(contracts: Contracts) -> int:
    """Wei that settled lines have credited to the Genesis Vault since deployment."""
    return sum_settlements(contracts).to_vault


def sum_settlements(contracts: Contracts, *, node: str | None = None, session: bytes | None = None) -> Settled:
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
    shares = [e.arguments for e in contracts.market.events("ShareSettled", start, where=filters)]
    return Settled(
        lines=len(done),
        to_nodes=sum(a["toNode"] for a in done),
        to_vault=sum(a["toVault"] for a in done),
        to_users=sum(a["toUser"] for a in done + early + shares),
        to_publishers=sum(a["toPublisher"] for a in shares),
    )


def forfeited_lines(contracts: Contracts, session: bytes, nodes: Iterable[str]) -> frozenset[str]:
    """Those of ``nodes`` whose line in a session was settled after their conviction: all of it went back to the user.

    The chain's events are read only where one of them is convicted by now.
    """
    convicted = {node for node in nodes if contracts.nodes.is_convicted(node)}
    if not convicted:
        return frozenset()
    settled = contracts.market.events("LineSettled", contracts.deployment.block, where={"session": session})
    return frozenset(convicted & {str(e.arguments["node"]) for e in settled if e.arguments["forfeited"]})
