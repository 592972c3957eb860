"""CertificateRegistry: one certificate per model version, anchored by its publisher for ever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nexus_chain.chain.bound import BoundContract
from nexus_chain.chain.transactions import Mined


@dataclass(frozen=True)
class AnchoredCertificate:
    """Where a version's certificate is, and what it hashes to."""

    cid: str  # CIDv1 of the canonical JSON
    content_hash: bytes  # SHA-256 of the canonical JSON
    anchored_at: int  # timestamp


class CertificateRegistry(BoundContract):
    """Typed access; methods are the contract's, in snake case."""

    CONTRACT: ClassVar[str] = "CertificateRegistry"

    def anchor(self, model_version: bytes, cid: str, content_hash: bytes) -> Mined:
        """Anchor a certificate. Only the version's publisher, only once."""
        return self._send("anchor", model_version, cid, content_hash)

    def certificate(self, model_version: bytes) -> AnchoredCertificate | None:
        """The certificate of a version, or None."""
        found = AnchoredCertificate(*self._read("certificate", model_version))
        return found if found.anchored_at else None
