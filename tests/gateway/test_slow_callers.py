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
    service: ScriptedService, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """One request to the whole application, ended by itself."""
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/v1/completions", "raw_path": b"/v1/completions", "query_string": b"", "root_path": "",
        "headers": [(b"authorization", f"Bearer {KEY}".encode()), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    app = build_app(Deps(service, SingleKeyAccounts(KEY)), GatewaySettings())
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
