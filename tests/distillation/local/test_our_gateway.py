"""Both engines, and a teacher, against this project's own gateway: the whole application over TCP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import cast

import pytest

from nexus_chain.distillation.local.async_engine import AsyncLocalEngine
from nexus_chain.distillation.local.engine import LocalEngine
from nexus_chain.distillation.local.errors import LocalEngineError, LocalModelMissingError, LocalServerError
from nexus_chain.distillation.local.models import LocalInferenceRequest, PullStep
from nexus_chain.distillation.secret import Secret
from nexus_chain.distillation.teachers.config import TeacherConfig
from nexus_chain.distillation.teachers.errors import TeacherRejectionError
from nexus_chain.distillation.teachers.presets import TeacherProtocol
from nexus_chain.distillation.teachers.teacher_apis import TeacherAPIs
from node.gateway.catalogue import PullProgress, unknown_entry
from node.gateway.errors import UnavailableError
from tests.support.gateway_server import KEY, served_gateway
from tests.support.scripted_service import CHAT, CONTEXT, TEXT, ScriptedService, scripted_models


class Catalogue:
    """One entry."""

    def names(self) -> Sequence[str]:
        return ("smollm2",)

    async def pull(self, name: str) -> AsyncIterator[PullProgress]:
        if name not in self.names():
            raise unknown_entry(name, self.names())
        yield PullProgress("pulling abcdef", "sha256:abcdef", 100, 40)


@pytest.fixture
def service(tmp_path: Path) -> ScriptedService:
    return ScriptedService(scripted_models(tmp_path), steps=["Grü", "ße\u2028", "\U0001f600"])


@pytest.fixture
def url(service: ScriptedService) -> Iterator[str]:
    with served_gateway(service, catalogue=Catalogue()) as found:
        yield found


@pytest.fixture
def engine(url: str) -> Iterator[LocalEngine]:
    with LocalEngine(url, api_key=Secret(KEY), sleep=lambda seconds: None) as found:
        yield found


ASKED = LocalInferenceRequest("Hi", CHAT, temperature=0.5, max_tokens=20, system="Be kind.")


def test_an_answer(engine: LocalEngine, service: ScriptedService) -> None:
    found = engine.generate(ASKED)
    assert (found.text, found.tokens_generated) == ("Grüße\u2028\U0001f600", 3)
    assert found.tokens_per_second > 0
    asked = service.request
    assert (asked.temperature, asked.max_tokens) == (0.5, 20)
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    assert asked.prompt == tuple(service.model(CHAT).files.codec.chat_prompt(messages))
    assert list(engine.stream_generate(ASKED)) == ["Grü", "ße\u2028", "\U0001f600"]


def test_models_and_information(engine: LocalEngine) -> None:
    assert engine.check_ollama_available()
    assert [one.name for one in engine.list_models()][:2] == [f"{CHAT}:latest", f"{TEXT}:latest"]
    found = engine.get_model_info(CHAT)
    assert (found.context_length, found.installed, found.family) == (CONTEXT, True, "llama")
    assert found.parameters > 0
    assert found.size_gb > 0
    with pytest.raises(LocalModelMissingError):
        engine.get_model_info("another")


def test_a_pull(engine: LocalEngine) -> None:
    steps: list[PullStep] = []
    engine.pull_model("smollm2", steps.append)
    assert steps == [PullStep("pulling abcdef", 40, 100), PullStep("success", 0, 0)]
    with pytest.raises(LocalModelMissingError):
        engine.pull_model("another")


def test_failures(engine: LocalEngine, service: ScriptedService, url: str) -> None:
    with pytest.raises(LocalModelMissingError, match="has no model 'another'"):
        engine.generate(LocalInferenceRequest("Hi", "another"))
    service.steps = ["a", UnavailableError("the network is away", advice="Wait.")]
    with pytest.raises(LocalServerError, match="the network is away"):
        engine.generate(ASKED)
    pieces: list[str] = []
    with pytest.raises(LocalEngineError, match="the network is away"):
        pieces.extend(engine.stream_generate(ASKED))
    with LocalEngine(url, api_key=Secret("sk-nexus-a-wrong-one")) as stranger:
        assert stranger.check_ollama_available()
        with pytest.raises(LocalServerError, match="status 401"):
            stranger.generate(ASKED)


def test_the_asynchronous_engine(url: str) -> None:
    async def ask() -> list[str]:
        async with AsyncLocalEngine(url, api_key=Secret(KEY)) as engine:
            both = await asyncio.gather(engine.generate(ASKED), engine.generate(ASKED))
            assert (await engine.get_model_info(CHAT)).context_length == CONTEXT
            pieces = engine.stream_generate(ASKED)
            async with aclosing(cast(AsyncGenerator[str], pieces)):
                return [*(one.text for one in both), "".join([piece async for piece in pieces])]

    assert asyncio.run(ask()) == ["Grüße\u2028\U0001f600"] * 3


@pytest.mark.parametrize("protocol", list(TeacherProtocol))
def test_the_gateway_is_a_teacher(url: str, protocol: TeacherProtocol) -> None:
    """With both protocols that it speaks, and with the official clients."""
    endpoint = f"{url}/v1" if protocol is TeacherProtocol.OPENAI else url
    config = TeacherConfig("ours", Secret(KEY), endpoint, model=CHAT, free=True, protocol=protocol, max_tokens=20)
    with TeacherAPIs([config]) as teachers:
        found = teachers.query_single("ours", "Hi", system="Be kind.")
        assert (found.text, found.complete, found.counted) == ("Grüße\u2028\U0001f600", True, True)
        assert found.tokens_used > 3
    stranger = TeacherConfig("ours", Secret("sk-nexus-a-wrong-one"), endpoint, model=CHAT, free=True, protocol=protocol)
    with TeacherAPIs([stranger]) as teachers, pytest.raises(TeacherRejectionError, match="status 401"):
        teachers.query_single("ours", "Hi")
