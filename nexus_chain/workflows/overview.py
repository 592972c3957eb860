"""What the chain says about nodes and model versions, and which nodes answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nexus_chain.chain.certificate_registry import AnchoredCertificate
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.exposure import unsettled_lines
from nexus_chain.chain.model_registry import ModelVersion
from nexus_chain.client.home import ClientHome
from nexus_chain.routing.cheapest import asked_by_range, cheapest_cover
from nexus_chain.routing.registry_view import ShardNode, discover_nodes
from nexus_chain.workflows.library import ModelLibrary


@dataclass(frozen=True)
class ListedNode:
    """A node that announces layers of a version. ``open_lines``: wei of lines that its stake answers for.

    ``probed`` False: it was not asked whether it is there.
    """

    version: bytes
    node: ShardNode
    open_lines: int
    problem: str
    probed: bool

    @property
    def online(self) -> bool | None:
        """Whether it answered; None: it was not asked."""
        return self.node.online if self.probed else None


@dataclass(frozen=True)
class ListedVersion:
    """A registered version; ``certificate`` None: it has none. ``nodes`` announce layers of it.

    Wei per token: ``asks`` by layer range, lowest and highest, of active nodes; ``route`` over the cheapest ranges
    through all layers, None where nodes do not cover them. ``share``: basis points for the publisher on top.
    """

    version: bytes
    record: ModelVersion
    publisher: str
    share: int
    certificate: AnchoredCertificate | None
    nodes: int
    asks: dict[tuple[int, int], tuple[int, int]]
    route: int | None


def list_nodes(
    contracts: Contracts, library: ModelLibrary, home: ClientHome, model: str | None = None, *, probe: bool = True
) -> list[ListedNode]:
    """Nodes of the version whose id starts with ``model``, or of all. ``probe``: ask each whether it is there."""
    versions = [library.choose(model)] if model else [version for version, _ in library.versions()]
    hanging = unsettled_lines(contracts, home.exposure(contracts.domain.chain_id)).by_node()
    return [
        ListedNode(version, node, hanging.get(node.node_id, 0), problem, probe)
        for version in versions
        for node, problem in _nodes_of(contracts, version, probe)
    ]


def list_versions(contracts: Contracts, library: ModelLibrary) -> Iterator[ListedVersion]:
    """Every registered version, oldest first."""
    for version, record in library.versions():
        serving, share = discover_nodes(contracts, version), contracts.models.share_of(version)
        yield ListedVersion(
            version,
            record,
            share.publisher,
            share.basis_points,
            contracts.certificates.certificate(version),
            contracts.nodes.announcement_count(version),
            asked_by_range(serving),
            cheapest_cover(serving, record.layers),
        )


def _nodes_of(contracts: Contracts, version: bytes, probe: bool) -> list[tuple[ShardNode, str]]:
    """Active nodes, and what is wrong with each of those that were asked."""
    if probe:
        from nexus_chain.client.network import probe_nodes  # connections take long to import, and most lists need none
        from nexus_chain.wire.tls_peer import dial

        return [(found.node, found.problem) for found in probe_nodes(contracts, dial, version)]
    return [(node, "") for node in discover_nodes(contracts, version)]
