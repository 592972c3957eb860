"""A caller's connection, before any request of it is known: strangers who send too much, too slowly, or nothing.

The server's parser takes heads of any length, for any time. Both are bounded here, and so is the number of connections:
a process without file descriptors reaches neither its database nor the network.
"""

from __future__ import annotations

import asyncio
import resource
from functools import cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 60.0
"""How long the head of a request may take to come, the first one counted from the connection."""
HEAD_BYTES = 64 << 10
"""Of a request beside its body: line, headers, trailers; about so much, as what comes together is counted together."""
_FRAMES = 8
"""Bytes that chunks of a body may take for each byte in them."""
UNREAD_SECONDS = 10.0
"""How long a connection stays whose request goes on after it was answered: its sender may not have read that yet."""
_SHARE = 0.75
"""Of the file descriptors that a process may have, for callers."""


class GatewayConnection(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self._late: asyncio.TimerHandle | None = None
        self._left = HEAD_BYTES

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            transport.abort()
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # INVARIANT: what is no body is counted before it is parsed: the parser keeps it, also a part of a header.
        self._left -= len(data)
        super().data_received(data)
        if self._left < 0 and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        self._left = HEAD_BYTES
        self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._expect_nothing()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._left += (1 + _FRAMES) * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._expect_nothing()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        # The cycle is another one, and not complete, where the next request came while this one was answered.
        if self.cycle.response_complete and self.cycle.more_body and not self.transport.is_closing():
            self._late = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)
        super().on_response_complete()

    def _expect_head(self) -> None:
        self._expect_nothing()
        self._late = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _expect_nothing(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


@cache
def most_connections() -> int:
    """Callers' connections at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else int(soft * _SHARE)
