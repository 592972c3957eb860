"""Ollama's own client against our routes, over TCP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any

import httpx
import ollama
import pytest

from node.gateway.catalogue import PullProgress, unknown_entry
from node.gateway.errors import AnswerWithheldError, LimitReachedError, UnavailableError
from node.gateway.open_accounts import OPERATOR_CALLER
from tests.support.gateway_server import KEY, served_gateway
from tests.support.scripted_service import CHAT, CONTEXT, ENCODER, TEXT, ScriptedService

pytestmark = pytest.mark.fast


@dataclass
class ScriptedCatalogue:
    """One entry in two steps; ``failure`` comes after the first."""

    failure: UnavailableError | None = None
    pulled: list[str] = field(default_factory=list)

    def names(self) -> Sequence[str]:
        return ("smollm2",)

    async def pull(self, name: str) -> AsyncIterator[PullProgress]:
        if name not in self.names():
            raise unknown_entry(name, self.names())
        self.pulled.append(name)
        yield PullProgress("pulling abcdef", "sha256:abcdef", 100, 40)
        if self.failure is not None:
            raise self.failure
        yield PullProgress("pulling abcdef", "sha256:abcdef", 100, 100)


@pytest.fixture
def catalogue() -> ScriptedCatalogue:
    return ScriptedCatalogue()


@pytest.fixture
def url(service: ScriptedService, catalogue: ScriptedCatalogue) -> Iterator[str]:
    with served_gateway(service, catalogue=catalogue) as found:
        yield found


@pytest.fixture
def client(url: str) -> Iterator[ollama.Client]:
    with ollama.Client(url, headers={"Authorization": f"Bearer {KEY}"}) as found:
        yield found


def test_a_conversation_streams_piece_by_piece(client: ollama.Client, service: ScriptedService) -> None:
    service.steps = ["Grü", "", "ße\u2028", "\U0001f600"]
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    parts = list(client.chat(CHAT, messages, stream=True))
    assert [part.message.content for part in parts] == ["Grü", "ße\u2028", "\U0001f600", ""]
    assert {part.message.role for part in parts} == {"assistant"}
    assert [part.done for part in parts] == [False, False, False, True]
    last = parts[-1]
    assert (last.model, last.done_reason, last.eval_count) == (CHAT, "stop", 4)
    assert last.prompt_eval_count == len(service.request.prompt)
    for duration in (last.total_duration, last.load_duration, last.prompt_eval_duration, last.eval_duration):
        assert duration is not None
        assert duration >= 1
    codec = service.model(CHAT).files.codec
    assert service.request.prompt == tuple(codec.chat_prompt(messages))
    assert service.callers == [OPERATOR_CALLER]


def test_a_whole_answer(client: ollama.Client, service: ScriptedService) -> None:
    found = client.chat(f"{CHAT}:latest", [{"role": "user", "content": "Hi"}])
    assert found.message.content == "Hello world"
    assert (found.model, found.done, found.done_reason) == (f"{CHAT}:latest", True, "stop")
    assert service.request.model == CHAT
    assert (service.request.temperature, service.request.seed, service.request.max_tokens) == (0.8, None, None)


def test_a_whole_answer_says_when_its_first_piece_came(client: ollama.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients divide the count of tokens by this time, and show how fast the model is."""
    clock = SimpleNamespace(perf_counter_ns=count(1_000, 1_000).__next__)
    monkeypatch.setattr("node.gateway.ollama.answers.time", clock)
    found = client.chat(CHAT, [{"role": "user", "content": "Hi"}])
    assert (found.prompt_eval_duration, found.eval_duration, found.total_duration) == (1_000, 1_000, 2_000)


def test_an_answer_that_the_caller_began_is_continued(client: ollama.Client, service: ScriptedService) -> None:
    asked = {"role": "user", "content": "Name a colour."}
    client.chat(CHAT, [asked, {"role": "assistant", "content": "My favourite is"}])
    codec = service.model(CHAT).files.codec
    assert service.request.prompt == (*codec.chat_prompt([asked]), *codec.encode_plain("My favourite is"))


