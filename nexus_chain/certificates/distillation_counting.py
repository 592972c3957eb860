"""Counts over a distillation's records: made once for its certificate, and again by every auditor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal, Inexact

from nexus_chain.certificates.distillation_certificate import CertifiedTeacher
from nexus_chain.certificates.distillation_records import ExampleRecord, ProblemRecord, VerdictRecord
from nexus_chain.certificates.errors import DistillationRecordError
from nexus_chain.distillation.lora.overlap import normal_hash

_EXACT = Context(prec=60, traps=[Inexact])
"""More digits than a sum of amounts can have; one that lost a digit would raise."""


def outcome_counts(verdicts: Sequence[VerdictRecord]) -> dict[str, dict[str, int]]:
    """Verdicts by kind, then by outcome; what never occurs is not listed."""
    found: dict[str, dict[str, int]] = {}
    for (kind, outcome), count in sorted(Counter((one.kind, one.outcome) for one in verdicts).items()):
        found.setdefault(kind, {})[outcome] = count
    return found


def by_answer(verdicts: Sequence[VerdictRecord]) -> dict[tuple[str, str], VerdictRecord]:
    """Verdicts by source and answer."""
    return {(verdict.source, verdict.answer): verdict for verdict in verdicts}


def repeated_example(examples: Sequence[ExampleRecord]) -> ExampleRecord | None:
    """An example that is there twice, however its blanks and its case are varied; None where there is none."""
    times = Counter(example.wording for example in examples)
    return next((example for example in examples if times[example.wording] > 1), None)


def evaluation_fault(problems: Sequence[ProblemRecord], examples: Sequence[ExampleRecord]) -> str | None:
    """What makes ``problems`` no fair test of whoever learned from ``examples``; None where nothing does."""
    trained = {normal_hash(example.prompt) for example in examples}
    hashes = [normal_hash(problem.prompt) for problem in problems]
    leaked = [problem.prompt for problem, found in zip(problems, hashes, strict=True) if found in trained]
    if leaked:
        return f"a problem of the evaluation set was trained on: {leaked[:1]}"
    if len(set(hashes)) < len(hashes):
        return "a problem of the evaluation set is there twice"
    return None


def require_auditable(examples: Sequence[ExampleRecord], problems: Sequence[ProblemRecord]) -> None:
    """Raise DistillationRecordError for what steps 10 and 16 of every audit refuse."""
    if (twice := repeated_example(examples)) is not None:
        raise DistillationRecordError(
            f"an example is there twice, blanks and case aside: {twice.answer}", advice="Take one of them out."
        )
    if (fault := evaluation_fault(problems, examples)) is not None:
        raise DistillationRecordError(fault, advice="Hold other problems out, or take the examples out.")


def verified_count(examples: Sequence[ExampleRecord], verdict_of: Mapping[tuple[str, str], VerdictRecord]) -> int:
    """Prompts with an example whose own verdict is *proved* and says something.

    A prompt counts once, however its blanks and its case are varied.
    """
    verdicts = ((example, verdict_of.get((example.source, example.answer))) for example in examples)
    proved = (one for one, verdict in verdicts if verdict is not None and verdict.proved and not verdict.vacuous)
    return len({normal_hash(example.prompt) for example in proved})


def named_artefacts(verdicts: Iterable[VerdictRecord]) -> set[str]:
    """SHA-256 (0x hex) of every artefact that some verdict names."""
    return {digest for verdict in verdicts for digest in verdict.artefacts}


def total_cost(teachers: Iterable[CertifiedTeacher]) -> Decimal:
    """What all of them surely cost, in USD: exact, as amounts have at most 12 digits each side of the point."""
    total = Decimal(0)
    for teacher in teachers:
        total = _EXACT.add(total, Decimal(teacher.cost_usd))
    return total
