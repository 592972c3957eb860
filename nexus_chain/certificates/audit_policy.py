"""What an auditor demands of a certificate that holds: policies, which compose.

    policy = AllOf(RequireTier("bronze"), MaxAge(90 * 86_400, now), AnyOf(RequireRetrained(), RequireAccuracy("0.5")))

A policy reads what the steps have established; it establishes nothing itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from nexus_chain.certificates.audit_evidence import AuditEvidence, AuditStep
from nexus_chain.certificates.distillation_certificate import TIERS, DistillationCertificate
from nexus_chain.certificates.errors import AuditPolicyError

#: Titles of steps that policies name.
RETRAINING = "re-training"
REJUDGING = "re-judged verdicts"


class Policy(Protocol):
    """A demand. ``verify`` returns a sentence about how it is met, or raises AuditPolicyError."""

    def verify(self, evidence: AuditEvidence) -> str:
        """Whether what ``evidence`` has established is enough."""


class AllOf:
    """Every one of several policies."""

    def __init__(self, *policies: Policy) -> None:
        self._policies = policies

    def verify(self, evidence: AuditEvidence) -> str:
        """Raise AuditPolicyError at the first that is not met."""
        return "; ".join(policy.verify(evidence) for policy in self._policies)


class AnyOf:
    """At least one of several policies."""

    def __init__(self, *policies: Policy) -> None:
        self._policies = policies

    def verify(self, evidence: AuditEvidence) -> str:
        """Raise AuditPolicyError, with every reason, where none is met."""
        reasons = []
        for policy in self._policies:
            try:
                return policy.verify(evidence)
            except AuditPolicyError as error:
                reasons.append(error.message)
        raise _unmet(f"none of {len(self._policies)} policies is met ({'; '.join(reasons)})")


@dataclass(frozen=True)
class RequireTier:
    """The tier ``least`` or a higher one."""

    least: str

    def __post_init__(self) -> None:
        if self.least not in TIERS:
            raise AuditPolicyError(f"there is no tier {self.least!r}", advice=f"Name one of {', '.join(TIERS)}.")

    def verify(self, evidence: AuditEvidence) -> str:
        """Raise AuditPolicyError below it."""
        found = _distillation(evidence).dataset.tier
        _require(TIERS[found] >= TIERS[self.least], f"the tier is {found}, below {self.least}")
        return f"tier {found}"


@dataclass(frozen=True)
class RequireJudged:
    """A share of the examples, from 0 to 1, whose verdict is *proved*; and that this audit judged some again."""

    share: Decimal

    def verify(self, evidence: AuditEvidence) -> str:
        """Raise AuditPolicyError where fewer are proved, or where none was judged again."""
        dataset = _distillation(evidence).dataset
        found = Decimal(dataset.verified) / dataset.examples
        _require(found >= self.share, f"{found:.4f} of the examples are proved, fewer than {self.share}")
        _require_checked(evidence.steps, REJUDGING)
        return f"{found:.4f} of the examples are proved"


@dataclass(frozen=True)
class RequireAccuracy:
    """An accuracy after training whose interval's lower end is ``least`` or more."""

    least: Decimal

    def verify(self, evidence: AuditEvidence) -> str:
        """Raise AuditPolicyError below it."""
        low = Decimal(_distillation(evidence).evaluation.after.accuracy_low)
        _require(low >= self.least, f"the accuracy may be as low as {low}, below {self.least}")
        return f"accuracy at least {low}"


@dataclass(frozen=True)
class RequireRetrained:
    """That this audit trained the adapter again and it came out the same."""

    def verify(self, evidence: AuditEvidence) -> str:
        """Raise AuditPolicyError where it did not."""
        _distillation(evidence)
        _require_checked(evidence.steps, RETRAINING)
        return "trained again"


@dataclass(frozen=True)
class MaxAge:
    """Anchored at most ``seconds`` before ``now`` (seconds since 1970), by the chain's clock."""

    seconds: float
    now: float

    def verify(self, evidence: AuditEvidence) -> str:
        """Raise AuditPolicyError for an older certificate."""
        age = self.now - evidence.anchored_at
        _require(age <= self.seconds, f"the certificate was anchored {age:.0f} s ago, more than {self.seconds:.0f} s")
        return f"anchored {age:.0f} s ago"


def _distillation(evidence: AuditEvidence) -> DistillationCertificate:
    found = evidence.signed.certificate
    if not isinstance(found, DistillationCertificate):
        raise _unmet("it is no distillation certificate")
    return found


def _require_checked(steps: Sequence[AuditStep], title: str) -> None:
    step = next((step for step in steps if step.title == title), None)
    _require(step is not None and step.checked, f"the step {title!r} was not checked: {step.detail if step else ''}")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise _unmet(problem)


def _unmet(problem: str) -> AuditPolicyError:
    return AuditPolicyError(problem, advice="Choose another version, or demand less")
