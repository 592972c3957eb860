"""Certificates and what they stand on, for callers who check them: from the chain and this machine's blocks."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nexus_chain.content.cid import Cid
from nexus_chain.content.errors import BlockMissingError, CanonicalFormatError, CidFormatError
from nexus_chain.errors import NexusError
from nexus_chain.workflows.errors import WorkflowError
from nexus_chain.workflows.lineage import Lineage, VersionInLineage
from nexus_chain.workflows.workspace import Workspace
from node.gateway.auditing.kept_archives import KeptArchive, KeptArchives
from node.gateway.client_errors import told
from node.gateway.errors import GatewayError, InvalidRequestError, NotFoundError, UnavailableError
from node.gateway.shared_places import OWN_MACHINE, SharedPlaces
from node.gateway.single_flight import SingleFlight

if TYPE_CHECKING:
    from nexus_chain.content.record_lines import RecordProof

_Found = TypeVar("_Found")

LINEAGE_SECONDS = 5.0
"""How old the list of versions may be: nobody makes the gateway read the chain more often."""
MAX_ARCHIVE_BYTES = 512 << 20
"""Of an archive that is made here; larger ones an auditor makes on a machine of their own."""
ARCHIVE_SECONDS = 300.0
"""How long the blocks of one may take to come: another waits for it."""
DOCUMENT_SECONDS = 30.0
EXAMPLE_SECONDS = 120.0
"""How long the blocks of a document, and those of a dataset, may take to come: others wait for the threads."""
QUESTIONS_WAITING = 32
"""Documents and examples that wait for the two threads, or are read; of one address or account, a quarter."""
ARCHIVES_WAITING = 8
"""Archives that are made or wait; of one account, one."""
MISSING_SECONDS = 60.0
"""How long a document that could not be had is not looked for again: IPFS is slow to say that nobody has it."""
_MOST_MISSING = 256


class PublishedCertificates:
    """For one event loop. The chain, documents and archives are read on threads of their own: none waits for another,
    and answers wait for none. ``close`` it in the end.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._lineage = workspace, Lineage(workspace)
        self._chain = SingleFlight("nexus-lineage", 1, SharedPlaces(1, 1, "lists of versions", 1.0))
        questions = SharedPlaces(QUESTIONS_WAITING, QUESTIONS_WAITING // 4, "questions about certificates", 2.0)
        self._documents = SingleFlight("nexus-certificates", 2, questions)
        archives = SharedPlaces(ARCHIVES_WAITING, 1, "archives that are being made", 10.0, "your account")
        self._archives = SingleFlight("nexus-archives", 1, archives)
        self._kept = KeptArchives(workspace.home.root / "gateway" / "archives", self._write_archive, MAX_ARCHIVE_BYTES)
        self._versions: Sequence[VersionInLineage] = ()
        self._written: tuple[Sequence[VersionInLineage], bytes] | None = None
        self._read = -LINEAGE_SECONDS
        self._missing: dict[str, tuple[float, BlockMissingError]] = {}

    @property
    def registries(self) -> dict[str, str | int]:
        """Where a reader finds the anchors without us: chain id and addresses."""
        chain = self._workspace.chain
        return {
            "chain_id": chain.domain.chain_id,
            "certificate_registry": chain.certificates.address,
            "model_registry": chain.models.address,
        }

    async def versions(self) -> Sequence[VersionInLineage]:
        """Every registered version, oldest first. Raises UnavailableError."""
        if time.monotonic() - self._read >= LINEAGE_SECONDS:
            begun = time.monotonic()
            self._versions = await _told(self._chain, "versions", OWN_MACHINE, self._lineage.read)
            self._read = begun
        return self._versions

    async def listing(self, *, runs_audits: bool) -> bytes:
        """All that is told of the versions, as JSON: written once for all who ask. Raises UnavailableError."""
        found = await self.versions()
        if self._written is None or self._written[0] is not found:
            listed = [one.to_dict() for one in found]
            told = {**self.registries, "audits": runs_audits, "versions": listed}
            self._written = found, json.dumps(told, separators=(",", ":")).encode()
        return self._written[1]

    async def is_anchored(self, cid: str) -> bool:
        """Whether ``cid`` is a version's certificate by the chain. Raises UnavailableError."""
        found = await self.versions()
        return any(one.certificate is not None and one.certificate.cid == cid for one in found)

    async def document(self, cid: str, holder: str = OWN_MACHINE) -> bytes:
        """The document's own bytes. ``holder``: whose question it is, an address or an account.

        Raises InvalidRequestError, NotFoundError, UnavailableError.
        """
        since, missing = self._missing.get(cid, (-MISSING_SECONDS, None))
        if missing is not None and time.monotonic() - since < MISSING_SECONDS:
            raise _said(missing)
        return await _told(self._documents, cid, holder, partial(self._document, cid))

    async def example(self, cid: str, index: int, account: str = OWN_MACHINE) -> RecordProof:
        """One example with its inclusion proof. Raises InvalidRequestError, NotFoundError, UnavailableError."""
        from nexus_chain.workflows.certificates import example_proof

        work = partial(example_proof, self._workspace, cid, index, EXAMPLE_SECONDS)
        return await _told(self._documents, (cid, index), account, work)

    async def archive(self, cid: str, account: str) -> KeptArchive:
        """The CAR archive of all that an audit reads; ``let_go`` of it. Raises as ``document``."""
        try:
            name = str(Cid.parse(cid))
        except CidFormatError as error:
            raise _said(error) from error
        # Made for all who want it; each holds it by themselves, as it may be removed in between.
        while (held := self._kept.held(name)) is None:
            await _told(self._archives, name, account, partial(self._kept.make, name))
        return held

    def let_go(self, archive: KeptArchive) -> None:
        """Nobody reads the archive for whoever held it."""
        self._kept.let_go(archive)

    async def close(self) -> None:
        """End the threads, and remove the archives."""
        for threads in (self._chain, self._documents, self._archives):
            await asyncio.to_thread(threads.close)
        await asyncio.to_thread(self._kept.close)

    def _document(self, cid: str) -> bytes:
        from nexus_chain.workflows.certificates import certificate_bytes

        try:
            return certificate_bytes(self._workspace, cid, seconds=DOCUMENT_SECONDS)
        except BlockMissingError as error:
            while len(self._missing) >= _MOST_MISSING:
                self._missing.pop(next(iter(self._missing)), None)
            self._missing[cid] = time.monotonic(), error
            raise

    def _write_archive(self, cid: str, path: Path) -> None:
        from nexus_chain.workflows.certificates import archive_of_certificate

        archive_of_certificate(self._workspace, cid, path, MAX_ARCHIVE_BYTES, ARCHIVE_SECONDS)


async def _told(threads: SingleFlight, key: Hashable, holder: str, work: Callable[[], _Found]) -> _Found:
    try:
        return await threads.made(key, holder, work)
    except GatewayError:
        raise
    except NexusError as error:
        raise _said(error) from error
    except OSError as error:
        raise UnavailableError("this machine's blocks cannot be read", advice="Tell its operator.") from error


def _said(error: NexusError) -> GatewayError:
    """As a caller is told, without the operator's paths."""
    if isinstance(error, BlockMissingError):
        return NotFoundError(
            "this gateway's machine has not all blocks of that document, and knows no place to fetch them from",
            advice="Ask its publisher for an archive, and run `nexus audit CID --car FILE`.",
        )
    if isinstance(error, CidFormatError | CanonicalFormatError | WorkflowError):
        return InvalidRequestError(error.message, advice=f"{error.advice.rstrip('.')}.")
    return told(error)
