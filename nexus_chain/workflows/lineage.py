"""Every registered version with its parent and its certificate, read again only where the chain can have changed."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

from nexus_chain.chain.certificate_registry import AnchoredCertificate
from nexus_chain.chain.model_registry import NO_PARENT, ModelVersion
from nexus_chain.chain.rpc_answers import BlockHead
from nexus_chain.content.block_store import BlockStore
from nexus_chain.errors import NexusError
from nexus_chain.workflows.workspace import Workspace


@dataclass(frozen=True)
class VersionInLineage:
    """``name``: of its manifest, empty where this machine has none. ``certificate``: None where none is anchored."""

    version: bytes
    name: str
    record: ModelVersion
    publisher: str | None
    certificate: AnchoredCertificate | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; wei as a decimal string, the parent None where it came from none."""
        record, anchor = self.record, self.certificate
        return {
            "version": "0x" + self.version.hex(),
            "name": self.name,
            "semver": str(record.semver),
            "parent": None if record.parent == NO_PARENT else "0x" + record.parent.hex(),
            "publisher": self.publisher,
            "layers": record.layers,
            "weights_root": "0x" + record.weights_root.hex(),
            "price_per_token_wei": str(record.price_per_token),
            "certificate": None if anchor is None else {
                "cid": anchor.cid, "sha256": "0x" + anchor.content_hash.hex(), "anchored_at": anchor.anchored_at,
            },
        }  # fmt: skip


class Lineage:
    """The versions of the workspace's chain. Any thread may ask.

    A version never changes, and a certificate is anchored for ever, unless its block is replaced: what is known of both
    is asked for again only then.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._known: dict[bytes, VersionInLineage] = {}
        self._head: BlockHead | None = None

    def read(self) -> list[VersionInLineage]:
        """Every registered version, oldest first. Raises the chain package's errors."""
        chain = self._workspace.chain
        with self._lock:
            if self._head is not None and not self._stands(self._head):
                self._head, self._known = None, {}
            head = chain.connection.block()
            found = [self._read(version) for version in list(chain.models.versions())]
            # INVARIANT: every anchor that is kept is in a block before `_head`: it stands as long as that does.
            if self._stands(head):
                self._known = {one.version: _up_to(head, one) for one in found}
                self._head = head
            return found

    def _read(self, version: bytes) -> VersionInLineage:
        known = self._known.get(version) or self._first_seen(version)
        if known.certificate is None:
            known = replace(known, certificate=self._workspace.chain.certificates.certificate(version))
        return known

    def _stands(self, head: BlockHead) -> bool:
        found = self._workspace.chain.connection.find_block(head.number)
        return found is not None and found.hash == head.hash

    def _first_seen(self, version: bytes) -> VersionInLineage:
        models = self._workspace.chain.models
        record = models.version(version)
        return VersionInLineage(version, self._name(record), record, models.publisher_of(version), None)

    def _name(self, record: ModelVersion) -> str:
        """By this machine's own blocks: a list is no reason to fetch anything."""
        from nexus_chain.versions.manifest import Manifest

        try:
            return Manifest.fetch(BlockStore(self._workspace.home.blocks), record.manifest_cid).name
        except (NexusError, OSError):
            return ""


def _up_to(head: BlockHead, found: VersionInLineage) -> VersionInLineage:
    """``found``, without an anchor that may be in a later block than ``head``: times of blocks never fall."""
    anchor = found.certificate
    return found if anchor is None or anchor.anchored_at < head.timestamp else replace(found, certificate=None)
