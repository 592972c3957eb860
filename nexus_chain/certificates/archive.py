"""A certificate with every file that an audit of it reads, in one CAR archive: an audit that needs no daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nexus_chain.certificates.audit_steps import is_distillation
from nexus_chain.certificates.certificate import Certificate, SignedCertificate
from nexus_chain.certificates.chain_reader import ChainReader
from nexus_chain.certificates.distillation_certificate import DistillationCertificate, SignedDistillation
from nexus_chain.content.block_store import BlockSource, fetch_file
from nexus_chain.content.car import blocks_below, write_car
from nexus_chain.content.cid import Cid
from nexus_chain.versions.manifest import MAX_DOCUMENT_BYTES, Manifest


def export_certificate(cid: str, source: BlockSource, chain: ChainReader, path: Path) -> int:
    """Write the archive at once or not at all; returns its number of bytes. Its first root is the certificate.

    The files of a parent belong to it, and so do those that the parent's certificate names. Raises BlockError,
    CanonicalFormatError, OSError and the chain's errors.
    """
    roots = [Cid.parse(one) for one in dict.fromkeys(_needed(cid, source, chain))]
    write_car(path, roots, blocks_below(source, roots))
    return path.stat().st_size


def _needed(cid: str, source: BlockSource, chain: ChainReader) -> Iterator[str]:
    yield cid
    document = fetch_file(source, cid, MAX_DOCUMENT_BYTES)
    kind = SignedDistillation if is_distillation(document) else SignedCertificate
    certificate = kind.from_bytes(document).certificate
    yield from _files(certificate.model.manifest, source)
    yield from _corpus(certificate) if isinstance(certificate, Certificate) else _distillation(certificate)
    if isinstance(certificate, DistillationCertificate):
        parent = certificate.parent
        version = chain.models.version(bytes.fromhex(parent.model_version[2:]))
        yield from _files(version.manifest_cid, source)
        if parent.certificate is not None:
            yield from _needed(parent.certificate, source, chain)


def _corpus(certificate: Certificate) -> Iterator[str]:
    yield certificate.data.listing
    yield certificate.metrics.sample


def _distillation(certificate: DistillationCertificate) -> Iterator[str]:
    judge, training = certificate.judge, certificate.training
    files = (certificate.dataset.file, judge.verdicts, judge.artefacts, certificate.evaluation.problems)
    yield from (file.cid for file in (*files, training.adapter, training.adapter_config))


def _files(manifest: str, source: BlockSource) -> Iterator[str]:
    yield manifest
    yield from (file.cid for file in Manifest.fetch(source, manifest).files.values())
