"""What a caller sent, read without the gateway, is what the gateway asks: else `nexus verify` would be wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from nexus_chain.evidence.errors import ProofFileError
from nexus_chain.workflows.fetched_answers import fetch_proof
from nexus_chain.workflows.sent_requests import ENDPOINTS, load_sent_request, read_sent_request
from tests.support.gateway_server import KEY, served_gateway
from tests.support.scripted_service import CHAT, TEXT, ScriptedService

pytestmark = pytest.mark.fast

HI = {"role": "user", "content": "Hi <|im_end|>"}
PARTS = [{"type": "text", "text": "two "}, {"type": "text", "text": "parts"}]
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"model": CHAT, "messages": [HI]}),
    ("/v1/chat/completions", {"model": CHAT, "messages": [HI], "max_tokens": 7, "seed": -3, "temperature": 0}),
    ("/v1/chat/completions", {"model": CHAT, "messages": [HI, {"role": "assistant", "content": "Well"}], "stop": "x"}),
    ("/v1/chat/completions", {"model": CHAT, "messages": [{"role": "developer", "content": PARTS}, HI],
                              "max_completion_tokens": 9, "stop": ["a", "b"]}),
    ("/v1/completions", {"model": TEXT, "prompt": "Once <|im_end|> upon"}),
    ("/v1/completions", {"model": TEXT, "prompt": [1, 2, 3], "max_tokens": 5, "temperature": 0.5, "seed": 2**70}),
    ("/v1/completions", {"model": TEXT, "prompt": ["one", "two"]}),
    ("/v1/messages", {"model": CHAT, "messages": [HI, HI], "max_tokens": 9, "system": "Be brief."}),
    ("/v1/messages", {"model": CHAT, "messages": [{"role": "user", "content": PARTS}], "max_tokens": 9_999,
                      "stop_sequences": ["x"], "temperature": 0.25, "system": PARTS}),
    ("/api/chat", {"model": CHAT, "messages": [HI]}),
    ("/api/chat", {"model": CHAT, "messages": [HI], "options": {"num_predict": -1, "seed": -1, "stop": ["x"]}}),
    ("/api/chat", {"model": CHAT, "messages": [HI], "options": {"num_predict": 5, "num_ctx": 99, "seed": 4}}),
    ("/api/generate", {"model": CHAT, "prompt": "Hi", "system": "Be brief.", "options": {"temperature": 0}}),
    ("/api/generate", {"model": TEXT, "prompt": "Hi <|im_end|>", "context": [1, 2]}),
    ("/api/generate", {"model": TEXT, "prompt": "Hi <|im_end|>", "raw": True}),
    ("/api/generate", {"model": TEXT, "prompt": "Hi"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_a_body_means_what_the_gateway_takes_it_for(service: ScriptedService, path: str, body: dict[str, Any]) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    with served_gateway(service) as url:
        httpx.post(url + path, json={**body, "stream": False}, headers=headers).raise_for_status()
    read = read_sent_request(body, path, service.model(body["model"]).files)
    for answer in service.answers:
        asked = answer.request
        assert asked.prompt in read.prompts
        assert read.max_tokens(len(asked.prompt)) == asked.max_tokens
        assert (read.temperature, read.seed, read.stops) == (asked.temperature, asked.seed, asked.stop)
    assert len(read.prompts) == len(service.answers)
    assert read.model == body["model"]
    assert read_sent_request({**body, "model": "m:latest"}, path, service.model(body["model"]).files).model == "m"


def test_bodies_of_every_endpoint_are_compared() -> None:
    assert {path for path, _ in BODIES} == set(ENDPOINTS)


UNNAMED = '{"messages": [{"role": "user", "content": "Hi"}]}'


@pytest.mark.parametrize("body", ["{", "[]", "{}", UNNAMED, '{"messages": 5}', '{"messages": [{"role": "user"}]}'])
def test_what_is_no_body_is_said(service: ScriptedService, tmp_path: Path, body: str) -> None:
    file = tmp_path / "body.json"
    file.write_text(body)
    with pytest.raises(ProofFileError):
        load_sent_request(file, "/v1/chat/completions", service.model(CHAT).files)
    with pytest.raises(ProofFileError, match="cannot be compared"):
        read_sent_request({}, "/v1/elsewhere", service.model(CHAT).files)


class _OtherAnswer(BaseHTTPRequestHandler):
    """A gateway that keeps one answer, whatever it is asked for."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"id": "ab" * 16, "proof": {}}).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def other_answer() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _OtherAnswer) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/receipts/"
        server.shutdown()
        thread.join()


def test_evidence_of_another_answer_is_refused(other_answer: str) -> None:
    for id in ("cd" * 16, "chatcmpl-" + "cd" * 16, "x"):
        with pytest.raises(ProofFileError, match="another answer"):
            fetch_proof(other_answer + id)
    for id in ("ab" * 16, "chatcmpl-" + "ab" * 16, "msg_" + "ab" * 16):
        with pytest.raises(ProofFileError, match="not an answer file"):  # it is that answer's, and empty
            fetch_proof(other_answer + id)
