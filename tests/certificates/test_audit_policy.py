"""Policies: each says what it demands, they compose, and an audit ends with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from nexus_chain.certificates.audit import DISTILLATION_STEPS, STEPS, audit
from nexus_chain.certificates.audit_evidence import AuditRequest
from nexus_chain.certificates.audit_policy import (
    AllOf,
    AnyOf,
    MaxAge,
    Policy,
    RequireAccuracy,
    RequireJudged,
    RequireRetrained,
    RequireTier,
)
from nexus_chain.certificates.distillation_certificate import TIERS, tier_of
from nexus_chain.certificates.errors import AuditPolicyError
from tests.support.tiny_distillation import Distilled, ToyRetrainer
from tests.support.tiny_publication import Published

ANCHORED = 1_000  # seconds, as the fixture's chain says
MET: tuple[Policy, ...] = (
    RequireTier("unranked"),
    RequireJudged(Decimal("0.8")),
    RequireAccuracy(Decimal("0.5")),
    MaxAge(60, ANCHORED + 60),
)
UNMET: tuple[tuple[Policy, str], ...] = (
    (RequireTier("bronze"), "the tier is unranked, below bronze"),
    (RequireJudged(Decimal("0.9")), "of the examples are proved, fewer than 0.9"),
    (RequireAccuracy(Decimal("0.99")), "may be as low as"),
    (RequireRetrained(), "the step 're-training' was not checked: not asked for"),
    (MaxAge(60, ANCHORED + 61), "anchored 61 s ago, more than 60 s"),
)


def audited(distilled: Distilled, policy: Policy, retrainer: ToyRetrainer | None = None) -> str:
    """The last step's detail, which starts with whether it passed."""
    report = distilled.audit(AuditRequest(sample=1, seed="s", retrainer=retrainer, policy=policy))
    last = report.steps[-1]
    assert (last.number, last.title) == (len(DISTILLATION_STEPS) + 1, "auditor's policy"), report.failed_step
    assert report.passed is last.passed
    return f"{last.passed} {last.detail}"


def test_what_is_met_passes_together(distilled: Distilled) -> None:
    found = audited(distilled, AllOf(*MET, RequireRetrained()), ToyRetrainer())
    assert found.startswith("True tier unranked; 0.8571 of the examples are proved; accuracy at least ")


def test_each_says_why_it_is_not_met(distilled: Distilled) -> None:
    """One audit for all: ``AnyOf`` of policies that are not met lists every reason."""
    found = audited(distilled, AnyOf(*(policy for policy, _ in UNMET)))
    assert found.startswith("False none of 5 policies is met")
    for _, reason in UNMET:
        assert reason in found


def test_they_nest(distilled: Distilled) -> None:
    (unmet, reason), *_ = UNMET
    assert audited(distilled, AnyOf(unmet, AllOf(*MET))).startswith("True")
    assert audited(distilled, AllOf(*MET, AnyOf(unmet))).startswith(f"False none of 1 policies is met ({reason}")
    assert audited(distilled, AllOf()) == "True "


def test_a_corpus_certificate_has_no_tier(published: Published) -> None:
    for policy, passed in ((RequireTier("unranked"), False), (AnyOf(RequireTier("gold"), MaxAge(1e9, 5.0)), True)):
        report = audit(published.cid, published.store, published.chain, request=AuditRequest(policy=policy))
        assert (report.passed, len(report.steps)) == (passed, len(STEPS) + 1)


def test_a_policy_is_not_asked_about_what_does_not_hold(distilled: Distilled) -> None:
    lying = distilled.certified(replace(distilled.certificate, cost_usd="0"))
    report = lying.audit(AuditRequest(sample=1, policy=AllOf()))
    assert report.failed_step is not None
    assert report.failed_step.number == 14


@pytest.mark.parametrize("make", [lambda: RequireTier("diamond"), lambda: RequireTier("")])
def test_a_tier_that_is_none_is_refused(make: Callable[[], Policy]) -> None:
    with pytest.raises(AuditPolicyError, match="there is no tier"):
        make()


@pytest.mark.parametrize(
    ("verified", "tier"),
    [
        (0, "unranked"),
        (999, "unranked"),
        (1_000, "bronze"),
        (9_999, "bronze"),
        (10_000, "silver"),
        (100_000, "gold"),
        (999_999, "gold"),
        (1_000_000, "platinum"),
    ],
)
def test_tiers(verified: int, tier: str) -> None:
    assert tier_of(verified) == tier
    assert tier in TIERS
