"""From a gateway's things to its explorer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nexus_chain.chain.clock import ChainClock
from nexus_chain.content.block_store import BlockSource
from nexus_chain.routing.registry_view import Measurement
from nexus_chain.workflows.connected import Network
from nexus_chain.workflows.workspace import Workspace
from node.gateway.explorer.archive import ChainArchive
from node.gateway.explorer.context import Pace, ViewContext
from node.gateway.explorer.explorer import Explorer, Readers
from node.gateway.explorer.follower import ChainFollower
from node.gateway.explorer.games import GameReader
from node.gateway.explorer.records import RecordReader
from node.gateway.explorer.terms import read_terms
from node.gateway.generation import OfferedModel


def open_explorer(
    workspace: Workspace,
    networks: Mapping[str, Network],
    offered: Callable[[], Sequence[OfferedModel]],
    paces: Callable[[], Mapping[str, Pace]],
) -> Explorer:
    """An explorer of the workspace's deployment. The caller closes it. Raises ChainError, DataFolderError."""
    contracts = workspace.chain
    chain, first = contracts.deployment.chain_id, contracts.deployment.block
    # A local chain that was reset has the same addresses: its first block tells it apart.
    begun = contracts.connection.block(first).hash.hex()
    path = workspace.home.root / "gateway" / f"explorer-{chain}.sqlite"
    archive = ChainArchive(path, f"{chain} {contracts.market.address} {first} {begun}")

    def measured() -> Mapping[str, Measurement]:
        found: dict[str, Measurement] = {}
        for network in networks.values():
            found |= network.directory.measurements()
        return found

    def blocks() -> BlockSource:
        from nexus_chain.workflows.certificates import AuditSources, certificate_blocks

        return certificate_blocks(workspace, AuditSources())

    try:
        clock = ChainClock(contracts.connection)
        clock.head()
        readers = Readers(
            ChainFollower(contracts, archive),
            GameReader(contracts, archive),
            RecordReader(contracts, archive, blocks),
            clock,
        )
        return Explorer(
            archive, readers, ViewContext(archive, read_terms(contracts), offered, measured, paces, clock.now)
        )
    except BaseException:
        archive.close()
        raise
