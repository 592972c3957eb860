"""All teachers: asked together, one at a time, or one after the other until one answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from types import TracebackType

from nexus_chain.distillation.backoff import Backoff
from nexus_chain.distillation.teachers.answer import TeacherAnswers, TeacherQuestion, TeacherResponse
from nexus_chain.distillation.teachers.config import TeacherConfig
from nexus_chain.distillation.teachers.errors import (
    AllTeachersFailedError,
    RateSpentError,
    TeacherCallError,
    TeacherConfigError,
    TeacherError,
    TeacherNotAskedError,
    TeacherPromptError,
    UnknownTeacherError,
)
from nexus_chain.distillation.teachers.prices import most_prompt_tokens
from nexus_chain.distillation.teachers.spending import SpendingRecord, TeacherUsage
from nexus_chain.distillation.teachers.teacher import Teacher


class TeacherAPIs:
    """See component 2 of the design. Many threads may ask at once; ``close`` it, or use it as a context.

    ``configs``: in the order of preference. ``budget_usd``: all that may be spent, over the life of ``state_file``;
    None: no limit. ``state_file``: where spent money and used quotas outlive the program; None: nowhere.
    ``clock``: seconds, monotonic; ``wall_clock``: seconds since 1970. Raises TeacherConfigError, SpendingRecordError.
    """

    def __init__(
        self,
        configs: Sequence[TeacherConfig],
        *,
        budget_usd: Decimal | None = None,
        state_file: Path | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not configs:
            raise TeacherConfigError("there is no teacher", advice="Configure at least one.")
        if len({config.name for config in configs}) < len(configs):
            raise TeacherConfigError("two teachers have one name", advice="Give each a name of its own.")
        if budget_usd is not None and not (budget_usd.is_finite() and 0 <= budget_usd <= 10**6):
            raise TeacherConfigError(f"the budget {budget_usd} is none", advice="Give 0 to 1,000,000 USD.")
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self._record = SpendingRecord(state_file, budget_usd, wall_clock)
        self._teachers = {one.name: Teacher(one, self._record, clock, wall_clock) for one in configs}

    @property
    def names(self) -> tuple[str, ...]:
        """Of all teachers, in the configured order."""
        return tuple(self._teachers)

    def config(self, teacher: str) -> TeacherConfig:
        """How a teacher is configured. Raises UnknownTeacherError."""
        return self._teacher(teacher).config

    def query_all(
        self,
        prompt: str,
        *,
        system: str | None = None,
        max_tokens: int | None = None,
        teachers: Iterable[str] | None = None,
    ) -> TeacherAnswers:
        """Ask all teachers, or those named, in parallel, each as ``query_single`` does.

        The answers stand in the configured order. Raises UnknownTeacherError, TeacherPromptError.
        """
        most_prompt_tokens(prompt, system, 0)
        asked = [self._teacher(name) for name in (self._teachers if teachers is None else dict.fromkeys(teachers))]

        def outcome(teacher: Teacher) -> TeacherResponse | TeacherError:
            try:
                return self._patiently(teacher, _question(teacher, prompt, system, max_tokens))
            except TeacherError as error:
                return error

        with ThreadPoolExecutor(max(1, len(asked)), thread_name_prefix="teacher") as pool:
            outcomes = list(pool.map(outcome, asked))
        failures = {
            teacher.config.name: found
            for teacher, found in zip(asked, outcomes, strict=True)
            if isinstance(found, TeacherError)
        }
        return TeacherAnswers(tuple(found for found in outcomes if isinstance(found, TeacherResponse)), failures)

    def query_single(
        self, teacher: str, prompt: str, *, system: str | None = None, max_tokens: int | None = None
    ) -> TeacherResponse:
        """Ask one teacher, with waits and further attempts where they may help and cannot be paid twice.

        Raises TeacherNotAskedError, TeacherCallError, UnknownTeacherError, TeacherPromptError, SpendingRecordError.
        """
        found = self._teacher(teacher)
        return self._patiently(found, _question(found, prompt, system, max_tokens))

    def query_with_fallback(
        self, prompt: str, *, system: str | None = None, max_tokens: int | None = None
    ) -> TeacherResponse:
        """Ask the free teachers in their order, then those that cost; the next one at once where one fails.

        Raises AllTeachersFailedError, TeacherPromptError, SpendingRecordError.
        """
        failures: dict[str, TeacherError] = {}
        for teacher in self._by_preference():
            try:
                return teacher.ask(_question(teacher, prompt, system, max_tokens))
            except (TeacherNotAskedError, TeacherCallError) as error:
                failures[teacher.config.name] = error
        raise AllTeachersFailedError(failures)

    def calculate_total_cost(self, responses: Iterable[TeacherResponse]) -> Decimal:
        """USD of the answers together, exactly. Failed calls that may have been billed are in ``usage``."""
        return sum((one.cost_usd for one in responses), Decimal(0))

    def get_cheapest_teacher(self) -> str:
        """The teacher of the lowest price for one token read and one written; of equals the first configured."""

        def price(name: str) -> int:
            return self._teachers[name].config.prices.cost(1, 1)

        return min(self._teachers, key=price)

    def usage(self, teacher: str | None = None) -> TeacherUsage:
        """What was asked and spent, by one teacher or by all, since the record began."""
        return self._record.usage(None if teacher is None else self._teacher(teacher).config.name)

    def close(self) -> None:
        """Give connections and the record back."""
        for teacher in self._teachers.values():
            teacher.close()
        self._record.close()

    def __enter__(self) -> TeacherAPIs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _teacher(self, name: str) -> Teacher:
        found = self._teachers.get(name)
        if found is None:
            raise UnknownTeacherError(
                f"there is no teacher {name!r}", advice=f"Name one of {', '.join(self._teachers)}."
            )
        return found

    def _by_preference(self) -> list[Teacher]:
        return sorted(self._teachers.values(), key=lambda teacher: not teacher.config.free)  # stable

    def _patiently(self, teacher: Teacher, question: TeacherQuestion) -> TeacherResponse:
        failures, waited = 0, 0.0
        while True:
            wait: float | None
            try:
                return teacher.ask(question)
            except RateSpentError as error:
                wait = error.seconds
                waited += wait
                if waited > self._backoff.patience:
                    raise
            except TeacherCallError as error:
                failures += 1
                wait = self._wait_after(teacher, error, failures)
                if wait is None:
                    raise
            self._sleep(wait)

    def _wait_after(self, teacher: Teacher, error: TeacherCallError, failures: int) -> float | None:
        """Seconds until the same teacher is asked again; None: never, as it would not help, or be paid twice."""
        if not error.REPEATABLE or (error.maybe_paid and not teacher.config.free):
            return None
        return self._backoff.wait(failures, error.seconds_to_wait)


def _question(teacher: Teacher, prompt: str, system: str | None, max_tokens: int | None) -> TeacherQuestion:
    most = teacher.config.max_tokens
    if max_tokens is not None and max_tokens < 1:
        raise TeacherPromptError(f"max_tokens = {max_tokens} leaves no room for an answer", advice="Give 1 or more.")
    return TeacherQuestion(prompt, system, most if max_tokens is None else min(most, max_tokens))