def test_generate_returns_a_context_that_goes_on(client: ollama.Client, service: ScriptedService) -> None:
    first = client.generate(TEXT, "def f(", options={"seed": 7, "temperature": 0, "num_predict": 5, "stop": ["\n"]})
    assert first.response == "Hello world"
    codec = service.model(TEXT).files.codec
    assert first.context == [*codec.encode_plain("def f("), *codec.encode_plain("Hello world")]
    asked = service.request
    assert (asked.max_tokens, asked.temperature, asked.seed, asked.stop) == (5, 0.0, 7, ("\n",))
    client.generate(TEXT, " + 1", context=first.context)
    assert service.request.prompt == (*first.context, *codec.encode_plain(" + 1"))
    assert codec.decode(service.request.prompt) == "def f(Hello world + 1"


def test_generate_with_a_chat_format_and_a_system_text(client: ollama.Client, service: ScriptedService) -> None:
    assert "".join(part.response or "" for part in client.generate(CHAT, "Hi", system="Be kind.", stream=True))
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    assert service.request.prompt == tuple(service.model(CHAT).files.codec.chat_prompt(messages))


def test_a_raw_prompt_means_its_control_tokens(client: ollama.Client, service: ScriptedService) -> None:
    codec = service.model(CHAT).files.codec
    found = client.generate(CHAT, "<|im_start|>user\n", raw=True)
    assert service.request.prompt == tuple(codec.encode("<|im_start|>user\n"))
    assert found.context is None
    client.generate(TEXT, "<|im_start|>user\n")
    assert service.request.prompt == tuple(codec.encode_plain("<|im_start|>user\n"))


def test_room_and_finish(client: ollama.Client, service: ScriptedService) -> None:
    service.finish = "length"
    prompt = "x" * 16
    for options, room in (
        ({"num_predict": -1}, CONTEXT - 16), ({"num_predict": 10**6}, CONTEXT - 16),
        ({"num_ctx": 64}, 48), ({"num_ctx": 10**6, "num_predict": 3}, 3),
    ):  # fmt: skip
        assert client.generate(TEXT, prompt, options=options).done_reason == "length"
        assert service.request.max_tokens == room


