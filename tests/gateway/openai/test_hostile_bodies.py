"""Bodies that no client sends: each is a 400 in the interface's shape, and none ends the process."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.support.gateway_server import KEY, served_gateway
from tests.support.scripted_service import CHAT, ENCODER, TEXT, ScriptedService

pytestmark = pytest.mark.fast

LONE = "\ud800"
TALK = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def http(service: ScriptedService) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    with served_gateway(service) as url, httpx.Client(base_url=url, headers=headers) as made:
        yield made


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": LONE, "messages": TALK}),
        ("/v1/chat/completions", {"model": CHAT, "messages": [{"role": LONE, "content": "a"}]}),
        ("/v1/chat/completions", {"model": CHAT, "messages": [{"role": "user", "content": LONE}]}),
        (
            "/v1/chat/completions",
            {"model": CHAT, "messages": [{"role": "user", "content": [{"type": "text", "text": LONE}]}]},
        ),
        ("/v1/chat/completions", {"model": CHAT, "messages": TALK, LONE: 1}),
        ("/v1/chat/completions", {"model": CHAT, "messages": TALK, "temperature": float("nan")}),
        ("/v1/chat/completions", {"model": CHAT, "messages": TALK, "top_p": float("inf")}),
        ("/v1/chat/completions", {"model": CHAT, "messages": TALK, "stop": [LONE]}),
        ("/v1/chat/completions", {"model": CHAT, "messages": TALK, "stream_options": {"x": 1}}),
        ("/v1/chat/completions", [CHAT]),
        ("/v1/completions", {"model": TEXT, "prompt": LONE}),
        ("/v1/completions", {"model": TEXT, "prompt": [True]}),
        ("/v1/completions", {"model": TEXT, "prompt": {}}),
        ("/v1/embeddings", {"model": ENCODER, "input": [LONE]}),
        ("/v1/embeddings", {"model": ENCODER, "input": "a", "encoding_format": "int8"}),
        ("/v1/responses", {"model": CHAT, "input": "Hi", "metadata": {"a": float("nan")}}),
        ("/v1/responses", {"model": CHAT, "input": "Hi", "user": LONE}),
        ("/v1/responses", {"model": CHAT, "input": [{"type": "item_reference", "id": "x"}]}),
        ("/tokenize", {"prompt": LONE}),
        ("/detokenize", {"tokens": [2**70]}),
    ],
)
def test_a_hostile_field(http: httpx.Client, path: str, body: object) -> None:
    found = http.post(path, content=json.dumps(body))
    assert found.status_code == 400, found.text
    assert found.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[" * 1_000_000, b'{"a":' * 300_000, b"9" * 100_000, b"\xff\xfe", b'{"model": "x"} trailing'],
)
def test_a_hostile_document(http: httpx.Client, body: bytes) -> None:
    found = http.post("/v1/chat/completions", content=body)
    assert found.status_code == 400, found.text
    assert found.json()["error"]["code"] == "invalid_request"


def test_large_seeds_are_seeds(http: httpx.Client, service: ScriptedService) -> None:
    body = {"model": CHAT, "messages": TALK, "seed": -(2**200)}
    assert http.post("/v1/chat/completions", json=body).status_code == 200
    assert service.request.seed == -(2**200)
