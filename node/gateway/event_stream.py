"""Server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi.responses import StreamingResponse

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
