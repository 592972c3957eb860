"""One user of the network: their contracts, their folder, their database, and the nodes they may talk to."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_chain.chain.clock import chain_time
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.exposure import unsettled_lines
from nexus_chain.client.home import ClientHome
from nexus_chain.client.nodes_source import NodesSource
from nexus_chain.client.store import ClientStore
from nexus_chain.routing.liability import require_covered


@dataclass(frozen=True)
class User:
    """What every session of one user shares. ``contracts`` signs with the user's wallet, where there is one."""

    contracts: Contracts
    home: ClientHome
    store: ClientStore
    nodes: NodesSource

    def require_covered(self, node: str, added: int) -> None:
        """Raise StakeTooSmallError unless the node's stake covers ``added`` wei more, as the chain says now."""
        stake = self.contracts.nodes.node(node).stake
        lines = unsettled_lines(self.contracts, self.home.exposure(self.contracts.domain.chain_id))
        require_covered(node, stake, lines.by_node().get(node, 0), added)

    def chain_time(self) -> int:
        """Unix seconds by which contracts judge now. Asks the chain."""
        return chain_time(self.contracts.connection)
