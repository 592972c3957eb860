"""The best answer of several sources, and what speaks for it."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from hashlib import sha256
from types import TracebackType
from typing import Self

from nexus_chain.distillation.distiller.agreement import Agreement, ExactAgreement
from nexus_chain.distillation.distiller.asking import Asked, ParallelAsking
from nexus_chain.distillation.distiller.claims import claim_text
from nexus_chain.distillation.distiller.distillation_journal import DistillationJournal
from nexus_chain.distillation.distiller.errors import DistillationRequestError, NoSourceAnsweredError
from nexus_chain.distillation.distiller.judging import ClaimJudge, Judging
from nexus_chain.distillation.distiller.options import BatchProgress, DistillationOptions
from nexus_chain.distillation.distiller.proof import proof_root
from nexus_chain.distillation.distiller.request import DistillationRequest
from nexus_chain.distillation.distiller.result import DistillationResult, SourceFailure
from nexus_chain.distillation.distiller.scoring import scores_of
from nexus_chain.distillation.distiller.selection import choice_words, select_best
from nexus_chain.distillation.distiller.source import AnswerSource, GivenAnswer
from nexus_chain.distillation.distiller.source_record import RecordObservation, SourceRecord
from nexus_chain.distillation.judge.verdict import Verdict

SILENT_REQUESTS = 3
"""A batch ends when nobody answered as many requests in a row."""


@dataclass(frozen=True)
class _Started:
    """A request whose sources are being asked, or its ``result`` where the journal has it."""

    request: DistillationRequest
    circumstances: str
    asked: Asked
    result: DistillationResult | None = None


class AutonomousDistiller:
    """See component 3 of the design. ``judge``: None where no request wants one. Close it; it owns its threads only."""

    def __init__(
        self,
        sources: Sequence[AnswerSource],
        judge: ClaimJudge | None,
        record: SourceRecord,
        journal: DistillationJournal,
        *,
        agreement: Agreement | None = None,
        options: DistillationOptions | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        names = [source.name for source in sources]
        if not names or len(set(names)) != len(names) or not all(name.strip() for name in names):
            raise DistillationRequestError(
                "the sources have no names, or two have one", advice="Name at least one source, each differently."
            )
        self._sources = tuple(sorted(sources, key=lambda source: source.name))
        self._record, self._journal = record, journal
        self._judging = Judging(judge, journal.verdicts) if judge is not None else None
        self._agreement, self._options = agreement or ExactAgreement(), options or DistillationOptions()
        self._clock = clock
        self._asking = ParallelAsking(
            sources, journal, self._options.ask_again, at_once=self._options.ahead, patience=self._options.patience
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wait for answers that are on their way: they are paid for, and kept."""
        self._asking.close()

    def distill(self, request: DistillationRequest) -> DistillationResult:
        """The best answer; what the journal has decided already is taken from there.

        A request without one stays open while a source failed: next time those are asked that may be.
        Raises DistillationRequestError, NoSourceAnsweredError, DistillationJournalError; SolverError and
        SandboxUnavailableError where nothing can be judged.
        """
        result = self._finish(self._start(request))
        if not result.all_scores:
            raise _nobody(result)
        return result

    def distill_batch(
        self, requests: Sequence[DistillationRequest], observer: Callable[[BatchProgress], None] | None = None
    ) -> list[DistillationResult]:
        """A result for each request, in their order; one that nobody answered has no scores, and is asked again later.

        Interrupted or killed, it goes on where it was when it is called again with the same journal. ``observer`` is
        told of every result. Raises as ``distill``; NoSourceAnsweredError after SILENT_REQUESTS in a row.
        """
        waiting, started = deque(requests), deque[_Started]()
        results: list[DistillationResult] = []
        resumed, silent, cost = 0, 0, Decimal(0)
        while waiting or started:
            while waiting and len(started) < self._options.ahead:
                started.append(self._start(waiting.popleft()))
            current = started.popleft()
            result = self._finish(current)
            silent = silent + 1 if _is_silent(result) else 0
            if silent == SILENT_REQUESTS:
                raise _nobody(result)
            results.append(result)
            resumed, cost = resumed + (current.result is not None), cost + result.cost_usd
            if observer is not None:
                observer(BatchProgress(len(results), len(requests), resumed, cost, result))
        return results

    def _start(self, request: DistillationRequest) -> _Started:
        """Have the sources asked, unless the request is decided already."""
        if request.mode.is_judged and request.problem is not None and self._judging is None:
            raise DistillationRequestError(
                f"the mode {request.mode} needs a judge", advice="Give one, or take the mode consistency."
            )
        sources = [
            source for source in self._sources if (request.use_local if source.is_local else request.use_teachers)
        ]
        if not sources:
            raise DistillationRequestError(
                "no source may be asked", advice="Configure a local model or a teacher, and allow it."
            )
        circumstances = self._circumstances(request, sources)
        if (body := self._journal.decided(request, circumstances)) is not None:
            return _Started(request, circumstances, {}, DistillationResult.from_json(body))
        return _Started(request, circumstances, self._asking.start(request, sources))

    def _finish(self, started: _Started) -> DistillationResult:
        """Wait, judge, score, choose, and write it down."""
        if started.result is not None:
            return started.result
        request = started.request
        answers, failures = self._asking.collect(started.asked)
        if not answers:
            reasons = " ".join(f"{failure.source}: {failure.reason}" for failure in failures)
            return DistillationResult(None, None, 0.0, (), None, self._clock(), f"Nobody answered. {reasons}", failures)
        verdicts = self._judging.verdicts(request, answers) if self._judging else {}
        result = self._decided(request, answers, verdicts, failures)
        self._record.observe(
            RecordObservation(source, request.category, request.question, verdict.outcome)
            for source, verdict in verdicts.items()
            if not verdict.vacuous
        )
        if result.best_response is not None or not failures:  # else whoever failed may have the answer next time
            self._journal.decide(request, started.circumstances, json.dumps(result.to_dict()))
        return result

    def _decided(
        self,
        request: DistillationRequest,
        answers: Sequence[GivenAnswer],
        verdicts: dict[str, Verdict],
        failures: tuple[SourceFailure, ...],
    ) -> DistillationResult:
        histories = {
            answer.source: self._record.history(answer.source, request.category, apart_from=request.question)
            for answer in answers
        }
        scores = scores_of(answers, verdicts, histories, self._agreement, self._options.weights)
        best = select_best(scores, request.mode)
        proved = best is not None and best.formal_verification_passed
        return DistillationResult(
            best_response=best.response if best else None,
            best_source=best.source if best else None,
            confidence=best.confidence if best else 0.0,
            all_scores=scores,
            verification_proof=proof_root(verdicts[best.source]) if best and proved else None,
            timestamp=self._clock(),
            explanation=choice_words(best, scores, request.mode),
            failures=failures,
            cost_usd=sum((answer.cost_usd for answer in answers), Decimal(0)),
        )

    def _circumstances(self, request: DistillationRequest, sources: Sequence[AnswerSource]) -> str:
        """A hash of what a result depends on, beside the answers, the judge and the record."""
        known = {
            "weights": asdict(self._options.weights),
            "agreement": self._agreement.name,
            "sources": [[source.name, source.provider] for source in sources],
            "problem": claim_text(request.problem.claim("")) if request.problem else None,
        }
        return sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _is_silent(result: DistillationResult) -> bool:
    """Whether somebody was asked and nobody answered; answers that a crash lost say nothing about the sources."""
    return not result.all_scores and not all(failure.asked_before for failure in result.failures)


def _nobody(result: DistillationResult) -> NoSourceAnsweredError:
    return NoSourceAnsweredError(
        result.explanation or "nobody answered", advice="Read each source's reason; what was answered is kept."
    )
