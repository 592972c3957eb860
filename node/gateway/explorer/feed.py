"""Pushing what is new to listeners: a bounded number of them, each with a bounded backlog.

Listeners are told where to look (ids), not what is there: they ask for the documents that they show.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from node.gateway.errors import UnavailableError
from node.gateway.event_stream import event as written
from node.gateway.explorer.chain_events import KeptEvent

MOST_LISTENERS = 256
_BACKLOG = 512
_HEARTBEAT_SECONDS = 15.0
_RETRY_AFTER = 5.0


class EventFeed:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[bytes | None]] = set()
        self._is_closed = False

    def tell(self, name: str, data: dict[str, Any], id: str | None = None) -> None:
        """Tell all listeners; one that has taken nothing for long is let go, and comes back for what it missed."""
        text = (f"id: {id}\n".encode() if id else b"") + written(data, name)
        for queue in list(self._listeners):
            if queue.qsize() >= _BACKLOG:
                self._let_go(queue)
            else:
                queue.put_nowait(text)

    def close(self) -> None:
        """End every listener's stream: a server that stops waits for them."""
        self._is_closed = True
        for queue in list(self._listeners):
            self._let_go(queue)

    def listen(self, first: list[bytes]) -> AsyncIterator[bytes]:
        """What is told from now on, after ``first``. Raises UnavailableError where too many listen."""
        if self._is_closed or len(self._listeners) >= MOST_LISTENERS:
            raise UnavailableError(
                f"{len(self._listeners)} pages listen already", advice="Come again.", retry_after=_RETRY_AFTER
            )
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        for text in first:
            queue.put_nowait(text)
        self._listeners.add(queue)
        stream = self._told(queue)
        # A caller may leave before the first piece: then nothing of the stream ever runs, its end neither.
        weakref.finalize(stream, self._listeners.discard, queue)
        return stream

    async def _told(self, queue: asyncio.Queue[bytes | None]) -> AsyncIterator[bytes]:
        try:
            while True:
                try:
                    text = await asyncio.wait_for(queue.get(), _HEARTBEAT_SECONDS)
                except TimeoutError:
                    text = b": here\n\n"  # a proxy in between hangs up on silence
                if text is None:
                    return
                yield text
        finally:
            self._listeners.discard(queue)

    def _let_go(self, queue: asyncio.Queue[bytes | None]) -> None:
        self._listeners.discard(queue)
        with suppress(asyncio.QueueEmpty):
            while True:
                queue.get_nowait()
        queue.put_nowait(None)


def told_event(event: KeptEvent) -> dict[str, Any]:
    """What listeners are told of an event."""
    return {
        "id": event.id, "contract": event.contract, "name": event.name, "time": event.time,
        "transaction": event.transaction, "session": event.session, "node": event.node, "version": event.version,
        "game": event.game, "receipt": event.receipt,
    }  # fmt: skip
