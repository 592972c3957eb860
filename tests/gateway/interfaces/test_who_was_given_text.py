"""Only a caller who is given text piece by piece pays for an answer that fails: in every interface alike."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from node.gateway.errors import UnavailableError
from tests.support.gateway_server import KEY, served_gateway
from tests.support.scripted_service import CHAT, TEXT, ScriptedService

pytestmark = pytest.mark.fast

SAID = [{"role": "user", "content": "Hi"}]
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"model": CHAT, "messages": SAID}),
    ("/v1/completions", {"model": TEXT, "prompt": "Hi"}),
    ("/v1/responses", {"model": CHAT, "input": "Hi"}),
    ("/v1/messages", {"model": CHAT, "messages": SAID, "max_tokens": 9}),
    ("/api/chat", {"model": CHAT, "messages": SAID}),
    ("/api/generate", {"model": TEXT, "prompt": "Hi"}),
]


@pytest.mark.parametrize(("path", "body"), ASKED)
@pytest.mark.parametrize("streams", [False, True])
def test_who_asks_for_a_whole_answer_was_given_nothing_of_one_that_fails(
    service: ScriptedService, path: str, body: dict[str, Any], streams: bool
) -> None:
    service.steps = ["Hello", UnavailableError("the node is gone", advice="Ask again.")]
    with served_gateway(service) as url:
        answer = httpx.post(url + path, json={**body, "stream": streams}, headers={"authorization": f"Bearer {KEY}"})
    assert answer.status_code == (200 if streams else 503)
    assert ("Hello" in answer.text) == streams
    assert [one.delivered for one in service.answers] == [streams]
