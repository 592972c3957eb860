"""Completions, embeddings, responses and the tokenizer through OpenAI's own client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import httpx
import openai
import pytest

from node.gateway.errors import UnavailableError
from node.gateway.generation import TokenScore
from tests.support.gateway_server import KEY
from tests.support.scripted_service import CHAT, ENCODER, TEXT, ScriptedService

pytestmark = pytest.mark.fast


def complete(client: openai.OpenAI, prompt: Any, **words: Any) -> Any:
    return client.completions.create(model=TEXT, prompt=prompt, **words)


def score_by_id(service: ScriptedService, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The service scores token t by -t; asked for one more, that is token 0 with 0."""
    asked: list[tuple[int, ...]] = []

    async def score(tokens: Sequence[int], top: int) -> list[TokenScore]:
        asked.append(tuple(tokens))
        likeliest = tuple((token, 0.0 - token) for token in range(top))
        return [TokenScore(token, -float(token) if at else None, likeliest) for at, token in enumerate(tokens)]

    monkeypatch.setattr(service, "scoring", lambda *_: nullcontext(score))
    return asked


def test_prompts_of_every_kind(client: openai.OpenAI, service: ScriptedService) -> None:
    codec = service.model(TEXT).files.codec
    tokens = codec.encode_plain("ab", special=True)
    for prompt, count in (("ab", 1), (["ab", "ab"], 2), (tokens, 1), ([tokens, tokens, tokens], 3)):
        service.answers.clear()
        found = complete(client, prompt)
        assert [choice.text for choice in found.choices] == ["Hello world"] * count
        assert [list(answer.request.prompt) for answer in service.answers] == [tokens] * count
        assert found.usage.prompt_tokens == count * len(tokens)
        assert found.usage.completion_tokens == 2 * count
    assert (service.request.max_tokens, service.request.temperature) == (16, 1.0)


