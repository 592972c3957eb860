"""Errors as OpenAI's clients read them."""

from __future__ import annotations

from typing import Any

from node.gateway.errors import GatewayError

_TYPES = {400: "invalid_request_error", 401: "authentication_error", 402: "insufficient_quota", 403: "permission_error"}
_TYPES |= {404: "invalid_request_error", 413: "invalid_request_error", 429: "rate_limit_error"}


def openai_error(error: GatewayError) -> dict[str, Any]:
    """The body of an error's response."""
    kind = _TYPES.get(error.status, "server_error")
    return {"error": {"message": str(error), "type": kind, "param": error.param, "code": error.code}}
