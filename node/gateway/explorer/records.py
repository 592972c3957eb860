"""What the chain says once and for ever of new versions, and what their certificates state."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from nexus_chain.chain.certificate_registry import AnchoredCertificate
from nexus_chain.chain.contracts import Contracts
from nexus_chain.content.block_store import BlockSource
from nexus_chain.errors import NexusError
from node.gateway.explorer.archive import ChainArchive
from node.gateway.explorer.chain_events import CERTIFICATES, MODELS, KeptEvent
from node.gateway.explorer.model_view import QUALITY_NOTE, VERSION_NOTE

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 600.0
"""How long a certificate that could not be had is left alone: who asks IPFS waits for it."""


class RecordReader:
    """Keeps the notes of versions and of their certificates' figures. ``blocks``: where certificates are looked for."""

    def __init__(
        self,
        contracts: Contracts,
        archive: ChainArchive,
        blocks: Callable[[], BlockSource],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models, self._archive, self._blocks, self._clock = contracts.models, archive, blocks, clock
        self._asked: dict[str, float] = {}

    def read_versions(self) -> None:
        """Read the records of versions that have none. Raises ChainError."""
        for event in self._archive.events(contract=MODELS, name="Published"):
            if self._archive.noted(VERSION_NOTE, str(event.version)) is None:
                self._archive.note(VERSION_NOTE, str(event.version), event.block, self._record(event))

    def read_certificates(self) -> bool:
        """Read the figures of certificates that have none; whether there are new ones."""
        return bool([event for event in self._waiting() if self._read_certificate(event)])

    def _waiting(self) -> Iterable[KeptEvent]:
        for event in self._archive.events(contract=CERTIFICATES, name="Anchored"):
            known = self._archive.noted(QUALITY_NOTE, str(event.version))
            if known is None or known["problem"] is not None:
                asked = self._asked.get(str(event.version))
                if asked is None or self._clock() - asked >= _AGAIN_SECONDS:
                    yield event

    def _read_certificate(self, event: KeptEvent) -> bool:
        from nexus_chain.workflows.certified_quality import read_quality  # slow to import; few versions have one

        version = str(event.version)
        self._asked[version] = self._clock()
        anchored = AnchoredCertificate(
            str(event.arguments["cid"]), bytes.fromhex(str(event.arguments["contentHash"])[2:]), event.time
        )
        published = self._archive.latest(contract=MODELS, name="Published", version=version)
        publisher = "" if published is None else str(published.arguments["publisher"])
        document: dict[str, Any] = {"format": None, "name": None, "figures": {}, "problem": None}
        try:
            found = read_quality(self._blocks(), anchored, bytes.fromhex(version[2:]), publisher)
            document |= {"format": found.format, "name": found.name, "figures": found.figures}
        except NexusError as error:
            log.info("The certificate of %s cannot be read: %s", version, error)
            document["problem"] = error.message
        changed = document != self._archive.noted(QUALITY_NOTE, version)
        self._archive.note(QUALITY_NOTE, version, event.block, document)
        return changed

    def _record(self, event: KeptEvent) -> dict[str, Any]:
        record = self._models.version(bytes.fromhex(str(event.version)[2:]))
        return {
            "semver": str(record.semver),
            "layers": record.layers,
            "price_per_token_wei": str(record.price_per_token),
            "weights_root": "0x" + record.weights_root.hex(),
            "program_root": "0x" + record.program_root.hex(),
            "tokenizer_sha256": "0x" + record.tokenizer_hash.hex(),
            "manifest_cid": record.manifest_cid,
        }
