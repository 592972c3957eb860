"""Routes that read any body as JSON, whatever its type is called.

Ollama's documents show ``curl -d '{...}'``, which calls it a form. A key is needed for whatever costs, and browsers
send none by themselves, so nothing is gained by insisting.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class AnyJsonRoute(APIRoute):
    """A route whose handler finds ``application/json`` as the body's type."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI makes it, behind a request of that type."""
        handler = super().get_route_handler()

        async def read_as_json(request: Request) -> Response:
            headers = [(name, value) for name, value in request.scope["headers"] if name != b"content-type"]
            scope = {**request.scope, "headers": [*headers, (b"content-type", b"application/json")]}
            return await handler(Request(scope, request.receive))

        return read_as_json
