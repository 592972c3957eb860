"""Callers who send or read too slowly: what they hold, others wait for, so it is taken from them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from node.gateway import middleware
from node.gateway.app import build_app
from node.gateway.deps import Deps
from node.gateway.open_accounts import SingleKeyAccounts
from node.gateway.settings import GatewaySettings
from tests.support.gateway_server import KEY
from tests.support.scripted_service import TEXT, ScriptedService, scripted_models

pytestmark = pytest.mark.fast

BODY = f'{{"model": "{TEXT}", "prompt": "a", "stream": true}}'.encode()


@pytest.fixture
def service(tmp_path: Path) -> ScriptedService:
    return ScriptedService(scripted_models(tmp_path), steps=["word "] * 100)


async def never() -> None:
    await asyncio.Event().wait()


async def serve(
    service: ScriptedService,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
    app: Any = None,
    address: str = "127.0.0.1",
) -> None:
    """One request to the whole application, ended by itself."""
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/v1/completions", "raw_path": b"/v1/completions", "query_string": b"", "root_path": "",
        "headers": [(b"authorization", f"Bearer {KEY}".encode()), (b"content-type", b"application/json")],
        "client": (address, 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    app = app or build_app(Deps(service, SingleKeyAccounts(KEY)), GatewaySettings())
    await asyncio.wait_for(app(scope, receive, send), 60)


def test_a_reader_who_takes_nothing_is_one_who_left(service: ScriptedService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "READ_SECONDS", 0.01)
    bodies = [{"type": "http.request", "body": BODY, "more_body": False}]
    taken: list[Message] = []

    async def receive() -> Message:
        if not bodies:
            await never()
        return bodies.pop()

    async def send(message: Message) -> None:
        if len(taken) == 3:
            await never()
        taken.append(message)

    asyncio.run(serve(service, receive, send))
    (answer,) = service.answers
    assert (len(taken), answer.closed, answer.ended) == (3, True, False)


def test_a_body_that_never_ends_is_refused(service: ScriptedService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.01)
    sent = [{"type": "http.request", "body": BODY[:9], "more_body": True}]
    taken: list[Message] = []

    async def receive() -> Message:
        if not sent:
            await never()
        return sent.pop()

    async def send(message: Message) -> None:
        taken.append(message)

    asyncio.run(serve(service, receive, send))
    assert (taken[0]["status"], b"request_timeout" in taken[1]["body"], service.answers) == (408, True, [])


def test_large_bodies_that_one_address_sends_slowly_are_few(
    service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they hold in memory nobody has paid for, nor shown a key for."""
    monkeypatch.setattr(middleware, "LARGE_BODIES", 3)
    monkeypatch.setattr(middleware, "LARGE_OF_ADDRESS", 2)
    app = build_app(Deps(service, SingleKeyAccounts(KEY)), GatewaySettings())
    large = BODY + b" " * middleware.LARGE_BYTES
    begun: list[str] = []

    async def sent(address: str, *parts: bytes, goes_on: asyncio.Event | None = None) -> int:
        """The status that a body in ``parts`` gets, the last of which waits for ``goes_on``."""
        left, taken = list(parts), list[Message]()

        async def receive() -> Message:
            if len(left) == 1 and goes_on is not None:
                begun.append(address)
                await goes_on.wait()
            if not left:
                await never()
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def send(message: Message) -> None:
            taken.append(message)

        await serve(service, receive, send, app, address)
        return int(taken[0]["status"])

    async def work() -> None:
        on = asyncio.Event()
        slow = [asyncio.create_task(sent("203.0.113.7", large, b" ", goes_on=on)) for _ in range(2)]
        while len(begun) < 2:
            await asyncio.sleep(0)
        assert await sent("203.0.113.7", large, b" ") == 503
        assert await sent("203.0.113.7", BODY) == 200, "small ones are no matter"
        assert await sent("203.0.113.8", large, b" ") == 200
        on.set()
        assert await asyncio.gather(*slow) == [200, 200]
        assert await sent("203.0.113.7", large, b" ") == 200

    asyncio.run(work())
