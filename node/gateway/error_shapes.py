"""Which interface a path belongs to, and so how its errors are written."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fastapi.responses import JSONResponse

from node.gateway.anthropic.errors import anthropic_error
from node.gateway.errors import GatewayError
from node.gateway.ollama.errors import ollama_error
from node.gateway.openai.errors import openai_error

ErrorShape = Callable[[GatewayError], dict[str, Any]]

ERROR_SHAPES: tuple[tuple[str, ErrorShape], ...] = (("/v1/messages", anthropic_error), ("/api/", ollama_error))
"""Beginnings of paths with the shape of their errors, the first that fits; all others are OpenAI's."""


def error_body(path: str, error: GatewayError) -> dict[str, Any]:
    """``error`` in the shape of the interface that ``path`` belongs to."""
    for beginning, shape in ERROR_SHAPES:
        if path.startswith(beginning):
            return shape(error)
    return openai_error(error)


def error_response(path: str, error: GatewayError) -> JSONResponse:
    """The whole response, with its status and with when to come again."""
    headers = dict(error.headers)
    if error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after))
    if error.status == 401:
        headers.setdefault("www-authenticate", "Bearer")
    return JSONResponse(error_body(path, error), error.status, headers)
