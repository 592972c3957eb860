"""Auditing a model's certificate from its CID and the chain."""

from __future__ import annotations

from collections.abc import Callable

from nexus_chain.certificates.audit import AuditReport, AuditStep, audit
from nexus_chain.content.block_store import BlockSource, BlockStore, FirstOf
from nexus_chain.content.kubo import KuboDaemon
from nexus_chain.workflows.workspace import Workspace


def audit_certificate(
    workspace: Workspace, cid: str, ipfs: str | None = None, told: Callable[[AuditStep], None] | None = None
) -> AuditReport:
    """Check the certificate at ``cid`` step by step; ``told`` of every step as it ends.

    ``ipfs``: a Kubo daemon for blocks that are not in the home, by default the settings'. Raises IpfsDaemonError.
    """
    sources: list[BlockSource] = [BlockStore(workspace.home.blocks)]
    if address := ipfs or workspace.settings.ipfs:
        sources.append(KuboDaemon(address))
    return audit(cid, FirstOf(sources), workspace.chain, told)
