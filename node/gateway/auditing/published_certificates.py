"""Certificates and what they stand on, for callers who check them: from the chain and this machine's blocks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nexus_chain.content.errors import BlockMissingError, CanonicalFormatError, CidFormatError
from nexus_chain.errors import NexusError
from nexus_chain.workflows.errors import WorkflowError
from nexus_chain.workflows.lineage import Lineage, VersionInLineage
from nexus_chain.workflows.workspace import Workspace
from node.gateway.client_errors import told
from node.gateway.errors import GatewayError, InvalidRequestError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from nexus_chain.content.record_lines import RecordProof

_Found = TypeVar("_Found")

LINEAGE_SECONDS = 5.0
"""How old the list of versions may be: nobody makes the gateway read the chain more often."""
MAX_ARCHIVE_BYTES = 512 << 20
"""Of an archive that is made here; larger ones an auditor makes on a machine of their own."""
QUESTIONS_WAITING = 32
"""Questions that wait for the two threads."""


class PublishedCertificates:
    """Reads are done on two threads of its own: they take none from answers. ``close`` it in the end."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._lineage = workspace, Lineage(workspace)
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="nexus-certificates")
        self._versions: Sequence[VersionInLineage] = ()
        self._read = -LINEAGE_SECONDS
        self._waiting = 0
        self._archiving = asyncio.Lock()

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
            self._versions = await self._ask(self._lineage.read)
            self._read = time.monotonic()
        return self._versions

    async def is_anchored(self, cid: str) -> bool:
        """Whether ``cid`` is a version's certificate by the chain. Raises UnavailableError."""
        found = await self.versions()
        return any(one.certificate is not None and one.certificate.cid == cid for one in found)

    async def document(self, cid: str) -> bytes:
        """The document's own bytes. Raises InvalidRequestError, NotFoundError, UnavailableError."""
        from nexus_chain.workflows.certificates import certificate_bytes

        return await self._ask(lambda: certificate_bytes(self._workspace, cid))

    async def example(self, cid: str, index: int) -> RecordProof:
        """One example with its inclusion proof. Raises InvalidRequestError, NotFoundError, UnavailableError."""
        from nexus_chain.workflows.certificates import example_proof

        return await self._ask(lambda: example_proof(self._workspace, cid, index))

    async def archive(self, cid: str, path: Path) -> None:
        """Write the CAR archive of all that an audit reads, one at a time. Raises as ``document``."""
        from nexus_chain.workflows.certificates import archive_of_certificate

        async with self._archiving:
            await self._ask(lambda: archive_of_certificate(self._workspace, cid, path, MAX_ARCHIVE_BYTES))

    async def close(self) -> None:
        """End the threads."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def _ask(self, work: Callable[[], _Found]) -> _Found:
        if self._waiting >= QUESTIONS_WAITING:
            raise UnavailableError("too many ask for certificates now", advice="Ask again.", retry_after=1.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except NexusError as error:
            raise _said(error) from error
        except OSError as error:
            raise UnavailableError("this machine's blocks cannot be read", advice="Tell its operator.") from error
        finally:
            self._waiting -= 1


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
