"""What both local engines have in common: everything but the waiting."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import ollama

from nexus_chain.distillation.backoff import Backoff
from nexus_chain.distillation.local.bounded_reading import ReadLimits
from nexus_chain.distillation.local.errors import LocalAnswerError, LocalEngineError, LocalRequestError
from nexus_chain.distillation.local.failures import local_failure
from nexus_chain.distillation.local.installed_models import ModelCache
from nexus_chain.distillation.local.models import LocalInferenceRequest, PullStep
from nexus_chain.distillation.local.usage import UsageStatistics
from nexus_chain.distillation.secret import Secret
from nexus_chain.log_output import without_secrets

DEFAULT_HOST = "http://127.0.0.1:11434"
LISTED = ""
"""Where the cache has the list of models: no model has that name."""
PULLED = "success"
"""Ollama's last word of a download."""


@dataclass(frozen=True)
class LocalEngineSettings:
    """``timeout_seconds``: for a whole answer. ``control_seconds``: for questions about models.

    ``silence_seconds``: for a download to say something. ``cache_seconds``: that what the server said about its
    models is kept. ``keep_alive``: how long the server keeps a model loaded after an answer, in Ollama's words.
    ``most_bytes``: of one body. ``backoff``: between attempts; only broken connections and statuses 429 and 5xx are
    tried again. ``clock``: seconds, monotonic.
    """

    timeout_seconds: float = 300.0
    control_seconds: float = 10.0
    silence_seconds: float = 120.0
    cache_seconds: float = 60.0
    keep_alive: str = "30m"
    most_bytes: int = 16 << 20
    backoff: Backoff = field(default_factory=Backoff)
    clock: Callable[[], float] = time.monotonic


class EngineCore:
    """Arguments for the client, and sense of what it returns. ``host``: None: OLLAMA_HOST, else this machine."""

    def __init__(self, host: str | None, api_key: Secret | None, settings: LocalEngineSettings) -> None:
        self.host = host or os.environ.get("OLLAMA_HOST") or DEFAULT_HOST
        self.settings = settings
        self.cache = ModelCache(settings.cache_seconds, settings.clock)
        self.statistics = UsageStatistics()
        self._key = api_key

    def client_words(self, limits: ReadLimits, silence: float, transport: Any) -> dict[str, Any]:
        """Arguments of an Ollama client."""
        headers = {} if self._key is None else {"Authorization": f"Bearer {self._key.reveal()}"}
        seconds = silence if limits.seconds is None else limits.seconds
        return {"host": self._address(), "headers": headers, "timeout": seconds, "transport": transport(limits)}

    def limits(self, seconds: float | None) -> ReadLimits:
        """For bodies that may take so long."""
        return ReadLimits(seconds, self.settings.most_bytes)

    def words(self, request: LocalInferenceRequest) -> Mapping[str, Any]:
        """Arguments of the client's ``generate``, without ``stream``."""
        options = {"temperature": request.temperature, "num_predict": request.max_tokens}
        told = {"system": request.system} if request.system else {}
        keep = self.settings.keep_alive
        return {"model": request.model, "prompt": request.prompt, "options": options, "keep_alive": keep, **told}

    def failure(self, error: Exception, model: str = "") -> LocalEngineError:
        """The error to raise for the client's. No key is in it, whatever the server echoes."""
        if self._key is not None and isinstance(error, ollama.ResponseError):
            error.error = self._key.hide_in(str(error.error))
        return local_failure(error, without_secrets(self.host), model)

    def wait(self, failure: LocalEngineError, failures: int) -> float | None:
        """Seconds until the next attempt; None: there is none."""
        return self.settings.backoff.wait(failures) if failure.is_repeatable else None

    def pull_step(self, part: Any) -> PullStep:
        """One line of a download."""
        return PullStep(part.status or "", part.completed or 0, part.total or 0)

    def check_pulled(self, name: str, last: PullStep | None) -> None:
        """Raises LocalAnswerError where a download did not say that it is done."""
        self.cache.clear()
        if last is None or last.status != PULLED:
            raise LocalAnswerError(
                f"the download of {name} was cut off",
                advice="Pull it again: what is there already is not fetched anew.",
            )

    @contextmanager
    def counting(self, model: str) -> Iterator[None]:
        """Count a failure of the block."""
        try:
            yield
        except LocalEngineError:
            self.statistics.failed(model)
            raise

    def _address(self) -> str:
        """The host, where the client can read it."""
        try:
            parts = urlsplit(self.host if "://" in self.host else f"//{self.host}")
            known = parts.scheme in ("", "http", "https") and parts.port != 0
        except ValueError:
            known = False
        if known:
            return self.host
        raise LocalRequestError(
            f"{without_secrets(self.host)!r} is no address of a server", advice="Give HOST:PORT or an http address."
        )
