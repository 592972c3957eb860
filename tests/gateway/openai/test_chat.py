"""``/v1/chat/completions`` through OpenAI's own client."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from node.gateway.errors import AnswerWithheldError, LimitReachedError, PaymentRequiredError, UnavailableError
from tests.support.gateway_server import KEY
from tests.support.scripted_service import CHAT, CONTEXT, ENCODER, TEXT, ScriptedService

pytestmark = pytest.mark.fast

ASKED: list[Any] = [{"role": "user", "content": "Hi"}]


def chat(client: openai.OpenAI, **words: Any) -> Any:
    return client.chat.completions.create(**{"model": CHAT, "messages": ASKED, **words})


def test_a_reply(client: openai.OpenAI, service: ScriptedService) -> None:
    found = chat(client)
    (choice,) = found.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", "Hello world", "stop")
    assert (found.id, found.object, found.model) == ("chatcmpl-answer-1", "chat.completion", CHAT)
    prompt = len(service.request.prompt)
    assert (found.usage.prompt_tokens, found.usage.completion_tokens, found.usage.total_tokens) == (
        prompt,
        2,
        prompt + 2,
    )


def test_what_the_service_is_asked(client: openai.OpenAI, service: ScriptedService) -> None:
    messages = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "c", "refusal": None},
        {"role": "user", "content": "d"},
    ]
    chat(client, messages=messages, temperature=0.5, seed=-7, stop=["x", "yz"], max_completion_tokens=9, user="u")
    asked, codec = service.request, service.model(CHAT).files.codec
    plain = [("system", "Be kind."), ("user", "ab"), ("assistant", "c"), ("user", "d")]
    assert list(asked.prompt) == codec.chat_prompt([{"role": role, "content": text} for role, text in plain])
    assert (asked.temperature, asked.seed, asked.stop, asked.max_tokens) == (0.5, -7, ("x", "yz"), 9)
    chat(client, max_tokens=3, stop="q")
    assert (service.request.temperature, service.request.max_tokens, service.request.stop) == (1.0, 3, ("q",))
    assert (service.request.seed, service.request.max_tokens) == (None, 3)


def test_a_stream_ends_with_its_usage_where_that_is_wanted(client: openai.OpenAI, service: ScriptedService) -> None:
    service.finish = "length"
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    assert [chunk.choices[0].delta.content for chunk in chunks[:-1]] == ["", "Hello", " world", None]
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None, None, None, "length"]
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 2)
    plain = list(chat(client, stream=True))
    assert len(plain) == 4
    assert all("usage" not in chunk.model_fields_set for chunk in plain)


def test_the_stream_on_the_wire(url: str) -> None:
    body = {"model": CHAT, "messages": ASKED, "stream": True}
    found = httpx.post(f"{url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {KEY}"})
    assert found.headers["content-type"].startswith("text/event-stream")
    assert (found.headers["cache-control"], found.headers["x-accel-buffering"]) == ("no-cache", "no")
    assert found.text.endswith('"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
    assert all(part.startswith("data: ") for part in found.text.strip().split("\n\n"))


def test_an_error_in_mid_stream_is_an_event(client: openai.OpenAI, service: ScriptedService) -> None:
    service.steps = ("Hel", AnswerWithheldError("the answer is withheld: receipt of segment 1", advice="Ask again."))
    stream = chat(client, stream=True)
    assert [next(stream).choices[0].delta.content for _ in range(2)] == ["", "Hel"]
    with pytest.raises(openai.APIError, match="segment 1") as told:
        next(stream)
    assert told.value.code == "answer_withheld"


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_before_any_text_has_its_status(client: openai.OpenAI, service: ScriptedService, stream: bool) -> None:
    service.steps = (UnavailableError("nobody serves layers 0-3", advice="Wait.", retry_after=4.2),)
    with pytest.raises(openai.InternalServerError) as told:
        list(chat(client, stream=stream))
    assert (told.value.status_code, told.value.code, told.value.type) == (503, "service_unavailable", "server_error")
    assert told.value.response.headers["retry-after"] == "5"


@pytest.mark.parametrize(
    ("words", "param"),
    [
        ({"n": 2}, "n"),
        ({"top_p": 0.9}, "top_p"),
        ({"frequency_penalty": 0.1}, "frequency_penalty"),
        ({"presence_penalty": -0.1}, "presence_penalty"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"extra_body": {"top_k": 3}}, "top_k"),
        ({"extra_body": {"never_heard_of": 1}}, "never_heard_of"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": 5}, "stop"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 3, "max_completion_tokens": 4}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "weight": 2}]}]}, "messages"),
        ({"model": TEXT}, "messages"),
        ({"model": ENCODER}, "model"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(
    client: openai.OpenAI, service: ScriptedService, words: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as told:
        chat(client, **words)
    assert (told.value.param, told.value.type) == (param, "invalid_request_error")
    assert service.answers == []


def test_what_changes_nothing_is_accepted(client: openai.OpenAI) -> None:
    neutral: dict[str, Any] = {
        "n": 1, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "logprobs": False,
        "tool_choice": "none", "response_format": {"type": "text"}, "metadata": {"a": "b"}, "store": True,
        "service_tier": "auto", "parallel_tool_calls": False, "user": "u",
    }  # fmt: skip
    replied = {"type": "output_text", "text": "x", "annotations": [], "logprobs": [{"token": "x"}]}
    neutral["messages"] = [{"role": "assistant", "content": [replied]}, {"role": "user", "content": "go on"}]
    assert chat(client, **neutral).choices[0].message.content == "Hello world"


def test_errors_are_openais_exceptions(client: openai.OpenAI, service: ScriptedService, url: str) -> None:
    with pytest.raises(openai.AuthenticationError):
        chat(client.with_options(api_key="wrong"))
    with pytest.raises(openai.NotFoundError, match=CHAT) as unknown:
        chat(client, model="gpt-9")
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    service.refusal = LimitReachedError("too many", advice="Wait.", retry_after=7)
    with pytest.raises(openai.RateLimitError) as limited:
        chat(client)
    assert limited.value.response.headers["retry-after"] == "7"
    service.refusal = PaymentRequiredError("no credit", advice="Deposit.")
    with pytest.raises(openai.APIStatusError) as unpaid:
        chat(client)
    assert (unpaid.value.status_code, unpaid.value.code) == (402, "insufficient_quota")


def test_a_key_is_asked_for_before_the_body_is_judged(url: str) -> None:
    found = httpx.post(f"{url}/v1/chat/completions", json={"model": 3})
    assert (found.status_code, found.headers["www-authenticate"]) == (401, "Bearer")


def test_bodies_that_are_none(url: str) -> None:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    found = httpx.post(f"{url}/v1/chat/completions", content=b"{", headers=headers)
    assert (found.status_code, found.json()["error"]["message"]) == (400, "the body is not JSON. Send one JSON object.")
    for sent in (b"x" * 5_000, iter([b"x" * 3_000] * 2)):  # with its length, and in chunks
        found = httpx.post(f"{url}/v1/chat/completions", content=sent, headers=headers)
        assert (found.status_code, found.json()["error"]["code"]) == (413, "request_too_large")
    found = httpx.post(f"{url}/v1/nothing", json={}, headers=headers)
    assert (found.status_code, found.json()["error"]["code"]) == (404, "not_found")
    assert httpx.get(f"{url}/v1/chat/completions").status_code == 405


def test_each_interface_has_its_own_errors(url: str) -> None:
    ours = httpx.post(f"{url}/api/chat", json={"model": CHAT}).json()
    assert set(ours) == {"error"}
    assert isinstance(ours["error"], str)
    theirs = httpx.post(f"{url}/v1/messages", json={"model": CHAT}).json()
    assert (theirs["type"], theirs["error"]["type"]) == ("error", "authentication_error")


def test_requests_are_numbered_and_counted(url: str) -> None:
    assert httpx.get(f"{url}/health", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    odd = httpx.get(f"{url}/health", headers={"x-request-id": "no blanks"}).headers["x-request-id"]
    assert len(odd) == 24
    httpx.get(f"{url}/v1/whatever/{odd}")
    counted = httpx.get(f"{url}/metrics").text
    assert 'nexus_gateway_requests_total{route="/health",status="200"} 2.0' in counted
    assert odd not in counted


def test_models_need_no_key(url: str) -> None:
    listed = httpx.get(f"{url}/v1/models").json()
    assert [one["id"] for one in listed["data"]] == [CHAT, TEXT, ENCODER]
    one = httpx.get(f"{url}/v1/models/{CHAT}").json()
    assert one == listed["data"][0]
    assert (one["created"], one["max_model_len"], one["wei_per_token"]) == (1_700_000_000, CONTEXT, "30")
    assert httpx.get(f"{url}/v1/models/none").json()["error"]["code"] == "model_not_found"
