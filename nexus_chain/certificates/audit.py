"""Audit a certificate from its CID, a chain and a source of blocks alone.

``audit`` runs numbered steps, in order, and stops at the first that fails; the report says which step that was and
why. It trusts neither the source (every byte is hashed) nor the certificate (what can be recomputed is). Which steps
there are depends on the kind of certificate: ``STEPS`` for a model that was trained on a corpus, DISTILLATION_STEPS
for one that learned from others. docs/auditor.md says what no step can recompute.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_chain.certificates import audit_steps as shared
from nexus_chain.certificates import corpus_steps as corpus
from nexus_chain.certificates import distillation_judging as judging
from nexus_chain.certificates import distillation_learning as learning
from nexus_chain.certificates.audit_evidence import AuditEvidence, AuditRequest, AuditStep, Unchecked
from nexus_chain.certificates.audit_policy import REJUDGING, RETRAINING
from nexus_chain.certificates.chain_reader import ChainReader
from nexus_chain.content.block_store import BlockSource
from nexus_chain.errors import NexusError

_SHOWN = 200
"""Characters of an unexpected error in a report."""

AuditCheck = Callable[[AuditEvidence], str | Unchecked]
AuditSteps = tuple[tuple[str, AuditCheck], ...]

_BEGINNING: AuditSteps = (
    ("bytes match the CID and are canonical", shared.check_bytes),
    ("certificate schema", shared.check_schema),
    ("publisher's signature", shared.check_signature),
    ("anchored on-chain", shared.check_anchor),
    ("model registry agrees", shared.check_registry),
)
_MODEL: AuditSteps = (
    ("checkpoint and tokenizer", shared.check_files),
    ("integer program", shared.check_program),
    ("overflow proof", shared.check_overflow),
)

#: Of a model that was trained on a corpus.
STEPS: AuditSteps = (
    *_BEGINNING,
    ("data listing", corpus.check_data),
    *_MODEL,
    ("held-out metrics", corpus.check_metrics),
    ("training record", corpus.check_training_record),
)

#: Of a model that learned from others.
DISTILLATION_STEPS: AuditSteps = (
    *_BEGINNING,
    ("parent version", learning.check_parent),
    *_MODEL,
    ("dataset", judging.check_dataset),
    ("judge's statistics", judging.check_statistics),
    ("sampled examples", judging.check_examples),
    (REJUDGING, judging.check_verdicts),
    ("teachers and cost", judging.check_teachers),
    ("tier", judging.check_tier),
    ("evaluation figures", learning.check_figures),
    ("re-evaluation by the integer engine", learning.check_evaluation),
    ("deployment rule", learning.check_deployment),
    ("adapter", learning.check_adapter),
    (RETRAINING, learning.check_retraining),
)


@dataclass(frozen=True)
class AuditReport:
    """The steps up to and including the first that failed. ``seed``: of the sample, to
    repeat the audit with; empty where nothing was sampled."""

    cid: str
    steps: tuple[AuditStep, ...]
    seed: str = ""

    @property
    def passed(self) -> bool:
        """Whether every step ran and none failed."""
        return bool(self.steps) and len(self.steps) == self.steps[-1].total and self.failed_step is None

    @property
    def failed_step(self) -> AuditStep | None:
        """The step that failed, or None."""
        return next((step for step in self.steps if not step.passed), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        steps = [step.to_dict() for step in self.steps]
        return {"cid": self.cid, "passed": self.passed, "seed": self.seed, "steps": steps}


def step_titles(document: bytes) -> tuple[str, ...]:
    """The steps that an audit of ``document``, which may be anything, runs through, in order."""
    steps = DISTILLATION_STEPS if shared.is_distillation(document) else STEPS
    return tuple(title for title, _ in steps)


def audit(
    cid: str,
    source: BlockSource,
    chain: ChainReader,
    progress: Callable[[AuditStep], None] | None = None,
    request: AuditRequest | None = None,
) -> AuditReport:
    """AuditCheck the certificate at ``cid``; ``progress`` is told of every step as it ends.

    Never raises for what it audits: a failed check, missing blocks, an unreachable chain and anything that a library
    raises over what it is given are a failed step of the report.
    """
    request = request or AuditRequest()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nexus-audit-")))
        evidence = AuditEvidence(cid, source, chain, folder, request)
        for step in _run(evidence):
            evidence.steps.append(step)
            if progress is not None:
                progress(step)
    drawn = request.seed if _is_distillation(evidence) else ""
    return AuditReport(cid, tuple(evidence.steps), drawn)


def _run(evidence: AuditEvidence) -> Iterator[AuditStep]:
    (title, check), *_ = STEPS  # which steps follow is known when the first has read the document
    outcome = _outcome(check, evidence)
    steps = _steps_of(evidence)
    for number in range(1, len(steps) + 1):
        if number > 1:
            title, check = steps[number - 1]
            outcome = _outcome(check, evidence)
        passed, checked, detail = outcome
        yield AuditStep(number, title, passed, detail, checked, len(steps))
        if not passed:
            return


def _steps_of(evidence: AuditEvidence) -> AuditSteps:
    steps = DISTILLATION_STEPS if _is_distillation(evidence) else STEPS
    policy = evidence.request.policy
    return steps if policy is None else (*steps, ("auditor's policy", policy.verify))


def _is_distillation(evidence: AuditEvidence) -> bool:
    """Whether the first step brought a document that says so."""
    return hasattr(evidence, "document") and shared.is_distillation(evidence.document)


def _short(error: Exception) -> str:
    """What an error says, as far as it is fit to be shown: it may quote what a stranger wrote."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - a text of an error may fail as its cause did
        return "no details"
    return ascii(said[:_SHOWN])[1:-1] or "no details"


def _outcome(check: AuditCheck, evidence: AuditEvidence) -> tuple[bool, bool, str]:
    """(passed, checked, detail) of one step."""
    try:
        detail = check(evidence)
    except (NexusError, OSError) as error:
        return False, True, error.message if isinstance(error, NexusError) else str(error)
    except Exception as error:  # noqa: BLE001 - libraries read what strangers wrote, and raise what they like
        return False, True, f"it cannot be checked: {type(error).__name__} ({_short(error)})"
    return (True, False, detail.detail) if isinstance(detail, Unchecked) else (True, True, detail)
