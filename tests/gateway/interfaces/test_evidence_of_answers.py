"""Whatever the interface: an answer leads to its receipts, and ends with its caller."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from tests.support.gateway_server import KEY, served_gateway
from tests.support.scripted_service import CHAT, ENCODER, TEXT, ScriptedService
from tests.support.waiting import wait_until

pytestmark = pytest.mark.fast

ASKED = [{"role": "user", "content": "Hi"}]
ANSWERS = [
    ("/api/chat", {"model": CHAT, "messages": ASKED}),
    ("/api/generate", {"model": TEXT, "prompt": "Hi"}),
    ("/v1/messages", {"model": CHAT, "messages": ASKED, "max_tokens": 9}),
]


@pytest.fixture
def client(service: ScriptedService) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {KEY}"}
    with served_gateway(service) as url, httpx.Client(base_url=url, headers=headers) as found:
        yield found


@pytest.mark.parametrize(("path", "body"), ANSWERS)
def test_headers_lead_to_the_receipts(
    client: httpx.Client, service: ScriptedService, path: str, body: dict[str, object]
) -> None:
    whole = client.post(path, json={**body, "stream": False})
    assert whole.headers["x-nexus-answer-id"] == "answer-1"
    assert whole.headers["x-nexus-receipts"] == "/v1/receipts/answer-1"
    assert whole.headers["x-nexus-cost-wei"] == str(service.answers[0].cost_wei)
    stream = client.post(path, json={**body, "stream": True})
    assert stream.headers["x-nexus-receipts"] == "/v1/receipts/answer-2"
    assert "x-nexus-cost-wei" not in stream.headers
    assert all(answer.closed for answer in service.answers)


@pytest.mark.parametrize(("path", "body"), ANSWERS)
def test_a_caller_who_leaves_ends_the_stream(
    client: httpx.Client, service: ScriptedService, path: str, body: dict[str, object]
) -> None:
    service.steps = ["Hello", None]
    with client.stream("POST", path, json={**body, "stream": True}) as answered:
        lines = answered.iter_lines()
        while "Hello" not in next(lines):
            pass
        assert not service.answers[0].closed
    wait_until(lambda: service.answers[0].closed)


@pytest.mark.parametrize(("path", "body"), ANSWERS)
def test_a_caller_who_does_not_wait_ends_the_answer(
    client: httpx.Client, service: ScriptedService, path: str, body: dict[str, object]
) -> None:
    service.steps = [None]

    async def ask_and_leave() -> None:
        async with httpx.AsyncClient(base_url=client.base_url, headers=client.headers) as other:
            asking = asyncio.create_task(other.post(path, json={**body, "stream": False}))
            await asyncio.to_thread(wait_until, lambda: service.answers)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(ask_and_leave())
    wait_until(lambda: service.answers[0].closed)


def test_models_are_listed_to_everybody_and_embedded_for_callers(client: httpx.Client) -> None:
    assert client.get("/api/tags", headers={"authorization": ""}).status_code == 200
    refused = client.post("/api/embed", json={"model": ENCODER, "input": "x"}, headers={"authorization": ""})
    assert (refused.status_code, list(refused.json())) == (401, ["error"])
