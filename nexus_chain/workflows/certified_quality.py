"""The quality figures that a certificate states, from its CID: what a market may show.

The document has to be the one that is anchored, signed by the version's publisher and about this version. Whether its
figures are true is an audit's question (``workflows.certificates``): here nothing is measured again.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from nexus_chain.certificates.certificate import CERTIFICATE_FORMAT, Certificate, SignedCertificate
from nexus_chain.certificates.distillation_certificate import (
    DISTILLATION_FORMAT,
    DistillationCertificate,
    SignedDistillation,
)
from nexus_chain.certificates.errors import ForeignCertificateError
from nexus_chain.chain.certificate_registry import AnchoredCertificate
from nexus_chain.content.block_store import BlockSource, fetch_file
from nexus_chain.errors import NexusError
from nexus_chain.json_text import parse_json
from nexus_chain.versions.manifest import MAX_DOCUMENT_BYTES


@dataclass(frozen=True)
class CertifiedQuality:
    """``format``: of the certificate. ``figures``: by name, numbers and decimal texts as the certificate has them."""

    format: str
    name: str
    figures: dict[str, Any]


def read_quality(
    blocks: BlockSource, anchored: AnchoredCertificate, version: bytes, publisher: str
) -> CertifiedQuality:
    """What the anchored certificate of ``version`` states of its quality.

    Raises BlockError (it cannot be had), CanonicalFormatError, BadSignatureError, ForeignCertificateError.
    """
    data = fetch_file(blocks, anchored.cid, MAX_DOCUMENT_BYTES)
    if sha256(data).digest() != anchored.content_hash:
        raise _foreign("it hashes to another document than the one that is anchored")
    signed = _signed(data)
    certificate = signed.certificate
    if signed.signer() != publisher.lower():
        raise _foreign("its signer is not the version's publisher")
    if certificate.model.model_version.removeprefix("0x") != version.hex():
        raise _foreign("it is about another version")
    figures = _trained(certificate) if isinstance(certificate, Certificate) else _distilled(certificate)
    return CertifiedQuality(certificate.format, certificate.model.name, figures)


def _signed(data: bytes) -> SignedCertificate | SignedDistillation:
    try:
        found = parse_json(data)
        form = found["certificate"]["format"]
    except (ValueError, KeyError, TypeError, NexusError):
        form = None
    if form == CERTIFICATE_FORMAT:
        return SignedCertificate.from_bytes(data)
    if form == DISTILLATION_FORMAT:
        return SignedDistillation.from_bytes(data)
    raise _foreign("it is of no format that this program knows")


def _trained(certificate: Certificate) -> dict[str, Any]:
    metrics = certificate.metrics
    return {
        "perplexity_float32": f"{metrics.perplexity_float32:.4f}",
        "perplexity_integer": f"{metrics.perplexity_integer:.4f}",
        "tokens": metrics.tokens,
        "top1_hits": metrics.hits_integer,
        "top1_hits_float32": metrics.hits_float32,
        "top1_agreements": metrics.agreements,
        "data_source": certificate.data.source,
        "data_licence": certificate.data.licence,
    }


def _distilled(certificate: DistillationCertificate) -> dict[str, Any]:
    evaluation = certificate.evaluation
    before, after = evaluation.before, evaluation.after
    return {
        "metric": evaluation.metric,
        "problems": evaluation.total,
        "accuracy_before": before.accuracy,
        "accuracy": after.accuracy,
        "accuracy_low": after.accuracy_low,
        "accuracy_high": after.accuracy_high,
        "perplexity_before": before.perplexity,
        "perplexity": after.perplexity,
        "verified_examples": certificate.dataset.verified,
        "tier": certificate.dataset.tier,
    }


def _foreign(what: str) -> ForeignCertificateError:
    return ForeignCertificateError(f"the certificate is not to be used: {what}", advice="Audit it: `nexus audit CID`.")
