"""Whoever answers a prompt: a local model, a teacher, anything with a name that says what an answer cost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from nexus_chain.distillation.distiller.errors import UnusableAnswerError

LONGEST_ANSWER = 200_000
"""Characters; whoever sends more is not read."""


@dataclass(frozen=True)
class SourceAnswer:
    """``cost_usd``: exact. ``tokens``: read and written. ``latency_ms``: of the whole call."""

    text: str
    cost_usd: Decimal
    tokens: int
    latency_ms: float


class AnswerSource(Protocol):
    """Who can be asked.

    ``name``: answers and records are kept under it, so another model takes another name. ``provider``: who runs it;
    sources of one provider have one voice among them. ``is_local``: runs on this user's machines. ``is_free``: costs
    nothing, so it may be asked twice.
    """

    @property
    def name(self) -> str: ...

    @property
    def provider(self) -> str: ...

    @property
    def is_local(self) -> bool: ...

    @property
    def is_free(self) -> bool: ...

    def ask(self, prompt: str) -> SourceAnswer:
        """An answer; from any thread, and in a bounded time.

        Errors of this project count as unpaid unless they have ``maybe_paid``; others may have been paid.
        """


@dataclass(frozen=True)
class GivenAnswer:
    """An answer, and who gave it."""

    source: str
    provider: str
    text: str
    cost_usd: Decimal


def require_usable(name: str, answer: SourceAnswer) -> None:
    """UnusableAnswerError for an answer that nobody can weigh. What it cost is in the error."""
    fault = _fault_of(answer.text)
    if fault:
        raise UnusableAnswerError(
            f"the answer of {name} {fault}", advice="Ask another source.", maybe_paid=True, cost_usd=answer.cost_usd
        )
    if not answer.cost_usd.is_finite() or answer.cost_usd < 0:
        raise UnusableAnswerError(f"{name} says no cost", advice="Ask another source.", maybe_paid=True)


def _fault_of(text: str) -> str:
    if not text.strip():
        return "is empty"
    if len(text) > LONGEST_ANSWER:
        return f"is longer than {LONGEST_ANSWER} characters"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is no Unicode text"
    return ""
