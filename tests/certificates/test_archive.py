"""Archives: what an audit reads, whole; an audit from the archive alone says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_chain.certificates.archive import export_certificate
from nexus_chain.certificates.audit import AuditReport, audit
from nexus_chain.certificates.audit_evidence import AuditRequest
from nexus_chain.content.car import CarFile
from nexus_chain.content.cid import Cid
from nexus_chain.content.errors import BlockMissingError
from tests.support.tiny_distillation import Distilled
from tests.support.tiny_publication import Published


def from_archive(subject: Published | Distilled, path: Path) -> AuditReport:
    return audit(subject.cid, CarFile(path), subject.chain, request=AuditRequest(sample=1, seed="s"))


@pytest.mark.parametrize("which", ["published", "distilled"])
def test_an_archive_is_all_that_an_audit_needs(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    subject: Published | Distilled = request.getfixturevalue(which)
    path = tmp_path / "version.car"
    assert export_certificate(subject.cid, subject.store, subject.chain, path) == path.stat().st_size
    assert CarFile(path).roots[0] == Cid.parse(subject.cid)
    report = from_archive(subject, path)
    assert report.passed, report.failed_step
    again = tmp_path / "again.car"
    export_certificate(subject.cid, CarFile(path), subject.chain, again)
    assert again.read_bytes() == path.read_bytes()


def test_a_parents_own_certificate_can_be_audited_from_it(
    distilled: Distilled, published: Published, tmp_path: Path
) -> None:
    path = tmp_path / "version.car"
    export_certificate(distilled.cid, distilled.store, distilled.chain, path)
    assert audit(published.cid, CarFile(path), distilled.chain).passed


def test_a_damaged_archive_fails_the_step_that_reads_it(distilled: Distilled, tmp_path: Path) -> None:
    path = tmp_path / "version.car"
    export_certificate(distilled.cid, distilled.store, distilled.chain, path)
    path.write_bytes(path.read_bytes().replace(b'"source":"oracle"', b'"source":"0racle"', 1))
    failed = from_archive(distilled, path).failed_step
    assert failed is not None
    assert (failed.number, "hash to" in failed.detail) == (10, True), failed


def test_what_cannot_be_read_leaves_no_archive(distilled: Distilled, tmp_path: Path) -> None:
    with pytest.raises(BlockMissingError):
        export_certificate(str(Cid.of(b"nowhere")), distilled.store, distilled.chain, tmp_path / "version.car")
    assert list(tmp_path.iterdir()) == []
