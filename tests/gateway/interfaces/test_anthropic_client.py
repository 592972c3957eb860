"""Anthropic's own client against our routes, over TCP."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest
from anthropic.types import TextBlock

from node.gateway.anthropic.errors import anthropic_error
from node.gateway.deps import Deps
from node.gateway.errors import (
    AnswerWithheldError,
    BodyTooLargeError,
    ForbiddenError,
    GatewayError,
    LimitReachedError,
    PaymentRequiredError,
    UnavailableError,
)
from node.gateway.routes import anthropic_messages
from tests.support.gateway_server import CALLER, KEY, OneKey, served, small_application
from tests.support.scripted_service import CHAT, CONTEXT, ENCODER, TEXT, ScriptedService

pytestmark = pytest.mark.fast

ASKED: list[Any] = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def url(service: ScriptedService) -> Iterator[str]:
    app = small_application(Deps(service, OneKey()), anthropic_error, anthropic_messages.router)
    with served(app) as found:
        yield found


@pytest.fixture
def client(url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key=KEY, base_url=url, max_retries=0) as found:
        yield found


def text_of(message: anthropic.types.Message) -> str:
    (block,) = message.content
    assert isinstance(block, TextBlock)
    return block.text


def test_a_message(client: anthropic.Anthropic, service: ScriptedService) -> None:
    found = client.messages.create(model=CHAT, max_tokens=9, messages=ASKED, system="Be kind.")
    assert text_of(found) == "Hello world"
    assert (found.id, found.type, found.role, found.model) == ("answer-1", "message", "assistant", CHAT)
    assert (found.stop_reason, found.stop_sequence) == ("end_turn", None)
    assert (found.usage.input_tokens, found.usage.output_tokens) == (len(service.request.prompt), 2)
    messages = [{"role": "system", "content": "Be kind."}, *ASKED]
    assert service.request.prompt == tuple(service.model(CHAT).files.codec.chat_prompt(messages))
    asked = service.request
    assert (asked.max_tokens, asked.temperature, asked.seed, asked.stop) == (9, 1.0, None, ())
    assert service.callers == [CALLER]


def test_parameters_that_are_followed_or_harmless(client: anthropic.Anthropic, service: ScriptedService) -> None:
    client.messages.create(
        model=CHAT, max_tokens=9, messages=ASKED, stop_sequences=["\n", "END"], tools=[],
        extra_body={"temperature": 0.25, "top_p": 1},
        metadata={"user_id": "somebody"}, service_tier="auto", thinking={"type": "disabled"},
        extra_headers={"anthropic-version": "1999-01-01", "anthropic-beta": "anything"},
    )  # fmt: skip
    assert (service.request.temperature, service.request.stop) == (0.25, ("\n", "END"))
    client.messages.create(
        model=CHAT, max_tokens=9, messages=ASKED, extra_body={"temperature": 0, "top_p": 0.5, "top_k": 3}
    )
    assert service.request.temperature == 0


def test_blocks_and_neighbours_of_one_role_are_joined(client: anthropic.Anthropic, service: ScriptedService) -> None:
    cached: Any = {"type": "text", "text": "One.", "cache_control": {"type": "ephemeral"}}
    client.messages.create(
        model=CHAT,
        max_tokens=9,
        system=[cached, {"type": "text", "text": "Two."}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "user", "content": "c"},
            {"role": "assistant", "content": "d"},
            {"role": "user", "content": "e"},
        ],
    )
    messages = [
        {"role": "system", "content": "One.\nTwo."}, {"role": "user", "content": "a\nb\nc"},
        {"role": "assistant", "content": "d"}, {"role": "user", "content": "e"},
    ]  # fmt: skip
    assert service.request.prompt == tuple(service.model(CHAT).files.codec.chat_prompt(messages))


def test_an_answer_that_the_caller_began_is_continued(client: anthropic.Anthropic, service: ScriptedService) -> None:
    client.messages.create(model=CHAT, max_tokens=9, messages=[*ASKED, {"role": "assistant", "content": "{"}])
    codec = service.model(CHAT).files.codec
    assert service.request.prompt == (*codec.chat_prompt(ASKED), *codec.encode_plain("{"))


def test_why_an_answer_ended(client: anthropic.Anthropic, service: ScriptedService) -> None:
    def ask(limit: int) -> tuple[str | None, str | None]:
        found = client.messages.create(model=CHAT, max_tokens=limit, messages=ASKED)
        return found.stop_reason, found.stop_sequence

    service.finish = "length"
    assert ask(2) == ("max_tokens", None)
    room = CONTEXT - len(service.request.prompt)
    assert ask(5_000) == ("model_context_window_exceeded", None)
    assert service.request.max_tokens == room
    service.finish, service.stop_text = "stop", "END"
    assert ask(2) == ("stop_sequence", "END")


def test_events_come_in_their_order(url: str, service: ScriptedService) -> None:
    service.steps, service.stop_text = ["Grü", "", "ße\u2028\r\n"], "END"
    headers = {"x-api-key": KEY}
    body = {"model": CHAT, "max_tokens": 9, "messages": ASKED, "stream": True}
    answered = httpx.post(f"{url}/v1/messages", json=body, headers=headers)
    assert answered.headers["content-type"].startswith("text/event-stream")
    events = [part.split("\n") for part in answered.text.removesuffix("\n\n").split("\n\n")]
    named = [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in events]
    assert [name for name, _ in named] == [
        "message_start", "content_block_start", "ping", "content_block_delta", "content_block_delta",
        "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip
    assert all(data["type"] == name for name, data in named)
    start = named[0][1]["message"]
    assert (start["id"], start["content"], start["stop_reason"]) == ("answer-1", [], None)
    assert start["usage"]["input_tokens"] == len(service.request.prompt)
    assert [data["delta"]["text"] for name, data in named if name == "content_block_delta"] == ["Grü", "ße\u2028\r\n"]
    ending = named[-2][1]
    assert (ending["delta"]["stop_reason"], ending["delta"]["stop_sequence"]) == ("stop_sequence", "END")
    assert ending["usage"]["output_tokens"] == 3


def test_the_clients_stream(client: anthropic.Anthropic, service: ScriptedService) -> None:
    service.steps = ["Grü", "ße\u2028", "\U0001f600"]
    with client.messages.stream(model=CHAT, max_tokens=9, messages=ASKED) as stream:
        assert list(stream.text_stream) == ["Grü", "ße\u2028", "\U0001f600"]
        final = stream.get_final_message()
    assert text_of(final) == "Grüße\u2028\U0001f600"
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 3)
    whole = client.messages.create(model=CHAT, max_tokens=9, messages=ASKED)
    assert text_of(whole) == text_of(final)


def test_counted_tokens_are_those_of_an_answer(client: anthropic.Anthropic) -> None:
    words: dict[str, Any] = {"model": CHAT, "system": "Be kind.", "messages": ASKED}
    counted = client.messages.count_tokens(**words).input_tokens
    assert counted == client.messages.create(max_tokens=9, **words).usage.input_tokens
    assert counted == client.messages.count_tokens(**words, tools=[]).input_tokens
    with pytest.raises(anthropic.BadRequestError, match="tools cannot be followed"):
        client.messages.count_tokens(**words, tools=[{"name": "f", "input_schema": {"type": "object"}}])


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"tools": [{"name": "f", "input_schema": {"type": "object"}}]}, "tools"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"extra_body": {"top_k": 5}}, "top_k"),
        ({"extra_body": {"top_p": 0.9}}, "top_p"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking"),
        ({"extra_body": {"mcp_servers": [{"type": "url"}]}}, "mcp_servers"),
        ({"extra_body": {"container": "c"}}, "container"),
        ({"extra_body": {"colour": 1}}, "colour"),
        ({"extra_body": {"temperature": 1.5}}, "temperature"),
        ({"extra_body": {"temperature": 0.00001}}, "temperature"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"stop_sequences": [""]}, "stop_sequences.0"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, r"messages\[0\].content\[0\] is a block of type image"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, r"messages\[0\].content\[0\] has no text"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{**ASKED[0], "name": "x"}]}, r"messages\[0\].name"),
        ({"system": [IMAGE]}, r"system\[0\] is a block"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(
    client: anthropic.Anthropic, service: ScriptedService, words: dict[str, Any], named: str
) -> None:
    with pytest.raises(anthropic.BadRequestError) as found:
        client.messages.create(**{"model": CHAT, "max_tokens": 9, "messages": ASKED, **words})
    assert found.value.type == "invalid_request_error"
    assert re.match(named, found.value.api_message or "")
    assert service.answers == []


def test_max_tokens_is_required(url: str) -> None:
    answered = httpx.post(f"{url}/v1/messages", json={"model": CHAT, "messages": ASKED}, headers={"x-api-key": KEY})
    assert answered.status_code == 400
    assert answered.json()["error"] == {
        "type": "invalid_request_error", "message": "max_tokens: Field required. Change it.",
    }  # fmt: skip


def test_models_of_another_kind_say_so(client: anthropic.Anthropic) -> None:
    for name, words in ((TEXT, "has no chat format"), (ENCODER, "embeds texts")):
        with pytest.raises(anthropic.BadRequestError, match=words):
            client.messages.create(model=name, max_tokens=9, messages=ASKED)
    with pytest.raises(anthropic.NotFoundError, match=f"Ask one of {CHAT}, {TEXT}, {ENCODER}") as found:
        client.messages.create(model="nobody", max_tokens=9, messages=ASKED)
    assert found.value.type == "not_found_error"


@pytest.mark.parametrize(
    ("error", "seen", "kind"),
    [
        (PaymentRequiredError("no credit", advice="Pay."), anthropic.PaymentRequiredError, "billing_error"),
        (ForbiddenError("not this", advice="Ask."), anthropic.PermissionDeniedError, "permission_error"),
        (BodyTooLargeError("too large", advice="Cut."), anthropic.APIStatusError, "request_too_large"),
        (LimitReachedError("slow", advice="Wait.", retry_after=3), anthropic.RateLimitError, "rate_limit_error"),
        (AnswerWithheldError("wrong", advice="Ask again."), anthropic.InternalServerError, "api_error"),
        (UnavailableError("away", advice="Wait.", retry_after=3), anthropic.APIStatusError, "overloaded_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_have_their_status_and_kind(
    client: anthropic.Anthropic, service: ScriptedService, error: GatewayError, seen: Any, kind: str, stream: bool
) -> None:
    service.refusal = error
    with pytest.raises(seen) as found:
        client.messages.create(model=CHAT, max_tokens=9, messages=ASKED, stream=stream)
    assert (found.value.status_code, found.value.type) == (error.status, kind)
    assert found.value.response.headers.get("retry-after") == (None if error.retry_after is None else "3")


def test_only_callers_with_a_key_are_served(url: str, service: ScriptedService) -> None:
    with anthropic.Anthropic(api_key="wrong", base_url=url, max_retries=0) as stranger:
        with pytest.raises(anthropic.AuthenticationError) as found:
            stranger.messages.create(model=CHAT, max_tokens=9, messages=ASKED)
        assert found.value.type == "authentication_error"
        with pytest.raises(anthropic.AuthenticationError):
            stranger.messages.count_tokens(model=CHAT, messages=ASKED)
    assert service.callers == []


def test_what_fails_later_is_an_event(client: anthropic.Anthropic, service: ScriptedService) -> None:
    service.steps = ["Hel", AnswerWithheldError("receipt 2 is wrong", advice="Ask again.")]
    texts: list[str] = []

    def read() -> None:
        with client.messages.stream(model=CHAT, max_tokens=9, messages=ASKED) as stream:
            for text in stream.text_stream:
                texts.append(text)

    with pytest.raises(anthropic.APIStatusError, match="receipt 2 is wrong"):
        read()
    assert texts == ["Hel"]


def test_the_asynchronous_client(url: str) -> None:
    async def ask() -> tuple[str, list[str], int]:
        async with anthropic.AsyncAnthropic(api_key=KEY, base_url=url, max_retries=0) as client:
            whole = await client.messages.create(model=CHAT, max_tokens=9, messages=ASKED)
            async with client.messages.stream(model=CHAT, max_tokens=9, messages=ASKED) as stream:
                pieces = [text async for text in stream.text_stream]
            counted = await client.messages.count_tokens(model=CHAT, messages=ASKED)
            return text_of(whole), pieces, counted.input_tokens - whole.usage.input_tokens

    assert asyncio.run(ask()) == ("Hello world", ["Hello", " world"], 0)
