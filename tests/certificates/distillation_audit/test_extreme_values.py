"""Figures, files and texts that nobody expects fail an audit, and do not crash it."""

from __future__ import annotations

from dataclasses import replace
from decimal import InvalidOperation
from typing import Any

import pytest

from nexus_chain.certificates import distillation_judging, distillation_learning
from nexus_chain.certificates.audit import audit
from nexus_chain.certificates.audit_evidence import AuditRequest
from nexus_chain.certificates.distillation_publication import (
    ARTEFACTS_FILE,
    VERDICTS_FILE,
)
from nexus_chain.certificates.distillation_records import (
    ArtefactRecord,
    VerdictRecord,
    artefact_records,
)
from nexus_chain.content.errors import CanonicalFormatError
from nexus_chain.distillation.judge.verdict import Artefact
from nexus_chain.versions.manifest import FileReference
from tests.support.forged_distillation import LITTLE, Forge, assert_fails_at
from tests.support.tiny_distillation import (
    Distilled,
    obligation,
)

LARGEST = 2**53 - 1


@pytest.mark.parametrize(
    ("section", "changes", "step"),
    [
        ("dataset", {"examples": LARGEST, "verified": LARGEST, "tier": "platinum"}, 10),
        ("judge", {"artefact_count": LARGEST, "vacuous": LARGEST}, 11),
        ("evaluation", {"total": LARGEST}, 16),
        ("evaluation", {"max_tokens": LARGEST}, 17),
    ],
)
def test_extreme_figures_fail_and_do_not_crash(
    distilled: Distilled, section: str, changes: dict[str, Any], step: int
) -> None:
    certificate = distilled.certificate
    changed = replace(certificate, **{section: replace(getattr(certificate, section), **changes)})
    assert_fails_at(distilled.certified(changed).audit(LITTLE), step)


def test_extreme_losses_fail_and_do_not_crash(distilled: Distilled) -> None:
    evaluation = distilled.certificate.evaluation
    for score in (
        replace(evaluation.after, losses=(LARGEST,) * evaluation.total),
        replace(evaluation.after, hit_bits="0x" + "ff" * 10_000),
        replace(evaluation.after, answer_tokens=LARGEST),
        replace(evaluation.after, losses=()),
    ):
        changed = replace(distilled.certificate, evaluation=replace(evaluation, after=score))
        assert_fails_at(distilled.certified(changed).audit(LITTLE), 16)


def test_files_that_claim_to_be_large(distilled: Distilled) -> None:
    dataset = distilled.certificate.dataset
    changed = replace(dataset, file=replace(dataset.file, size=LARGEST))
    report = distilled.certified(replace(distilled.certificate, dataset=changed)).audit(LITTLE)
    assert_fails_at(report, 10, "larger than")


def test_file_that_is_too_large_for_its_records(distilled: Distilled) -> None:
    """Before anything of it is fetched or parsed."""
    dataset = distilled.certificate.dataset
    changed = replace(dataset, file=replace(dataset.file, size=dataset.examples * 256 * 1024 + 1))
    report = distilled.certified(replace(distilled.certificate, dataset=changed)).audit(LITTLE)
    assert_fails_at(report, 10, f"larger than the {dataset.examples * 256 * 1024} bytes")
    many = FileReference.store(b"\n" * (dataset.examples + 1), distilled.store)
    report = distilled.certified(replace(distilled.certificate, dataset=replace(dataset, file=many))).audit(LITTLE)
    assert_fails_at(report, 10, f"has {dataset.examples + 1} records")


@pytest.mark.parametrize(
    "raised",
    [MemoryError(), OverflowError("too large"), TypeError("no"), InvalidOperation(), RecursionError("deep")],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_library_raises_is_a_failed_step(
    distilled: Distilled, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    def failing(*_: object) -> int:
        raise raised

    monkeypatch.setattr(distillation_learning, "require_merged", failing)
    assert_fails_at(distilled.audit(LITTLE), 19, f"it cannot be checked: {type(raised).__name__}")


def test_text_that_is_no_unicode_fails_and_does_not_crash(distilled: Distilled) -> None:
    plain = distilled.signed.to_bytes().replace(b'"local"', b'"\\ud800"', 1)
    cid = distilled.store.add_bytes(plain)
    assert_fails_at(audit(str(cid), distilled.store, distilled.chain), 1)


def test_sample_bounds_the_artefacts_too(forge: Forge) -> None:
    """One verdict may name a thousand artefacts: a sample of one does not mean to prove them all."""
    verdicts = forge.records(VERDICTS_FILE, VerdictRecord)
    at = next(index for index, verdict in enumerate(verdicts) if verdict.proved)
    more = [Artefact("equal", obligation(f"(+ x {number})", f"(+ {number} x)")) for number in range(2, 30)]
    only = replace(verdicts[at], artefacts=tuple(f"0x{artefact.sha256}" for artefact in more))
    forge.write(VERDICTS_FILE, [only if one == verdicts[at] else one for one in verdicts])
    kept = {digest for one in forge.records(VERDICTS_FILE, VerdictRecord) for digest in one.artefacts}
    texts = [Artefact(one.name, one.text) for one in forge.records(ARTEFACTS_FILE, ArtefactRecord)]
    named = [one for one in (*texts, *more) if "0x" + one.sha256 in kept]
    forge.write(ARTEFACTS_FILE, artefact_records(named))
    forged = forge.certified()
    counts = set()
    for seed in map(str, range(200)):  # until the verdict is drawn
        report = forged.audit(AuditRequest(sample=1, seed=seed))
        assert report.passed, report.failed_step
        counts.add(int(report.steps[12].detail.split()[0]))
        if max(counts) > 1:
            break
    assert max(counts) == distillation_judging.ARTEFACTS_PER_PROOF


def test_costs_add_up_to_the_last_digit(distilled: Distilled) -> None:
    """28 digits, as Decimal has by default, would round the small one away."""
    teachers = distilled.certificate.teachers
    priced = [replace(teachers[0], cost_usd="999999999999.000000000001"), replace(teachers[1], cost_usd="0.5")]
    for certified, fails in (("999999999999.500000000001", False), ("999999999999.5", True)):
        changed = replace(distilled.certificate, teachers=tuple(priced), cost_usd=certified)
        report = distilled.certified(changed).audit(LITTLE)
        assert report.passed != fails, report.failed_step
    for refused in ("1000000000000", "0.0000000000001", "1" * 40):
        with pytest.raises(CanonicalFormatError, match="12 digits"):
            replace(teachers[0], cost_usd=refused)
