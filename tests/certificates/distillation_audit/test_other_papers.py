"""Signatures, anchors, parents and trainings that are not those of the certificate."""

from __future__ import annotations

import json
from dataclasses import replace

from nexus_chain.certificates.audit import DISTILLATION_STEPS, audit
from nexus_chain.certificates.audit_evidence import AuditRequest
from nexus_chain.chain.certificate_registry import AnchoredCertificate
from nexus_chain.content.canonical import canonical_bytes
from tests.support.forged_distillation import LITTLE, STRANGER, assert_fails_at
from tests.support.tiny_distillation import (
    Distilled,
    ToyRetrainer,
    certified_parent,
)
from tests.support.tiny_publication import Published, Registries


def test_signed_by_somebody_else(distilled: Distilled) -> None:
    assert_fails_at(distilled.anchored(distilled.certificate.sign(STRANGER)).audit(), 3, "signed by")


def test_not_anchored(distilled: Distilled) -> None:
    chain = Registries({}, distilled.chain.published)
    assert_fails_at(replace(distilled, chain=chain).audit(), 4, "no certificate is anchored")


def test_document_of_another_schema(distilled: Distilled) -> None:
    plain = json.loads(distilled.signed.to_bytes())
    del plain["certificate"]["training"]["seeds"]
    cid = distilled.store.add_bytes(canonical_bytes(plain))
    report = audit(str(cid), distilled.store, distilled.chain)
    assert_fails_at(report, 2, "lacks the field ['seeds']")
    assert report.steps[0].total == len(DISTILLATION_STEPS)


def test_parent_without_a_certificate(distilled: Distilled, published: Published) -> None:
    """A parent that was published without one: the certificate must not claim another."""
    anchors = {distilled.version_id: distilled.chain.anchors[distilled.version_id]}
    orphan = replace(distilled, chain=Registries(anchors, distilled.chain.published))
    assert_fails_at(orphan.audit(), 6, "the parent's certificate is None")
    honest = replace(certified_parent(published), certificate=None)
    assert orphan.certified(replace(distilled.certificate, parent=honest)).audit(AuditRequest(sample=2)).passed
    assert_fails_at(distilled.certified(replace(distilled.certificate, parent=honest)).audit(), 6, "certificate is")


def test_parent_that_got_its_certificate_later(distilled: Distilled, published: Published) -> None:
    """Else anchoring one for the parent would break every child's certificate."""
    honest = replace(certified_parent(published), certificate=None)
    child = distilled.certified(replace(distilled.certificate, parent=honest))
    first, mine = (child.chain.anchors[version] for version in (published.version_id, child.version_id))
    for later, passed in ((mine.anchored_at + 1, True), (mine.anchored_at - 1, False)):
        anchors = {**child.chain.anchors, published.version_id: replace(first, anchored_at=later)}
        report = replace(child, chain=Registries(anchors, child.chain.published)).audit(AuditRequest(sample=2))
        assert report.passed == passed, report.failed_step


def test_version_that_has_no_parent(distilled: Distilled) -> None:
    owner, version = distilled.chain.published[distilled.version_id]
    published = {**distilled.chain.published, distilled.version_id: (owner, replace(version, parent=bytes(32)))}
    model = replace(distilled.certificate.model, parent="0x" + "00" * 32)
    rootless = replace(distilled, chain=Registries(distilled.chain.anchors, published))
    assert_fails_at(rootless.certified(replace(distilled.certificate, model=model)).audit(), 6, "has no parent")


def test_training_again_gives_another_adapter(distilled: Distilled) -> None:
    training = distilled.certificate.training
    other = replace(training, configuration={**training.configuration, "num_epochs": "4"})
    changed = distilled.certified(replace(distilled.certificate, training=other))
    assert changed.audit(replace(LITTLE, retrainer=None)).passed, "nobody sees it without training again"
    assert_fails_at(changed.audit(LITTLE), 20, "adapter that training gives here")


def test_not_re_trainable_here(distilled: Distilled) -> None:
    report = distilled.audit(replace(LITTLE, retrainer=ToyRetrainer("another-class")))
    last = report.steps[-1]
    assert (report.passed, last.checked) == (True, False)
    assert last.detail.startswith("not re-trainable here: it was trained on test-class")
    nowhere = replace(distilled.certificate.training, cpu_class="x86-64-unclassified")
    unclassified = distilled.certified(replace(distilled.certificate, training=nowhere))
    report = unclassified.audit(replace(LITTLE, retrainer=ToyRetrainer("x86-64-unclassified")))
    assert (report.passed, report.steps[-1].checked) == (True, False)
    assert "promises no two machines the same adapter" in report.steps[-1].detail
    training = replace(distilled.certificate.training, libraries={"torch": "1.0"})
    report = distilled.certified(replace(distilled.certificate, training=training)).audit(LITTLE)
    assert "not re-trainable here: it was trained with torch 1.0" in report.steps[-1].detail


def test_anchor_of_another_document(distilled: Distilled) -> None:
    first = distilled.chain.anchors[distilled.version_id]
    anchor = AnchoredCertificate(first.cid, bytes(32), 1)
    chain = Registries({**distilled.chain.anchors, distilled.version_id: anchor}, distilled.chain.published)
    assert_fails_at(replace(distilled, chain=chain).audit(), 4, "the anchored hash is")
