"""Errors as Anthropic's clients read them."""

from __future__ import annotations

from typing import Any

from node.gateway.errors import GatewayError

_KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 503: "overloaded_error",
}  # fmt: skip


def anthropic_error(error: GatewayError) -> dict[str, Any]:
    """The body of an error, and the data of the event that ends a stream which failed."""
    kind = _KINDS.get(error.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": str(error)}, "request_id": None}
