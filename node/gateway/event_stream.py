"""Server-sent events, and answers that are read while they are written."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi.responses import StreamingResponse

from node.gateway.generation import Generation

DONE = b"data: [DONE]\n\n"
"""How OpenAI's streams of choices end."""


def event(data: Any, name: str | None = None) -> bytes:
    """One event: a JSON value, with a name where the interface gives its events names."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


def event_response(events: AsyncIterator[bytes]) -> StreamingResponse:
    """A response of events, which nobody on the way may keep back."""
    return StreamingResponse(
        events, media_type="text/event-stream", headers={"cache-control": "no-cache", "x-accel-buffering": "no"}
    )


async def begun(generation: Generation) -> AsyncIterator[str]:
    """The generation's pieces, once the first is there: what fails before it is an error with a status of its own.

    Raises GatewayError.
    """
    pieces = aiter(generation)
    try:
        first = await anext(pieces)
    except StopAsyncIteration:
        return _nothing()
    return _chained(first, pieces)


async def whole(generation: Generation) -> str:
    """The answer's text, read to its end. Raises GatewayError."""
    return "".join([piece async for piece in generation])


async def _nothing() -> AsyncIterator[str]:
    for piece in ():
        yield piece


async def _chained(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for piece in rest:
        yield piece
