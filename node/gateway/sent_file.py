"""What is large, sent while it holds one of the gateway's transfers, to a reader who has to keep taking it."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

from fastapi.responses import FileResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.gateway.error_shapes import error_response
from node.gateway.errors import GatewayError
from node.gateway.shared_places import SharedPlaces, remote_address

log = logging.getLogger(__name__)

TRANSFERS_AT_ONCE = 16
"""Each holds a thread at times, and bandwidth that answers need too."""
TRANSFERS_OF_ADDRESS = 4
TRANSFER_AGAIN_SECONDS = 2.0
LEAST_BYTES_PER_SECOND = 32 << 10
"""A reader who takes less has left, or wants nothing but the place."""
SMALL_BYTES = 64 << 10
SLACK_SECONDS = 30.0
"""How far a reader may fall behind that rate before a transfer is ended."""


def new_transfers(most: int = TRANSFERS_AT_ONCE, each: int = TRANSFERS_OF_ADDRESS) -> SharedPlaces:
    """Places of files that are sent at once."""
    return SharedPlaces(most, each, "files that are being sent", TRANSFER_AGAIN_SECONDS)


class SentFile(FileResponse):
    """``released`` is called once nothing reads the file any more, however that came."""

    def __init__(
        self,
        path: Path,
        transfers: SharedPlaces,
        headers: Mapping[str, str],
        media_type: str,
        *,
        filename: str | None = None,
        released: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(path, headers=headers, media_type=media_type, filename=filename)
        self._transfers = transfers
        # Also where it is never sent, as its reader has left before that: then nothing of it ever runs.
        self._released = weakref.finalize(self, released)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with ExitStack() as stack:
            stack.callback(self._released)
            await _transferred(self._transfers, super().__call__, scope, receive, send)


class SentBytes(Response):
    """Bytes that are in memory as long as they are sent; few are no transfer."""

    def __init__(self, content: bytes, transfers: SharedPlaces, headers: Mapping[str, str], media_type: str) -> None:
        super().__init__(content, headers=dict(headers), media_type=media_type)
        self._transfers = transfers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(self.body) <= SMALL_BYTES:
            await super().__call__(scope, receive, send)
        else:
            await _transferred(self._transfers, self._in_pieces, scope, receive, send)

    async def _in_pieces(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for at in range(0, len(self.body), SMALL_BYTES):
            rest = at + SMALL_BYTES < len(self.body)
            await send({"type": "http.response.body", "body": self.body[at : at + SMALL_BYTES], "more_body": rest})


async def _transferred(transfers: SharedPlaces, response: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Have it sent while it holds a transfer."""
    try:
        place = transfers.take(remote_address(scope))
    except GatewayError as error:
        await error_response(scope["path"], error)(scope, receive, send)
        return
    with place:
        try:
            await response(scope, receive, _Pace(send).send)
        except _TooSlowError:
            # Nothing more is sent: the server breaks the connection off, and nobody takes it for whole.
            log.info("A reader of %s took too little of it: the transfer is ended", scope["path"])


class _TooSlowError(Exception):
    """Raised where a reader has fallen too far behind."""


class _Pace:
    """Hands messages on, and counts how long they are waited for against what was taken."""

    def __init__(self, send: Send) -> None:
        self._send, self._left = send, SLACK_SECONDS

    async def send(self, message: Message) -> None:
        """Raises _TooSlowError."""
        if self._left <= 0:
            raise _TooSlowError
        begun = monotonic()
        size = len(message.get("body", b""))
        try:
            async with asyncio.timeout(self._left):
                await self._send(message)
        except TimeoutError:
            raise _TooSlowError from None
        # INVARIANT: what was taken fast before buys no more than the slack: a place is not held by patience.
        earned = size / LEAST_BYTES_PER_SECOND - (monotonic() - begun)
        self._left = min(SLACK_SECONDS, self._left + earned)
