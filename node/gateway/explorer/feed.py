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
from node.gateway.shared_places import OWN_MACHINE, SharedPlace, SharedPlaces

MOST_LISTENERS = 256
LISTENERS_OF_ADDRESS = 32
"""As many as a house full of readers behind one address."""
_BACKLOG = 512
_HEARTBEAT_SECONDS = 15.0
_RETRY_AFTER = 5.0


class EventFeed:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Queue[bytes | None], SharedPlace] = {}
        self._places = SharedPlaces(MOST_LISTENERS, LISTENERS_OF_ADDRESS, "listening pages", _RETRY_AFTER)
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

    def listen(self, first: list[bytes], address: str = OWN_MACHINE) -> AsyncIterator[bytes]:
        """What is told from now on, after ``first``. Raises UnavailableError where too many listen, or too many of
        ``address``; see ``remote_address``.
        """
        if self._is_closed:
            raise UnavailableError("the gateway is stopping", advice="Come again.", retry_after=_RETRY_AFTER)
        place = self._places.take(address)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        for text in first:
            queue.put_nowait(text)
        self._listeners[queue] = place
        stream = self._told(queue)
        # A caller may leave before the first piece: then nothing of the stream ever runs, its end neither.
        weakref.finalize(stream, self._forget, queue)
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
            self._forget(queue)

    def _forget(self, queue: asyncio.Queue[bytes | None]) -> None:
        place = self._listeners.pop(queue, None)
        if place is not None:
            place.give_back()

    def _let_go(self, queue: asyncio.Queue[bytes | None]) -> None:
        self._forget(queue)
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
