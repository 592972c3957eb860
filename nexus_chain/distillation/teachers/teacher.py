"""One teacher as it is asked once: its circuit, its rate, its money, its client, in this order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from nexus_chain.distillation.teachers.answer import ReadAnswer, TeacherQuestion, TeacherResponse
from nexus_chain.distillation.teachers.circuit import OPEN_SECONDS, CircuitBreaker, CircuitPass
from nexus_chain.distillation.teachers.config import TeacherConfig
from nexus_chain.distillation.teachers.errors import (
    CircuitOpenError,
    RateSpentError,
    TeacherAnswerError,
    TeacherBusyError,
    TeacherCallError,
)
from nexus_chain.distillation.teachers.official_clients import OfficialClient
from nexus_chain.distillation.teachers.prices import most_prompt_tokens, to_usd
from nexus_chain.distillation.teachers.request_rate import RequestRate
from nexus_chain.distillation.teachers.spending import SpendingRecord

REST_SECONDS = 1.0
"""After a 429 that does not say how long."""
LONGEST_REST = 3600.0
"""Seconds: what a server asks for beyond that is not believed."""


class Teacher:
    """Many threads may ask at once. ``clock``: seconds, monotonic; ``wall_clock``: seconds since 1970."""

    def __init__(
        self,
        config: TeacherConfig,
        record: SpendingRecord,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self.config = config
        self._record = record
        self._wall_clock = wall_clock
        self._circuit = CircuitBreaker(clock)
        self._rate = RequestRate(config.rate_limit_rpm, clock)
        self._client: OfficialClient | None = None
        self._lock = threading.Lock()

    def ask(self, question: TeacherQuestion) -> TeacherResponse:
        """One attempt, without any wait. Raises TeacherNotAskedError, TeacherCallError and their kin."""
        client = self._made_client()
        most_read = most_prompt_tokens(question.prompt, question.system, self.config.prompt_overhead)
        leave = self._circuit.enter()
        if leave is None:
            raise CircuitOpenError(
                f"{self.config.name} failed too often in a row",
                advice=f"It is asked again {OPEN_SECONDS / 60:g} minutes after the last failure; ask another teacher.",
            )
        try:
            response = self._paid(client, question, most_read)
        except BaseException as error:
            self._learn(leave, error)
            raise
        self._circuit.succeeded(leave)
        return response

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _made_client(self) -> OfficialClient:
        with self._lock:
            if self._client is None:
                self._client = OfficialClient(self.config)
            return self._client

    def _paid(self, client: OfficialClient, question: TeacherQuestion, most_read: int) -> TeacherResponse:
        """Ask with the worst case written down, and settle it."""
        config, prices = self.config, self.config.prices
        if (seconds := self._rate.take()) > 0:
            raise RateSpentError(
                f"{config.name} takes no request for {seconds:.1f} s", advice="Wait, or ask another.", seconds=seconds
            )
        worst = most_read + question.max_tokens
        most_paid = prices.cost(most_read, question.max_tokens)
        number = self._record.open_call(config.name, worst, most_paid, config.quota)
        began = time.perf_counter()
        try:
            answer = client.ask(question)
            latency_ms = 1000 * (time.perf_counter() - began)
            read, written = self._used(answer, question, most_read)
        except TeacherCallError as error:
            if error.maybe_paid:
                error.cost_usd = to_usd(most_paid)  # as the record counts it
            else:
                self._record.cancel(number)
            raise
        cost = prices.cost(read, written)
        self._record.settle(number, read + written, cost)
        return TeacherResponse(
            teacher=config.name,
            text=answer.text,
            tokens_used=read + written,
            cost_usd=to_usd(cost),
            latency_ms=latency_ms,
            timestamp=self._wall_clock(),
            model=config.model,
            complete=answer.complete,
            counted=None not in (answer.prompt_tokens, answer.completion_tokens),
        )

    def _used(self, answer: ReadAnswer, question: TeacherQuestion, most_read: int) -> tuple[int, int]:
        """Tokens read and written. A teacher cannot claim more than the worst case that was set aside for it."""
        read = most_read if answer.prompt_tokens is None else answer.prompt_tokens
        written = question.max_tokens if answer.completion_tokens is None else answer.completion_tokens
        if read > most_read or written > question.max_tokens:
            raise TeacherAnswerError(
                f"{self.config.name} counts {read} + {written} tokens, and was allowed "
                f"{most_read} + {question.max_tokens}",
                advice="Raise its prompt_overhead or max_tokens, or do not ask it.",
                maybe_paid=True,
            )
        return read, written

    def _learn(self, leave: CircuitPass, error: BaseException) -> None:
        if not isinstance(error, TeacherCallError):
            self._circuit.unused(leave)
            return
        if error.seconds_to_wait is not None or isinstance(error, TeacherBusyError):
            # It holds for every thread, not only for the one that was told.
            asked = REST_SECONDS if error.seconds_to_wait is None else error.seconds_to_wait
            self._rate.rest(min(asked, LONGEST_REST))
        if error.is_teachers_fault:
            self._circuit.failed(leave)
        else:
            self._circuit.unused(leave)
