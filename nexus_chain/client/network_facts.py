"""What a directory reads: the chain's word on nodes and sessions, and what this user's watcher found out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.exposure import unsettled_lines
from nexus_chain.chain.line_facts import SessionFacts, read_session
from nexus_chain.client.home import ClientHome
from nexus_chain.routing.liability import with_exposure
from nexus_chain.routing.registry_view import ShardNode, discover_nodes
from nexus_chain.routing.reputation import ReputationBook
from nexus_chain.routing.reputation_file import load_reputation


class NetworkFacts(Protocol):
    """Each call asks anew; any of them raises the chain package's errors. Threads may call all of it at once."""

    def window(self) -> int:
        """The challenge window, seconds. A deployment never changes it."""

    def now(self) -> int:
        """Timestamp of the chain's latest block, Unix seconds."""

    def nodes(self, versions: Sequence[bytes]) -> dict[bytes, list[ShardNode]]:
        """Active nodes of each version in the registry's order, with stakes and exposures, unmeasured."""

    def session(self, session: bytes, nodes: Sequence[str]) -> SessionFacts:
        """A session and its lines with ``nodes``."""

    def receipt_key_of(self, node: str) -> str:
        """The key that signs a node's receipts, as registered. A node never changes it."""

    def book(self) -> ReputationBook:
        """What the watcher knows. Raises ReputationFileError."""


class ContractFacts:
    """NetworkFacts of a deployment."""

    def __init__(self, contracts: Contracts, home: ClientHome) -> None:
        self._contracts, self._home = contracts, home

    def window(self) -> int:
        """See NetworkFacts."""
        return self._contracts.market.challenge_window()

    def now(self) -> int:
        """See NetworkFacts."""
        return self._contracts.market.now()

    def nodes(self, versions: Sequence[bytes]) -> dict[bytes, list[ShardNode]]:
        """See NetworkFacts."""
        cache = self._home.exposure(self._contracts.domain.chain_id)
        hanging = unsettled_lines(self._contracts, cache).by_node()
        return {version: with_exposure(discover_nodes(self._contracts, version), hanging) for version in versions}

    def session(self, session: bytes, nodes: Sequence[str]) -> SessionFacts:
        """See NetworkFacts."""
        return read_session(self._contracts, session, nodes)

    def receipt_key_of(self, node: str) -> str:
        """See NetworkFacts."""
        return self._contracts.nodes.receipt_key_of(node)

    def book(self) -> ReputationBook:
        """See NetworkFacts."""
        return load_reputation(self._home.reputation)
