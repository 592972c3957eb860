"""First stage: sources answer the problems, the judge decides, and the memory keeps what is proved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nexus_chain.distillation.curriculum.problems import Problem
from nexus_chain.distillation.distiller.agreement import Agreement
from nexus_chain.distillation.distiller.claims import MathematicsProblem
from nexus_chain.distillation.distiller.distillation_journal import DistillationJournal, JudgedAnswer, SourceBill
from nexus_chain.distillation.distiller.distiller import AutonomousDistiller
from nexus_chain.distillation.distiller.judging import ClaimJudge
from nexus_chain.distillation.distiller.options import DistillationOptions
from nexus_chain.distillation.distiller.request import DistillationRequest
from nexus_chain.distillation.distiller.result import DistillationResult
from nexus_chain.distillation.distiller.source import AnswerSource
from nexus_chain.distillation.distiller.source_record import SourceRecord
from nexus_chain.distillation.judge.verdict import Outcome
from nexus_chain.distillation.memory.example import TrainingDataset, VerifiedExample
from nexus_chain.distillation.memory.persistence import CognitivePersistence
from nexus_chain.workflows.distilling import proved_example
from nexus_chain.workflows.learning.plan import DistillationPlan, RunFolder
from nexus_chain.workflows.observer import SILENT, TaskObserver

ASKED_AHEAD = 32
"""Problems that are under way at once: a network of nodes answers many together faster than one after the other."""


@dataclass(frozen=True)
class CollectedAnswers:
    """``dataset``: what the memory holds for training. ``bills``: what each source cost, by name.

    ``decided``: requests with an answer that may be trained on.
    """

    dataset: TrainingDataset
    judged: tuple[JudgedAnswer, ...]
    bills: tuple[SourceBill, ...]
    decided: int

    def teachers(self) -> list[dict[str, Any]]:
        """What each source did, as plain values: ``name``, ``answers``, ``proved``, ``refuted``, ``cost_usd``.

        ``lost``: how often an earlier process ended before the answer came; what that cost nobody knows.
        """
        said = Counter((one.source, one.verdict.outcome) for one in self.judged)
        return [
            {
                "name": bill.source,
                "answers": sum(said[bill.source, outcome] for outcome in Outcome),
                "proved": said[bill.source, Outcome.PROVED],
                "refuted": said[bill.source, Outcome.REFUTED],
                "cost_usd": f"{bill.costs.cost_usd:f}",
                "lost": bill.costs.lost,
            }
            for bill in self.bills
        ]


def request_of(problem: Problem, plan: DistillationPlan) -> DistillationRequest:
    """A problem as the distiller is asked it: a right answer equals the expression, or else the known answer."""
    expected = problem.expected_expression or problem.answer
    return DistillationRequest(
        problem.prompt,
        verification_mode=plan.mode,
        category=problem.category,
        problem=MathematicsProblem(expected),
    )


def collect_answers(
    plan: DistillationPlan,
    problems: Sequence[Problem],
    sources: Sequence[AnswerSource],
    judge: ClaimJudge | None,
    folder: RunFolder,
    observer: TaskObserver = SILENT,
    agreement: Agreement | None = None,
) -> CollectedAnswers:
    """Ask, judge, choose and remember; goes on where an earlier run of this folder was. Raises DistillationError."""
    requests = [request_of(problem, plan) for problem in problems]
    options = DistillationOptions(ahead=ASKED_AHEAD)
    record = SourceRecord(folder.record)
    try:
        with (
            DistillationJournal(folder.journal) as journal,
            AutonomousDistiller(sources, judge, record, journal, agreement=agreement, options=options) as distiller,
            observer.stage("Teachers answer, the judge decides") as advance,
        ):
            results = distiller.distill_batch(requests, lambda told: advance(told.done, told.total))
            judged = tuple(journal.judged_answers(requests)) if judge is not None else ()
            bills = journal.bills()
    finally:
        record.close()
    with CognitivePersistence(folder.memory) as memory, observer.stage("Remembering"):
        memory.save_examples(_examples(requests, results, judge is not None))
        dataset = memory.get_dataset(min_confidence=plan.confidence)
        memory.export_lora_format(folder.dataset, min_confidence=plan.confidence)
    decided = sum(result.best_response is not None for result in results)
    return CollectedAnswers(dataset, judged, bills, decided)


def _examples(
    requests: Sequence[DistillationRequest], results: Sequence[DistillationResult], judged: bool
) -> Iterable[VerifiedExample]:
    """What was proved; without a judge whatever was chosen, to see what that is worth."""
    for request, result in zip(requests, results, strict=True):
        example = proved_example(request, result) if judged else _chosen_example(request, result)
        if example is not None:
            yield example


def _chosen_example(request: DistillationRequest, result: DistillationResult) -> VerifiedExample | None:
    if result.best_response is None or result.best_source is None:
        return None
    return VerifiedExample.of(
        request.prompt,
        result.best_response,
        source=result.best_source,
        confidence=1.0,
        category=request.category,
        timestamp=result.timestamp,
    )
