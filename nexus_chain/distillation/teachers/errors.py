"""What can go wrong with teachers.

TeacherError
├── TeacherConfigError        a configuration that cannot be
├── UnknownTeacherError       there is no teacher of that name
├── TeacherPromptError        a prompt that cannot be sent
├── SpendingRecordError       the record of money and quotas cannot be read or written
├── TeacherNotAskedError      nothing was sent
│   ├── CircuitOpenError          the teacher failed too often in a row
│   ├── RateSpentError            too many requests in this minute
│   ├── QuotaSpentError           the day's or the month's quota is used up
│   └── MoneySpentError           the call does not fit into what is left of the budget
├── TeacherCallError          something was sent, and no answer is usable
│   ├── TeacherUnreachableError   no connection
│   ├── TeacherTimeoutError       no whole answer in time
│   ├── TeacherOutageError        the server failed (5xx)
│   ├── TeacherBusyError          the server wants fewer requests (429)
│   ├── TeacherRejectionError     the server refuses the request or the key (other 3xx and 4xx)
│   └── TeacherAnswerError        an answer that is empty, too large, cut off or malformed
└── AllTeachersFailedError    each of them, with its own failure
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar

from nexus_chain.distillation.errors import DistillationError


class TeacherError(DistillationError):
    """Root of this folder's errors."""


class TeacherConfigError(TeacherError):
    """Raised when a configuration is incomplete or contradicts itself."""


class UnknownTeacherError(TeacherError):
    """Raised when no teacher has that name."""


class TeacherPromptError(TeacherError):
    """Raised when a prompt cannot be sent: it is empty, or no Unicode text."""


class SpendingRecordError(TeacherError):
    """Raised when the record of money and quotas cannot be used. Without it nothing is asked."""


class TeacherNotAskedError(TeacherError):
    """Raised before anything is sent."""


class CircuitOpenError(TeacherNotAskedError):
    """Raised when a teacher failed too often in a row and is left alone for a while."""


class RateSpentError(TeacherNotAskedError):
    """Raised when a teacher had as many requests as it allows. ``seconds``: until it takes the next one."""

    def __init__(self, message: str, *, advice: str, seconds: float) -> None:
        super().__init__(message, advice=advice)
        self.seconds = seconds


class QuotaSpentError(TeacherNotAskedError):
    """Raised when the quota of the day or of the month does not hold the call."""


class MoneySpentError(TeacherNotAskedError):
    """Raised when the call's worst case does not fit into what is left of the budget."""


class TeacherCallError(TeacherError):
    """A call that gave no answer.

    ``maybe_paid``: the provider may bill it all the same. ``cost_usd``: what it then counts with, its worst case.
    ``seconds_to_wait``: what the server asked for, or None.
    """

    REPEATABLE: ClassVar[bool] = False
    """Whether the same request may succeed a little later."""

    def __init__(
        self, message: str, *, advice: str, maybe_paid: bool = False, seconds_to_wait: float | None = None
    ) -> None:
        super().__init__(message, advice=advice)
        self.maybe_paid = maybe_paid
        self.cost_usd = Decimal(0)  # whoever knows the prices sets it
        self.seconds_to_wait = seconds_to_wait

    @property
    def is_teachers_fault(self) -> bool:
        """Whether it counts towards the circuit breaker."""
        return True


class TeacherUnreachableError(TeacherCallError):
    """Raised when no connection is made: nothing was asked."""

    REPEATABLE = True


class TeacherTimeoutError(TeacherCallError):
    """Raised when the whole answer is not there in time."""

    REPEATABLE = True


class TeacherOutageError(TeacherCallError):
    """Raised for answers with status 5xx."""

    REPEATABLE = True


class TeacherBusyError(TeacherCallError):
    """Raised for answers with status 429. The teacher works: it counts no failure."""

    REPEATABLE = True

    @property
    def is_teachers_fault(self) -> bool:
        return False


class TeacherRejectionError(TeacherCallError):
    """Raised for answers with another status of 3xx or 4xx. ``status``: the HTTP status.

    A wrong key is the teacher's configuration and counts; a request that this teacher does not take does not.
    """

    def __init__(self, message: str, *, advice: str, status: int) -> None:
        super().__init__(message, advice=advice)
        self.status = status

    @property
    def is_teachers_fault(self) -> bool:
        return self.status not in (400, 413, 422)


class TeacherAnswerError(TeacherCallError):
    """Raised for an answer that is empty, too large, cut off or malformed."""


class AllTeachersFailedError(TeacherError):
    """Raised when no teacher gave an answer. ``failures``: by name, in the order in which they were asked."""

    def __init__(self, failures: Mapping[str, TeacherError]) -> None:
        told = "; ".join(f"{name}: {failure.message}" for name, failure in failures.items())
        super().__init__(
            f"no teacher answered ({told or 'there is none'})",
            advice="Read each teacher's reason, or configure another one.",
        )
        self.failures = dict(failures)
