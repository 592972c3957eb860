"""What the gateway tells a caller: one tree of errors; each interface writes them in its own shape.

NexusError
└── GatewayError
    ├── InvalidRequestError          400  malformed, or of a wrong type
    │   ├── UnsupportedParameterError     the program cannot do this exactly
    │   └── ContextTooLongError           prompt and answer exceed the model's context
    ├── UnauthorizedError            401  no key, a wrong one, or a revoked one
    │   └── InvalidProofError             a session's token without a proof of its key
    ├── PaymentRequiredError         402  no credit for what this could cost
    ├── ForbiddenError               403  the key has not this scope
    ├── NotFoundError                404  no such thing, or not this caller's
    │   └── UnknownModelError             with the known ones
    ├── SlowRequestError             408  the body did not come in time
    ├── BodyTooLargeError            413
    ├── LimitReachedError            429  requests a minute or wei a day; ``retry_after``
    ├── AnswerWithheldError          502  nodes answered wrongly; says which receipt failed
    └── UnavailableError             503  no node, chain down, database gone, stopping; ``retry_after``
"""

from __future__ import annotations

from typing import ClassVar

from nexus_chain.errors import NexusError


class GatewayError(NexusError):
    """An answer with an HTTP status other than 2xx.

    ``code`` names the kind for programs, ``param`` the request's field at fault, ``retry_after`` is in seconds.
    ``headers``: what else the response says.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(
        self, message: str, *, advice: str, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, advice=advice)
        self.param, self.retry_after = param, retry_after
        self.headers: dict[str, str] = {}


class InvalidRequestError(GatewayError):
    """Raised for a request that is malformed; ``param`` names the field."""

    status, code = 400, "invalid_request"


class UnsupportedParameterError(InvalidRequestError):
    """Raised for a parameter that the program cannot follow exactly: it is never dropped in silence."""

    code = "unsupported_parameter"


class ContextTooLongError(InvalidRequestError):
    """Raised when prompt and answer exceed the model's context; says how long that is."""

    code = "context_length_exceeded"


class UnauthorizedError(GatewayError):
    """Raised without a key, or with one that is wrong, expired or revoked."""

    status, code = 401, "invalid_api_key"


class InvalidProofError(UnauthorizedError):
    """Raised for the token of a session with a key, where the request does not show that its sender holds the key."""

    code = "invalid_dpop_proof"

    def __init__(
        self, message: str, *, advice: str, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, advice=advice, param=param, retry_after=retry_after)
        self.headers["www-authenticate"] = 'DPoP error="invalid_dpop_proof", algs="ES256"'


class PaymentRequiredError(GatewayError):
    """Raised when the caller's credit does not cover what the request could cost."""

    status, code = 402, "insufficient_quota"


class ForbiddenError(GatewayError):
    """Raised when the caller's key lacks the scope for this."""

    status, code = 403, "permission_denied"


class NotFoundError(GatewayError):
    """Raised for what does not exist, or belongs to another account: a caller cannot tell which."""

    status, code = 404, "not_found"


class UnknownModelError(NotFoundError):
    """Raised for a model that this gateway does not serve; names those that it does."""

    code = "model_not_found"


class SlowRequestError(GatewayError):
    """Raised for a body that takes too long to come."""

    status, code = 408, "request_timeout"


class BodyTooLargeError(GatewayError):
    """Raised for a body above the limit."""

    status, code = 413, "request_too_large"


class LimitReachedError(GatewayError):
    """Raised above a key's requests a minute or wei a day, and above an account's answers at once."""

    status, code = 429, "rate_limit_exceeded"


class AnswerWithheldError(GatewayError):
    """Raised when nodes answered wrongly and nobody else is left; says which receipt failed."""

    status, code = 502, "answer_withheld"


class UnavailableError(GatewayError):
    """Raised while something that an answer needs is away."""

    status, code = 503, "service_unavailable"
