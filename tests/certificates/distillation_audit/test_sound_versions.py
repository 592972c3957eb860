"""A sound version passes its audit, and so does its parent."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from nexus_chain.certificates.audit import DISTILLATION_STEPS, audit
from nexus_chain.certificates.audit_evidence import AuditRequest
from nexus_chain.distillation.judge.solvers import Solvers
from tests.support.forged_distillation import EVERYTHING
from tests.support.tiny_distillation import (
    LIMITS,
    Distilled,
    ToyJudge,
    ToyRetrainer,
)
from tests.support.tiny_publication import Published

ROOT = Path(__file__).parents[3]


def test_a_distilled_version_holds_and_its_parent_too(distilled: Distilled, published: Published) -> None:
    report = distilled.audit(EVERYTHING)
    assert report.passed, report.failed_step
    assert [(step.number, step.title) for step in report.steps] == [
        (number, title) for number, (title, _) in enumerate(DISTILLATION_STEPS, start=1)
    ]
    assert json.loads(json.dumps(report.to_dict()))["seed"] == "s"
    assert [step.title for step in report.steps if not step.checked] == ["re-training"]
    linked = distilled.certificate.parent.certificate
    assert linked == published.cid
    assert audit(linked, distilled.store, distilled.chain).passed, "today's certificate stays what it was"


def test_steps_are_tagged_with_their_numbers_in_the_code() -> None:
    for number, (_, check) in enumerate(DISTILLATION_STEPS, start=1):
        assert (check.__doc__ or "").startswith(f"Step {number}: ")


def test_trained_and_judged_again(distilled: Distilled) -> None:
    with Solvers(LIMITS) as solvers:
        report = distilled.audit(replace(EVERYTHING, judging=ToyJudge(solvers), retrainer=ToyRetrainer()))
    assert report.passed, report.failed_step
    assert all(step.checked for step in report.steps)
    assert "12 claims judged again" in report.steps[12].detail


def test_a_sample_is_drawn_by_the_auditor_and_can_be_repeated(distilled: Distilled) -> None:
    first, again, other = (distilled.audit(AuditRequest(sample=2, seed=seed)) for seed in ("a", "a", "b"))
    assert first.passed
    assert first.steps == again.steps
    assert first.to_dict() != other.to_dict(), "the seed is part of the report"
    assert AuditRequest().seed != AuditRequest().seed
