"""Models on this machine, asked by a program that does not wait: ``engine`` with ``await``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from types import TracebackType
from typing import TypeVar, cast

import ollama

from nexus_chain.distillation.local.answer_parts import AnswerParts
from nexus_chain.distillation.local.bounded_reading import AsyncBoundedTransport
from nexus_chain.distillation.local.engine_core import LISTED, EngineCore, LocalEngineSettings
from nexus_chain.distillation.local.failures import CLIENT_ERRORS
from nexus_chain.distillation.local.installed_models import ListedModel, find_listed, installed_model, listed_name
from nexus_chain.distillation.local.models import (
    LocalInferenceRequest,
    LocalInferenceResponse,
    OllamaModel,
    PullStep,
)
from nexus_chain.distillation.local.recommendations import RecommendedModel, model_use, recommended_models
from nexus_chain.distillation.local.usage import ModelUsage
from nexus_chain.distillation.secret import Secret

Awaited = TypeVar("Awaited")


class AsyncLocalEngine:
    """See ``LocalEngine``. One event loop owns it."""

    def __init__(
        self,
        ollama_host: str | None = None,
        *,
        api_key: Secret | None = None,
        settings: LocalEngineSettings | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._core = EngineCore(ollama_host, api_key, settings or LocalEngineSettings())
        self._sleep = sleep
        own = self._core.settings
        self._asking = self._client(own.timeout_seconds)
        self._control = self._client(own.control_seconds)
        self._pulling = self._client(None)

    async def check_ollama_available(self) -> bool:
        """Whether a server answers there as Ollama does. One attempt."""
        try:
            await self._control.list()
        except CLIENT_ERRORS:
            return False
        return True

    async def list_models(self) -> list[OllamaModel]:
        """The installed models. Raises LocalEngineError."""
        return [await self._shown(one) for one in await self._listed()]

    async def get_model_info(self, model_name: str) -> OllamaModel:
        """One installed model. Raises LocalModelMissingError and other LocalEngineErrors."""
        return await self._shown(find_listed(await self._listed(), model_name))

    async def recommend(self, use: str) -> list[RecommendedModel]:
        """Models for ``code``, ``general``, ``fast`` or ``quality``, installed ones first. Raises LocalEngineError."""
        wanted = model_use(use)
        return recommended_models(wanted, [listed_name(one) for one in await self._listed()])

    async def generate(self, request: LocalInferenceRequest) -> LocalInferenceResponse:
        """A whole answer. Raises LocalEngineError."""

        async def attempt() -> AsyncIterator[LocalInferenceResponse]:
            parts, began = AnswerParts(request), self._core.settings.clock()
            async for _ in self._pieces(request, parts, request.stream):
                pass
            yield parts.whole(self._core.settings.clock() - began)

        with self._core.counting(request.model):
            found = await _first(self._repeating(attempt, request.model))
        self._core.statistics.answered(found)
        return found

    async def stream_generate(self, request: LocalInferenceRequest) -> AsyncIterator[str]:
        """The pieces of an answer as they come; tried again only while there was none. Raises LocalEngineError.

        An answer that is cut off raises after its last piece.
        """
        parts, began = AnswerParts(request), self._core.settings.clock()
        with self._core.counting(request.model):
            pieces = self._repeating(
                lambda: self._pieces(request, parts, stream=True), request.model, lambda: not parts.has_text
            )
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece
            found = parts.whole(self._core.settings.clock() - began)
        self._core.statistics.answered(found)

    async def pull_model(self, model_name: str, progress: Callable[[PullStep], None] | None = None) -> None:
        """Fetch a model onto the server; ``progress`` is told each step. Raises LocalEngineError."""

        async def attempt() -> AsyncIterator[PullStep]:
            sent = cast(AsyncGenerator[object], await self._pulling.pull(model_name, stream=True))
            async with aclosing(sent):
                async for part in sent:
                    yield self._core.pull_step(part)

        last = None
        async with aclosing(self._repeating(attempt, model_name)) as steps:
            async for step in steps:
                last = step
                if progress is not None:
                    progress(step)
        self._core.check_pulled(model_name, last)

    def usage_statistics(self) -> dict[str, ModelUsage]:
        """How much each model was used by this engine, and how fast it was."""
        return self._core.statistics.by_model()

    async def aclose(self) -> None:
        """Give the connections back."""
        for client in (self._asking, self._control, self._pulling):
            await client.close()  # type: ignore[no-untyped-call]

    async def __aenter__(self) -> AsyncLocalEngine:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _client(self, seconds: float | None) -> ollama.AsyncClient:
        limits, silence = self._core.limits(seconds), self._core.settings.silence_seconds
        return ollama.AsyncClient(**self._core.client_words(limits, silence, AsyncBoundedTransport))

    async def _listed(self) -> list[ListedModel]:
        kept: list[ListedModel] | None = self._core.cache.get(LISTED)
        if kept is None:
            kept = list((await self._once(self._control.list)).models)
            self._core.cache.put(LISTED, kept)
        return kept

    async def _shown(self, listed: ListedModel) -> OllamaModel:
        name = listed_name(listed)
        kept: OllamaModel | None = self._core.cache.get(name)
        if kept is None:
            kept = installed_model(listed, await self._once(lambda: self._control.show(name), name))
            self._core.cache.put(name, kept)
        return kept

    async def _once(self, ask: Callable[[], Awaitable[Awaited]], model: str = "") -> Awaited:
        """One answer of ``ask``, which is tried again where that may help."""

        async def attempt() -> AsyncIterator[Awaited]:
            yield await ask()

        return await _first(self._repeating(attempt, model))

    async def _pieces(self, request: LocalInferenceRequest, parts: AnswerParts, stream: bool) -> AsyncIterator[str]:
        """The texts of one attempt, put into ``parts``, too."""
        words = self._core.words(request)
        if not stream:
            yield parts.add(await self._asking.generate(**words, stream=False))
            return
        answer = cast(AsyncGenerator[ollama.GenerateResponse], await self._asking.generate(**words, stream=True))
        async with aclosing(answer):
            async for part in answer:
                if piece := parts.add(part):
                    yield piece

    async def _repeating(
        self,
        attempt: Callable[[], AsyncIterator[Awaited]],
        model: str = "",
        may_repeat: Callable[[], bool] = lambda: True,
    ) -> AsyncGenerator[Awaited]:
        """What an attempt yields; after one that failed, what another yields, where that may help."""
        failures = 0
        while True:
            try:
                async with aclosing(cast(AsyncGenerator[Awaited], attempt())) as found:
                    async for one in found:
                        yield one
                return
            except CLIENT_ERRORS as error:
                failure = self._core.failure(error, model)
            failures += 1
            wait = self._core.wait(failure, failures) if may_repeat() else None
            if wait is None:
                raise failure
            await self._sleep(wait)


async def _first(found: AsyncGenerator[Awaited]) -> Awaited:
    async with aclosing(found):
        return await anext(found)