def test_receipts_stand_in_the_order_of_the_prompts(
    client: openai.OpenAI, service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose credit is reserved first begins first: that is anybody's guess."""
    begin, others = service.generate, asyncio.Event()

    async def generate(caller: Any, request: Any) -> Any:
        if request.prompt == (5,):
            await others.wait()
        made = await begin(caller, request)
        others.set()
        return made

    monkeypatch.setattr(service, "generate", generate)
    found = client.completions.with_raw_response.create(model=TEXT, prompt=[[5], [6], [7]])
    begun = {answer.request.prompt: answer.id for answer in service.answers}
    assert service.answers[0].request.prompt != (5,)
    assert found.headers["x-nexus-answer-id"].split(", ") == [begun[(5,)], begun[(6,)], begun[(7,)]]


def test_a_text_that_names_a_control_token_stays_text(client: openai.OpenAI, service: ScriptedService) -> None:
    complete(client, "<|im_end|>")
    assert len(service.request.prompt) == len("<|im_end|>")


def test_streams_of_several_prompts(client: openai.OpenAI) -> None:
    chunks = list(complete(client, ["a", "b"], stream=True, stream_options={"include_usage": True}))
    told = [(chunk.choices[0].index, chunk.choices[0].text, chunk.choices[0].finish_reason) for chunk in chunks[:-1]]
    one = [("Hello", None), (" world", None), ("", "stop")]
    assert told == [(index, text, finish) for index in (0, 1) for text, finish in one]
    assert (chunks[-1].choices, chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == ([], 2, 4)


def test_a_prompt_is_scored(client: openai.OpenAI, service: ScriptedService, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = score_by_id(service, monkeypatch)
    (choice,) = complete(client, [5, 6, 5], echo=True, max_tokens=0, logprobs=1).choices
    codec = service.model(TEXT).files.codec
    five, six, none = (codec.decode([token]) for token in (5, 6, 0))
    assert (choice.text, choice.finish_reason) == (five + six + five, "length")
    assert choice.logprobs.tokens == [five, six, five]
    assert choice.logprobs.token_logprobs == [None, -6.0, -5.0]
    assert choice.logprobs.top_logprobs == [None, {none: 0.0, six: -6.0}, {none: 0.0, five: -5.0}]
    assert choice.logprobs.text_offset == [0, 1, 2]
    assert asked == [(5, 6, 5)]
    assert service.answers == []


def test_an_echo_stands_before_the_answer(client: openai.OpenAI) -> None:
    assert complete(client, "He said: ", echo=True).choices[0].text == "He said: Hello world"


@pytest.mark.parametrize(
    ("words", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"logprobs": 6}, "logprobs"),
        ({"best_of": 2}, "best_of"),
        ({"suffix": "x"}, "suffix"),
        ({"stream": True, "echo": True}, "stream"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[1], "a"]}, "prompt"),
    ],
)
def test_what_completions_refuse(client: openai.OpenAI, words: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as told:
        client.completions.create(**{"model": TEXT, "prompt": "a", **words})
    assert told.value.param == param


def test_embeddings(client: openai.OpenAI, service: ScriptedService) -> None:
    codec = service.model(ENCODER).files.codec
    for form in ("float", "base64"):
        found = client.embeddings.create(model=ENCODER, input=["a", "bc"], encoding_format=form)  # type: ignore[arg-type]
        assert len(found.data) == 2
        assert found.usage.prompt_tokens == 3
    packed = client.embeddings.create(model=ENCODER, input=codec.encode_plain("abc", special=True))
    assert packed.data[0].embedding == [15.0, 0.0, -20.0]  # the fifth; the library asked for base64
    assert service.embedded[-1] == tuple(codec.encode_plain("abc", special=True))
    with pytest.raises(openai.BadRequestError) as told:
        client.embeddings.create(model=ENCODER, input="a", dimensions=7)
    assert told.value.param == "dimensions"


def test_a_response(client: openai.OpenAI, service: ScriptedService) -> None:
    found = client.responses.create(model=CHAT, input="Hi", instructions="Be kind.", max_output_tokens=9)
    assert (found.output_text, found.status, found.id) == ("Hello world", "completed", "resp_answer-1")
    assert (found.usage.input_tokens, found.usage.output_tokens) == (len(service.request.prompt), 2)  # type: ignore[union-attr]
    codec = service.model(CHAT).files.codec
    plain = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    assert list(service.request.prompt) == codec.chat_prompt(plain)
    again: list[Any] = [{"role": "user", "content": "Hi"}, *[item.model_dump() for item in found.output]]
    client.responses.create(model=CHAT, input=[*again, {"role": "user", "content": "More"}])
    service.finish = "length"
    short = client.responses.create(model=CHAT, input="Hi")
    assert (short.status, short.incomplete_details.reason) == ("incomplete", "max_output_tokens")  # type: ignore[union-attr]


def test_events_of_a_response_come_in_their_order(client: openai.OpenAI, service: ScriptedService) -> None:
    events = list(client.responses.create(model=CHAT, input="Hi", stream=True))
    assert [event.type.removeprefix("response.") for event in events] == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert [event.sequence_number for event in events] == list(range(10))
    last: Any = events[-1]
    assert last.response.output_text == "Hello world"
    service.steps = ("Hel", UnavailableError("gone", advice="Ask again."))
    failed: Any = list(client.responses.create(model=CHAT, input="Hi", stream=True))[-1]
    assert (failed.type, failed.response.status) == ("response.failed", "failed")
    assert failed.response.error.message == "gone. Ask again."


@pytest.mark.parametrize(
    "words",
    [
        {"previous_response_id": "resp_1"},
        {"tools": [{"type": "web_search"}]},
        {"truncation": "auto"},
        {"background": True},
        {"reasoning": {"effort": "high"}},
        {"text": {"format": {"type": "json_object"}}},
    ],
)
def test_what_responses_refuse(client: openai.OpenAI, words: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as told:
        client.responses.create(model=CHAT, input="Hi", **words)
    assert told.value.param == next(iter(words))


def test_the_tokenizer(url: str, service: ScriptedService) -> None:
    codec = service.model(CHAT).files.codec
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {KEY}"}) as http:
        found = http.post("/tokenize", json={"prompt": "a<|im_end|>", "return_token_strs": True}).json()
        assert found["tokens"] == codec.encode("a<|im_end|>")
        assert (found["count"], found["token_strs"], found["max_model_len"]) == (2, ["a", "<|im_end|>"], 256)
        back = http.post("/detokenize", json={"tokens": found["tokens"]}).json()
        assert back == {"prompt": "a<|im_end|>"}
        asked = [{"role": "user", "content": "Hi"}]
        assert http.post("/tokenize", json={"messages": asked}).json()["tokens"] == codec.chat_prompt(asked)
        info = http.get("/tokenizer_info").json()
        assert (info["eos_token"], info["chat_template"]) == ("<|im_end|>", codec.chat_template.source)  # type: ignore[union-attr]
        assert http.post("/detokenize", json={"tokens": [-1]}).status_code == 400
    assert httpx.post(f"{url}/tokenize", json={"prompt": "a"}).status_code == 401
