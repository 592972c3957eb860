"""Server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from fastapi.responses import StreamingResponse

DONE = b"data: [DONE]\n\n"
"""How OpenAI's streams of choices end."""

BEAT_SECONDS = 15.0
"""A stream that says nothing for so long sends a comment: proxies cut what is silent."""
_BEAT = b": still here\n\n"


def event(data: Any, name: str | None = None) -> bytes:
    """One event: a JSON value, with a name where the interface gives its events names.

    All but ASCII is escaped: clients split lines at more characters than the newline.
    """
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def event_response(events: AsyncIterator[bytes]) -> StreamingResponse:
    """A response of events, which nobody on the way may keep back."""
    return StreamingResponse(
        events, media_type="text/event-stream", headers={"cache-control": "no-cache", "x-accel-buffering": "no"}
    )


async def lasting_events(
    events: AsyncGenerator[bytes, None], leaving: asyncio.Event, beat: float = BEAT_SECONDS
) -> AsyncIterator[bytes]:
    """``events``, which may be silent for long, until they end or the gateway is ``leaving``.

    A gateway waits for the responses under way before it stops; these would keep it for ever.
    """
    ending = asyncio.ensure_future(leaving.wait())
    coming = asyncio.ensure_future(events.__anext__())
    try:
        while True:
            done, _ = await asyncio.wait({coming, ending}, timeout=beat, return_when=asyncio.FIRST_COMPLETED)
            if coming in done:
                try:
                    yield coming.result()
                except StopAsyncIteration:
                    return
                coming = asyncio.ensure_future(events.__anext__())
            elif ending in done:
                return
            else:
                yield _BEAT
    finally:
        for task in (coming, ending):
            task.cancel()
        await asyncio.gather(coming, ending, return_exceptions=True)
        await events.aclose()
