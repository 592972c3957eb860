"""A text that cannot fit the context is refused in each interface's shape before anybody tokenizes it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from nexus_chain.versions.text_codec import TextCodec
from tests.support.gateway_server import KEY, served_gateway
from tests.support.scripted_service import CHAT, ENCODER, TEXT, ScriptedService

pytestmark = pytest.mark.fast

LONG = "x" * 100_000
SAID = [{"role": "user", "content": LONG}]
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"model": CHAT, "messages": SAID}),
    ("/v1/completions", {"model": TEXT, "prompt": LONG}),
    ("/v1/responses", {"model": CHAT, "input": LONG}),
    ("/v1/embeddings", {"model": ENCODER, "input": LONG}),
    ("/v1/messages", {"model": CHAT, "messages": SAID, "max_tokens": 9}),
    ("/v1/messages/count_tokens", {"model": CHAT, "messages": SAID}),
    ("/api/chat", {"model": CHAT, "messages": SAID}),
    ("/api/generate", {"model": TEXT, "prompt": LONG}),
    ("/api/generate", {"model": TEXT, "prompt": LONG, "raw": True}),
    ("/api/embed", {"model": ENCODER, "input": LONG, "truncate": False}),
]


@pytest.mark.parametrize(("path", "body"), ASKED)
def test_a_text_that_cannot_fit_is_not_tokenized(
    service: ScriptedService, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any]
) -> None:
    encoded, texts = TextCodec._encoded, []

    def noted(codec: TextCodec, text: str, **more: Any) -> Any:
        texts.append(text)
        return encoded(codec, text, **more)

    monkeypatch.setattr(TextCodec, "_encoded", noted)
    with served_gateway(service) as url:
        answer = httpx.post(url + path, json=body, headers={"authorization": f"Bearer {KEY}"})
    assert answer.status_code == 400
    error = answer.json()["error"]
    message = error if isinstance(error, str) else error["message"]
    assert "context of 256 tokens" in message
    if path.startswith("/v1/messages"):
        assert error["type"] == "invalid_request_error"
    elif path.startswith("/v1/"):
        assert error["code"] == "context_length_exceeded"
    assert not any(LONG in text for text in texts)
    assert not service.answers
