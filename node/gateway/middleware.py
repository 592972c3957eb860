"""What every request passes, whichever interface it is for. Pure ASGI: a stream passes piece by piece.

``WholeBody`` reads a request up to a limit, runs the rest while the caller listens, and ends what the request began.
``RequestLog`` numbers, counts and logs requests; neither a prompt nor a key reaches the log.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import time
from contextlib import ExitStack
from hashlib import sha256

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.gateway.deps import Deps
from node.gateway.error_shapes import error_response
from node.gateway.errors import (
    BodyTooLargeError,
    GatewayError,
    InvalidRequestError,
    SlowRequestError,
    UnavailableError,
)
from node.gateway.exchange import CURRENT, Exchange
from node.gateway.shared_places import SharedPlaces, remote_address

log = logging.getLogger(__name__)

BODY_SECONDS = 60.0
"""How long a request may take to come: until then it holds memory, and nobody knows whose it is."""
LARGE_BYTES = 64 << 10
LARGE_BODIES, LARGE_OF_ADDRESS = 256, 32
"""Bodies above LARGE_BYTES that are coming at once: nobody knows yet whether whoever sends them may ask anything."""
READ_SECONDS = 60.0
"""How long a reader may take nothing. Then it has left: its answer holds a place that others wait for."""

#: In JSON: half of a character beyond the first 65536, which is none without its other half.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestLog:
    """Gives each request an id (the caller's own, where it sent one) and says how it ended."""

    def __init__(self, app: ASGIApp, deps: Deps) -> None:
        self._app, self._metrics = app, deps.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = dict(scope["headers"]).get(b"x-request-id", b"")
        id = sent.decode() if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(12)
        scope.setdefault("state", {})["request_id"] = id
        status, started = 0, time.monotonic()

        async def numbered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), (b"x-request-id", id.encode())]}
            await send(message)

        try:
            await self._app(scope, receive, numbered)
        finally:
            self._note(scope, id, status, time.monotonic() - started)

    def _note(self, scope: Scope, id: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or "unknown"  # a path that anybody thinks up is no label
        self._metrics.requests.labels(route, str(status or "none")).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        shown = (id, scope["method"], route, status or "none", 1000 * seconds)
        log.info("request=%s method=%s route=%s status=%s ms=%.1f", *shown)


class WholeBody:
    """Bodies are JSON documents: read whole, at most ``limit`` bytes."""

    def __init__(self, app: ASGIApp, deps: Deps, limit: int) -> None:
        self._app, self._evidence, self._limit = app, deps.evidence, limit
        self._places = SharedPlaces(LARGE_BODIES, LARGE_OF_ADDRESS, "large requests that are coming", 2.0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_SECONDS):
                with ExitStack() as held:
                    body = await self._read(scope, receive, held)
            _require_characters(body or b"")
        except TimeoutError:
            slow = SlowRequestError(f"the body did not come in {BODY_SECONDS:.0f} seconds", advice="Send it faster.")
            await error_response(scope["path"], slow)(scope, receive, send)
            return
        except (InvalidRequestError, BodyTooLargeError, UnavailableError) as error:
            await error_response(scope["path"], error)(scope, receive, send)
            return
        if body is not None:
            exchange = Exchange(scope["state"]["request_id"], sha256(body).hexdigest())
            await _Serving(self, exchange, scope, body, receive, send).run()

    async def _read(self, scope: Scope, receive: Receive, held: ExitStack) -> bytes | None:
        """The body; None where the caller left. ``held``: a large one takes a place, until it has come.

        Raises BodyTooLargeError, UnavailableError.
        """
        length = dict(scope["headers"]).get(b"content-length", b"0")
        parts, size, more = [], int(length) if length.isdigit() else 0, True
        too_large = BodyTooLargeError(f"the request is larger than {self._limit} bytes", advice="Send a shorter one.")
        if size > self._limit:
            raise too_large
        size, place = 0, None
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size, more = size + len(parts[-1]), message.get("more_body", False)
            if size > self._limit:
                raise too_large
            if place is None and more and size > LARGE_BYTES:
                place = held.enter_context(self._places.take(remote_address(scope)))
        return b"".join(parts)

    async def end(self, exchange: Exchange, *, is_whole: bool) -> None:
        """End what the request began, and keep the hashes of what was sent."""
        for answer in exchange.answers:
            await answer.aclose()
        if exchange.answers and self._evidence is not None:
            await self._evidence.sent(exchange, is_whole=is_whole)

    def begin(self, exchange: Exchange, message: Message) -> Message:
        """The response's beginning, with what is known of its answers."""
        if not exchange.answers:
            return message
        if self._evidence is not None:
            self._evidence.open(exchange)
        ids = [answer.id for answer in exchange.answers]
        found = {"x-nexus-answer-id": ids, "x-nexus-receipts": [f"/v1/receipts/{id}" for id in ids]}
        if all(answer.has_ended for answer in exchange.answers):
            found["x-nexus-cost-wei"] = [str(sum(answer.cost_wei for answer in exchange.answers))]
            # It shows, too, whether somebody asked with the same beginning lately: callers share sessions. Timing a
            # request from outside shows it as well, with more noise.
            seconds = sum(answer.network_seconds for answer in exchange.answers)
            found["server-timing"] = [f"network;dur={1000 * seconds:.2f}"]
        added = [(name.encode(), ", ".join(values).encode()) for name, values in found.items()]
        return {**message, "headers": [*message.get("headers", ()), *added]}

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application itself."""
        await self._app(scope, receive, send)


def _require_characters(body: bytes) -> None:
    """Raise InvalidRequestError for a JSON text with half a character: no tokenizer and no reply could write it."""
    if _SURROGATE.search(body) is None:
        return
    try:
        json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidRequestError("a text has half a surrogate pair", advice="Send whole characters.") from None
    except (ValueError, RecursionError):
        return  # whoever reads it says what is wrong


class _Serving:
    """One request while it is served."""

    def __init__(
        self, outer: WholeBody, exchange: Exchange, scope: Scope, body: bytes, receive: Receive, send: Send
    ) -> None:
        self._outer, self._exchange, self._scope = outer, exchange, scope
        self._body: bytes | None = body
        self._receive, self._send = receive, send
        self._gone = asyncio.Event()
        self._begun = self._complete = False
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve until the response is complete or the caller has left."""
        token = CURRENT.set(self._exchange)
        serving = self._task = asyncio.create_task(self._serve())
        CURRENT.reset(token)
        watching = asyncio.create_task(self._watch(serving))
        try:
            await asyncio.wait({serving})
        finally:
            serving.cancel()
            watching.cancel()
            await asyncio.gather(serving, watching, return_exceptions=True)
            await self._outer.end(self._exchange, is_whole=self._complete)
        if not serving.cancelled() and (failure := serving.exception()) is not None:
            raise failure

    async def _serve(self) -> None:
        try:
            await self._outer.serve(self._scope, self._next, self._pass)
        except Exception:
            log.exception("Request %s failed", self._exchange.id)
            if self._begun:
                raise  # the server breaks the connection off: nobody takes it for complete
            error = GatewayError("the gateway failed", advice=f"Tell its operator: request {self._exchange.id}.")
            await error_response(self._scope["path"], error)(self._scope, self._next, self._pass)

    async def _deliver(self, message: Message) -> None:
        """Send it. A reader who takes nothing for too long is one who left: serving is cancelled."""
        try:
            async with asyncio.timeout(READ_SECONDS):
                await self._send(message)
        except TimeoutError:
            log.info("request=%s its reader takes nothing: it is ended", self._exchange.id)
            self._gone.set()
            if self._task is not None:
                self._task.cancel()
            await asyncio.Event().wait()

    async def _watch(self, serving: asyncio.Task[None]) -> None:
        """A caller who leaves ends what was asked: nobody would read it."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()
        if not self._complete:
            for answer in self._exchange.answers:
                answer.note_leaving()
            serving.cancel()

    async def _next(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _pass(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begun = True
            message = self._outer.begin(self._exchange, message)
        elif message["type"] == "http.response.body":
            self._exchange.sent.update(message.get("body", b""))
            self._complete = not message.get("more_body", False)
        await self._deliver(message)