def test_nothing_asked_is_a_greeting(client: ollama.Client, service: ScriptedService) -> None:
    assert client.generate(CHAT).done_reason == "load"
    assert [part.done_reason for part in client.generate(CHAT, "", stream=True)] == ["load"]
    assert client.chat(CHAT, []).done_reason == "load"
    assert client.chat(CHAT, [], keep_alive=0).done_reason == "unload"
    assert service.answers == []


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"format": "json"}, "format"),
        ({"suffix": "}"}, "suffix"),
        ({"template": "{{ .Prompt }}"}, "template"),
        ({"images": ["aGk="]}, "images"),
        ({"think": True}, "think"),
        ({"logprobs": True}, "logprobs"),
        ({"options": {"top_k": 40}}, "options.top_k"),
        ({"options": {"top_p": 0.9}}, "options.top_p"),
        ({"options": {"min_p": 0.05}}, "options.min_p"),
        ({"options": {"repeat_penalty": 1.1}}, "options.repeat_penalty"),
        ({"options": {"mirostat": 1}}, "options.mirostat"),
        ({"options": {"presence_penalty": 0.5}}, "options.presence_penalty"),
        ({"options": {"num_predict": 0}}, "options.num_predict"),
        ({"options": {"stop": "x"}}, "options.stop"),
        ({"options": {"seed": "7"}}, "options.seed"),
        ({"options": {"temperature": 0.00001}}, "options.temperature"),
        ({"options": {"temperature": -1}}, "options.temperature"),
        ({"options": {"colour": 1}}, "options.colour"),
        ({"context": [10**6]}, "context"),
        ({"raw": True, "system": "Be kind."}, "system"),
        ({"system": "Be kind."}, "system"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(
    client: ollama.Client, service: ScriptedService, words: dict[str, Any], named: str
) -> None:
    with pytest.raises(ollama.ResponseError) as found:
        client.generate(TEXT, "x", **words)
    assert found.value.status_code == 400
    assert found.value.error.startswith(named)
    assert service.answers == []


@pytest.mark.parametrize(
    "options",
    [
        {"top_p": 1, "top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0, "presence_penalty": 0, "mirostat": 0},
        {"num_thread": 8, "num_gpu": 1, "use_mmap": True, "num_batch": 512, "low_vram": False, "num_keep": 4},
        {"temperature": 0, "top_p": 0.9, "top_k": 40, "min_p": 0.1},
        {"seed": -1, "top_k": None},
    ],
)
def test_options_without_effect_are_accepted(
    client: ollama.Client, service: ScriptedService, options: dict[str, Any]
) -> None:
    words: dict[str, Any] = {"format": "", "think": False, "suffix": "", "keep_alive": "5m", "images": []}
    assert client.generate(TEXT, "x", options=options, **words).response == "Hello world"
    assert service.request.seed is None


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ({"role": "tool", "content": "4"}, "messages[0].role"),
        ({"role": "user", "content": "x", "images": ["aGk="]}, "messages[0].images"),
        (
            {"role": "user", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
            "messages[0].tool_calls",
        ),
    ],
)
def test_messages_of_other_kinds_are_refused(client: ollama.Client, message: dict[str, Any], named: str) -> None:
    with pytest.raises(ollama.ResponseError, match=named.replace("[", r"\[")) as found:
        client.chat(CHAT, [message])
    assert found.value.status_code == 400


def test_tools_are_refused(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="tools cannot be followed"):
        client.chat(CHAT, [{"role": "user", "content": "x"}], tools=[{"type": "function"}])


def test_models_of_another_kind_say_so(client: ollama.Client) -> None:
    asked = [{"role": "user", "content": "x"}]
    for ask, words in (
        (lambda: client.chat(TEXT, asked), "has no chat format"),
        (lambda: client.chat(ENCODER, asked), "embeds texts"),
        (lambda: client.generate(ENCODER, "x"), "embeds texts"),
        (lambda: client.embed(CHAT, "x"), "does not support embeddings"),
    ):
        with pytest.raises(ollama.ResponseError, match=words) as found:
            ask()
        assert found.value.status_code == 400


def test_unknown_models_are_404_with_the_known_ones(client: ollama.Client) -> None:
    for ask in (
        lambda: client.generate("nobody", "x"), lambda: client.show("nobody"), lambda: client.embed("nobody", "x"),
        lambda: list(client.chat("nobody", [], stream=True)),
    ):  # fmt: skip
        with pytest.raises(ollama.ResponseError, match=f"Ask one of {CHAT}, {TEXT}, {ENCODER}") as found:
            ask()
        assert found.value.status_code == 404


def test_a_prompt_that_is_too_long_says_how_long_the_context_is(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match=f"300 tokens leave no room .* context of {CONTEXT}") as found:
        client.generate(TEXT, "x" * 300)
    assert found.value.status_code == 400
    with pytest.raises(ollama.ResponseError, match="context of 8"):
        client.generate(TEXT, "x" * 9, options={"num_ctx": 8})


@pytest.mark.parametrize("stream", [False, True])
def test_what_fails_before_the_first_piece_has_a_status(
    url: str, client: ollama.Client, service: ScriptedService, stream: bool
) -> None:
    service.refusal = LimitReachedError("too many requests", advice="Wait.", retry_after=1.2)
    body = {"model": TEXT, "prompt": "x", "stream": stream}
    answered = httpx.post(f"{url}/api/generate", json=body, headers={"authorization": f"Bearer {KEY}"})
    assert (answered.status_code, answered.headers["retry-after"]) == (429, "2")
    assert answered.json() == {"error": "too many requests. Wait."}
    service.refusal, service.steps = None, [UnavailableError("no node", advice="Wait.")]
    with pytest.raises(ollama.ResponseError, match="no node") as found:
        list(client.generate(TEXT, "x", stream=stream))  # type: ignore[call-overload]
    assert found.value.status_code == 503
    assert service.answers[-1].closed


def test_what_fails_later_is_the_last_line(client: ollama.Client, service: ScriptedService) -> None:
    service.steps = ["Hel", AnswerWithheldError("receipt 2 is wrong", advice="Ask again.")]
    parts = client.generate(TEXT, "x", stream=True)
    assert next(parts).response == "Hel"
    with pytest.raises(ollama.ResponseError, match="receipt 2 is wrong"):
        next(parts)


def test_an_answer_that_was_cut_off_is_no_answer(client: ollama.Client, service: ScriptedService) -> None:
    service.finish = "cancelled"
    with pytest.raises(ollama.ResponseError, match="before it was complete") as found:
        client.generate(TEXT, "x")
    assert found.value.status_code == 503


def test_only_callers_with_a_key_are_served(url: str, service: ScriptedService) -> None:
    with ollama.Client(url, headers={"Authorization": "Bearer wrong"}) as stranger:
        for ask in (
            lambda: stranger.generate(TEXT, "x"), lambda: stranger.chat(CHAT, []), lambda: stranger.embed(ENCODER, "x"),
            lambda: stranger.embeddings(ENCODER, "x"), lambda: stranger.pull("smollm2"),
        ):  # fmt: skip
            with pytest.raises(ollama.ResponseError, match="no such API key") as found:
                ask()
            assert found.value.status_code == 401
        assert len(stranger.list().models) == 3
    assert service.callers == []


def test_lists(client: ollama.Client, service: ScriptedService) -> None:
    found = {model.model: model for model in client.list().models}
    assert list(found) == [f"{CHAT}:latest", f"{TEXT}:latest", f"{ENCODER}:latest"]
    chat = found[f"{CHAT}:latest"]
    assert chat.digest == "11" * 32
    assert chat.size == sum(spec.nbytes for spec in service.model(CHAT).files.program.weights)
    assert chat.modified_at is not None
    assert chat.modified_at.timestamp() == 1_700_000_000
    assert chat.details is not None
    assert (chat.details.family, chat.details.format, chat.details.parameter_size) == ("llama", "nexus", "17.6K")
    (running, *_) = client.ps().models
    assert (running.model, running.context_length, running.digest) == (f"{CHAT}:latest", CONTEXT, "11" * 32)


def test_shown_models(client: ollama.Client, service: ScriptedService) -> None:
    chat, text, encoder = (client.show(name) for name in (CHAT, f"{TEXT}:latest", ENCODER))
    assert chat.capabilities == ["completion", "chat"]
    assert (text.capabilities, encoder.capabilities) == (["completion"], ["embedding"])
    assert chat.template == service.model(CHAT).files.codec.chat_template.source  # type: ignore[union-attr]
    assert (text.template, chat.license) == ("", "MIT")
    assert chat.modelinfo is not None
    assert chat.modelinfo["general.architecture"] == "llama"
    assert chat.modelinfo["llama.context_length"] == CONTEXT
    assert chat.modelinfo["nexus.weights_root"] == "sha256:" + "11" * 32
    assert chat.modelinfo["nexus.version"] == "0x" + "01" * 32


def test_embeddings(client: ollama.Client, service: ScriptedService) -> None:
    found = client.embed(ENCODER, ["ab", "c"])
    assert found.embeddings == [[0.6, 0.0, -0.8], [0.6, 0.0, -0.8]]
    assert (found.model, found.prompt_eval_count) == (ENCODER, 3)
    assert service.embedded == [tuple(service.model(ENCODER).files.codec.encode("ab")), (service.embedded[1][0],)]
    assert client.embeddings(ENCODER, "c").embedding == [9.0, 0.0, -12.0]
    assert client.embeddings(ENCODER).embedding == []
    assert client.embed(ENCODER, []).embeddings == []


def test_a_long_text_is_cut_unless_the_caller_forbids_it(client: ollama.Client, service: ScriptedService) -> None:
    client.embed(ENCODER, "x" * 300)
    assert len(service.embedded[-1]) == CONTEXT - 1
    with pytest.raises(ollama.ResponseError, match=f"300 tokens exceed the {CONTEXT - 1}") as found:
        client.embed(ENCODER, "x" * 300, truncate=False)
    assert found.value.status_code == 400
    with pytest.raises(ollama.ResponseError, match="dimensions cannot"):
        client.embed(ENCODER, "x", dimensions=16)
    assert client.embed(ENCODER, "x", dimensions=32).embeddings


def test_a_catalogues_model_is_pulled(client: ollama.Client, catalogue: ScriptedCatalogue) -> None:
    steps = list(client.pull("smollm2", stream=True))
    assert [(step.status, step.completed, step.total) for step in steps] == [
        ("pulling abcdef", 40, 100), ("pulling abcdef", 100, 100), ("success", None, None),
    ]  # fmt: skip
    assert client.pull("smollm2:latest").status == "success"
    assert catalogue.pulled == ["smollm2", "smollm2"]
    assert [step.status for step in client.pull(CHAT, stream=True)] == ["success"]
    with pytest.raises(ollama.ResponseError, match="It has: smollm2") as found:
        list(client.pull("nobody", stream=True))
    assert found.value.status_code == 404
    catalogue.failure = UnavailableError("the disk is full", advice="Make room.")
    with pytest.raises(ollama.ResponseError, match="the disk is full"):
        list(client.pull("smollm2", stream=True))
    with pytest.raises(ollama.ResponseError, match="the disk is full") as found:
        client.pull("smollm2")
    assert found.value.status_code == 503


def test_models_are_not_changed_here(client: ollama.Client) -> None:
    for ask in (
        lambda: client.copy(CHAT, "mine"), lambda: client.delete(CHAT), lambda: client.push(CHAT),
        lambda: client.create("mine", from_=CHAT), lambda: list(client.push(CHAT, stream=True)),
    ):  # fmt: skip
        with pytest.raises(ollama.ResponseError, match="does not make, copy, send or delete models"):
            ask()


def test_the_servers_own_pages(url: str) -> None:
    assert httpx.get(url).text == "Ollama is running"
    assert httpx.head(url).status_code == 200
    assert httpx.get(f"{url}/api/version").json() == {"version": "0.12.6"}
    assert httpx.head(f"{url}/api/blobs/sha256:00").status_code == 400
    assert httpx.get(f"{url}/openapi.json").status_code == 200


def test_curl_says_that_it_sends_a_form(url: str) -> None:
    """What Ollama's documents show: the lines of a stream, each one JSON object."""
    form = {"authorization": f"Bearer {KEY}", "content-type": "application/x-www-form-urlencoded"}
    answered = httpx.post(f"{url}/api/generate", content=json.dumps({"model": TEXT, "prompt": "x"}), headers=form)
    assert answered.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["response"] for line in answered.text.split("\n") if line] == ["Hello", " world", ""]
    assert httpx.post(f"{url}/api/generate", content=b"{", headers=form).status_code == 400


def test_the_asynchronous_client(url: str, service: ScriptedService) -> None:
    async def ask() -> tuple[list[str | None], str | None, int]:
        async with ollama.AsyncClient(url, headers={"Authorization": f"Bearer {KEY}"}) as client:
            asked = [{"role": "user", "content": "Hi"}]
            pieces = [part.message.content async for part in await client.chat(CHAT, asked, stream=True)]
            whole = await client.generate(TEXT, "x")
            await client.embed(ENCODER, "x")
            return pieces, whole.response, len((await client.list()).models)

    assert asyncio.run(ask()) == (["Hello", " world", ""], "Hello world", 3)
