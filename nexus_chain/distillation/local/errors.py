"""What can go wrong with a local server of models.

LocalEngineError
├── LocalConnectionError       nobody listens there, or the connection broke
├── LocalTimeoutError          no whole answer in time
├── LocalModelMissingError     the server has no such model
├── LocalServerError           the server refused or failed; ``status``
├── LocalAnswerError           an answer that is empty, cut off, too large or malformed
└── LocalRequestError          a request that cannot be sent
"""

from __future__ import annotations

from typing import ClassVar

from nexus_chain.distillation.errors import DistillationError


class LocalEngineError(DistillationError):
    """Root of this folder's errors."""

    REPEATABLE: ClassVar[bool] = False
    """Whether the same request may succeed a little later."""

    @property
    def is_repeatable(self) -> bool:
        """Whether another attempt may help."""
        return self.REPEATABLE


class LocalConnectionError(LocalEngineError):
    """Raised when there is no connection to a server."""

    REPEATABLE = True


class LocalTimeoutError(LocalEngineError):
    """Raised when an answer takes too long. It is not asked again: a slow model is slow the next time, too."""


class LocalModelMissingError(LocalEngineError):
    """Raised when the server does not have the model."""


class LocalServerError(LocalEngineError):
    """Raised for an HTTP status of a failure, or for an error in a stream (status 500)."""

    def __init__(self, message: str, *, advice: str, status: int) -> None:
        super().__init__(message, advice=advice)
        self.status = status

    @property
    def is_repeatable(self) -> bool:
        return self.status == 429 or self.status >= 500


class LocalAnswerError(LocalEngineError):
    """Raised for an answer that is no answer."""


class LocalRequestError(LocalEngineError):
    """Raised for a request that cannot be sent."""
