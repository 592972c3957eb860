"""What a teacher answered, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from nexus_chain.distillation.teachers.errors import TeacherError


@dataclass(frozen=True)
class TeacherResponse:
    """See component 2 of the design for the first six fields.

    ``tokens_used``: read and written. ``cost_usd``: exact; ``prices.to_cents`` rounds it. ``latency_ms``: of the call
    that succeeded. ``timestamp``: seconds since 1970, when the answer was there. ``complete``: the teacher ended by
    itself, not at ``max_tokens``. ``counted``: the teacher said how many tokens it used; else ``tokens_used`` is an
    upper bound.
    """

    teacher: str
    text: str
    tokens_used: int
    cost_usd: Decimal
    latency_ms: float
    timestamp: float
    model: str = ""
    complete: bool = True
    counted: bool = True


@dataclass(frozen=True)
class TeacherAnswers:
    """What all teachers made of one prompt. ``failures``: by name, those who gave no answer."""

    responses: tuple[TeacherResponse, ...]
    failures: Mapping[str, TeacherError]


@dataclass(frozen=True)
class ReadAnswer:
    """A body, understood. ``prompt_tokens`` and ``completion_tokens``: None where the teacher does not say."""

    text: str
    prompt_tokens: int | None
    completion_tokens: int | None
    complete: bool


@dataclass(frozen=True)
class TeacherQuestion:
    """One prompt, with the instructions that stand before it, and the most tokens that an answer may have."""

    prompt: str
    system: str | None
    max_tokens: int
