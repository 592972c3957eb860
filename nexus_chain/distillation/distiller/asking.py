"""Asking several sources at once, each through the journal, so that what was paid is never paid again."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal

from nexus_chain.distillation.distiller.distillation_journal import AskAgainPolicy, DistillationJournal
from nexus_chain.distillation.distiller.errors import AskedBeforeError, DistillationJournalError
from nexus_chain.distillation.distiller.request import DistillationRequest
from nexus_chain.distillation.distiller.result import SourceFailure
from nexus_chain.distillation.distiller.source import AnswerSource, GivenAnswer, SourceAnswer, require_usable
from nexus_chain.errors import NexusError

Asked = Mapping[str, "Future[SourceAnswer]"]
"""By source name: the answer that is known or on its way."""


class ParallelAsking:
    """``at_once``: prompts that one source has at a time. ``patience``: seconds that a request waits for its sources.

    A slow source holds no other one up: each has threads of its own. An answer that comes after its request's
    patience is still kept, as it is paid for.
    """

    def __init__(
        self,
        sources: Sequence[AnswerSource],
        journal: DistillationJournal,
        policy: AskAgainPolicy,
        *,
        at_once: int,
        patience: float,
    ) -> None:
        self._journal, self._policy, self._patience = journal, policy, patience
        self._providers = {source.name: source.provider for source in sources}
        self._pools = {
            source.name: ThreadPoolExecutor(at_once, thread_name_prefix=f"ask-{source.name}") for source in sources
        }
        self._lock = threading.Lock()
        self._running: dict[tuple[str, str], Future[SourceAnswer]] = {}

    def close(self) -> None:
        """Let answers that are on their way arrive and be kept; nobody is asked any more."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in self._pools.values():
            pool.shutdown(wait=True)

    def start(self, request: DistillationRequest, sources: Sequence[AnswerSource]) -> Asked:
        """Ask the sources; whoever is being asked the same already is not asked again."""
        return {source.name: self._start(request.question, request.prompt, source) for source in sources}

    def collect(self, asked: Asked) -> tuple[list[GivenAnswer], tuple[SourceFailure, ...]]:
        """Wait for everybody: answers and failures, each by source name. Raises DistillationJournalError."""
        answers, failures = [], []
        deadline = time.monotonic() + self._patience
        for name, future in sorted(asked.items()):
            try:
                error = future.exception(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                failures.append(SourceFailure(name, f"It did not answer within {self._patience:g} s."))
                continue
            if isinstance(error, DistillationJournalError):
                raise error
            if error is not None:
                failures.append(SourceFailure(name, _reason(error), isinstance(error, AskedBeforeError)))
                continue
            answer = future.result()
            answers.append(GivenAnswer(name, self._providers[name], answer.text, answer.cost_usd))
        return answers, tuple(failures)

    def _start(self, question: str, prompt: str, source: AnswerSource) -> Future[SourceAnswer]:
        key = (question, source.name)
        with self._lock:
            if (running := self._running.get(key)) is not None:
                return running
            future = self._pools[source.name].submit(self._ask, question, prompt, source)
            self._running[key] = future
        future.add_done_callback(lambda _: self._forget(key))
        return future

    def _forget(self, key: tuple[str, str]) -> None:
        with self._lock:
            self._running.pop(key, None)

    def _ask(self, question: str, prompt: str, source: AnswerSource) -> SourceAnswer:
        known = self._journal.begin(question, source, self._policy)
        if known is not None:
            return known
        try:
            answer = source.ask(prompt)
            require_usable(source.name, answer)
        except BaseException as error:
            paid = _is_maybe_paid(error)
            self._journal.failed(question, source.name, _reason(error), maybe_paid=paid, cost_usd=_cost_of(error))
            raise
        self._journal.answered(question, source.name, answer)
        return answer


def _reason(error: BaseException) -> str:
    """One sentence. Of a foreign error its class alone: its message could hold an address with a key in it."""
    if isinstance(error, NexusError):
        return f"{error.message[:1].upper()}{error.message[1:].rstrip('.')}."
    return f"It failed with {type(error).__name__}."


def _cost_of(error: BaseException) -> Decimal:
    """USD that a failed call counts with, where its error says so; a teacher's error states the worst case."""
    cost = getattr(error, "cost_usd", None)
    return cost if isinstance(error, NexusError) and isinstance(cost, Decimal) and cost.is_finite() else Decimal(0)


def _is_maybe_paid(error: BaseException) -> bool:
    return bool(getattr(error, "maybe_paid", not isinstance(error, NexusError)))
