"""Models on this machine, asked by a program that waits. ``async_engine`` has the same for one that does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from types import TracebackType
from typing import TypeVar, cast

import ollama

from nexus_chain.distillation.local.answer_parts import AnswerParts
from nexus_chain.distillation.local.bounded_reading import BoundedTransport
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

Answered = TypeVar("Answered")


class LocalEngine:
    """See component 1 of the design. Many threads may ask at once; ``close`` it, or use it as a context.

    ``ollama_host``: None: OLLAMA_HOST, else this machine. ``api_key``: for a gateway of this project.
    Raises LocalRequestError for a host that is no address.
    """

    def __init__(
        self,
        ollama_host: str | None = None,
        *,
        api_key: Secret | None = None,
        settings: LocalEngineSettings | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._core = EngineCore(ollama_host, api_key, settings or LocalEngineSettings())
        self._sleep = sleep
        own = self._core.settings
        self._asking = self._client(own.timeout_seconds)
        self._control = self._client(own.control_seconds)
        self._pulling = self._client(None)

    def check_ollama_available(self) -> bool:
        """Whether a server answers there as Ollama does. One attempt."""
        try:
            self._control.list()
        except CLIENT_ERRORS:
            return False
        return True

    def list_models(self) -> list[OllamaModel]:
        """The installed models. Raises LocalEngineError."""
        return [self._shown(one) for one in self._listed()]

    def get_model_info(self, model_name: str) -> OllamaModel:
        """One installed model. Raises LocalModelMissingError and other LocalEngineErrors."""
        return self._shown(find_listed(self._listed(), model_name))

    def recommend(self, use: str) -> list[RecommendedModel]:
        """Models for ``code``, ``general``, ``fast`` or ``quality``, installed ones first. Raises LocalEngineError."""
        wanted = model_use(use)
        return recommended_models(wanted, [listed_name(one) for one in self._listed()])

    def generate(self, request: LocalInferenceRequest) -> LocalInferenceResponse:
        """A whole answer. Raises LocalEngineError."""

        def attempt() -> Iterator[LocalInferenceResponse]:
            parts, began = AnswerParts(request), self._core.settings.clock()
            for _ in self._pieces(request, parts, request.stream):
                pass
            yield parts.whole(self._core.settings.clock() - began)

        with self._core.counting(request.model):
            found = next(self._repeating(attempt, request.model))
        self._core.statistics.answered(found)
        return found

    def stream_generate(self, request: LocalInferenceRequest) -> Iterator[str]:
        """The pieces of an answer as they come; tried again only while there was none. Raises LocalEngineError.

        An answer that is cut off raises after its last piece.
        """
        parts, began = AnswerParts(request), self._core.settings.clock()
        with self._core.counting(request.model):
            yield from self._repeating(
                lambda: self._pieces(request, parts, stream=True), request.model, lambda: not parts.has_text
            )
            found = parts.whole(self._core.settings.clock() - began)
        self._core.statistics.answered(found)

    def pull_model(self, model_name: str, progress: Callable[[PullStep], None] | None = None) -> None:
        """Fetch a model onto the server; ``progress`` is told each step. Raises LocalEngineError."""

        def attempt() -> Iterator[PullStep]:
            with closing(cast(Generator[object], self._pulling.pull(model_name, stream=True))) as stream:
                yield from map(self._core.pull_step, stream)

        last = None
        with closing(self._repeating(attempt, model_name)) as steps:
            for last in steps:
                if progress is not None:
                    progress(last)
        self._core.check_pulled(model_name, last)

    def usage_statistics(self) -> dict[str, ModelUsage]:
        """How much each model was used by this engine, and how fast it was."""
        return self._core.statistics.by_model()

    def close(self) -> None:
        """Give the connections back."""
        for client in (self._asking, self._control, self._pulling):
            client.close()  # type: ignore[no-untyped-call]

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _client(self, seconds: float | None) -> ollama.Client:
        limits, silence = self._core.limits(seconds), self._core.settings.silence_seconds
        return ollama.Client(**self._core.client_words(limits, silence, BoundedTransport))

    def _listed(self) -> list[ListedModel]:
        kept: list[ListedModel] | None = self._core.cache.get(LISTED)
        if kept is None:
            kept = list(next(self._repeating(lambda: iter([self._control.list()]))).models)
            self._core.cache.put(LISTED, kept)
        return kept

    def _shown(self, listed: ListedModel) -> OllamaModel:
        name = listed_name(listed)
        kept: OllamaModel | None = self._core.cache.get(name)
        if kept is None:
            kept = installed_model(listed, next(self._repeating(lambda: iter([self._control.show(name)]), name)))
            self._core.cache.put(name, kept)
        return kept

    def _pieces(self, request: LocalInferenceRequest, parts: AnswerParts, stream: bool) -> Iterator[str]:
        """The texts of one attempt, put into ``parts``, too."""
        words = self._core.words(request)
        if not stream:
            yield parts.add(self._asking.generate(**words, stream=False))
            return
        answer = self._asking.generate(**words, stream=True)
        with closing(cast(Generator[ollama.GenerateResponse], answer)) as sent:
            yield from filter(None, map(parts.add, sent))

    def _repeating(
        self,
        attempt: Callable[[], Iterator[Answered]],
        model: str = "",
        may_repeat: Callable[[], bool] = lambda: True,
    ) -> Generator[Answered]:
        """What an attempt yields; after one that failed, what another yields, where that may help."""
        failures = 0
        while True:
            try:
                yield from attempt()
                return
            except CLIENT_ERRORS as error:
                failure = self._core.failure(error, model)
            failures += 1
            wait = self._core.wait(failure, failures) if may_repeat() else None
            if wait is None:
                raise failure
            self._sleep(wait)
