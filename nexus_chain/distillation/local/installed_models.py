"""A server's models as it lists and shows them, kept for a while."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

import ollama

from nexus_chain.distillation.local.errors import LocalAnswerError, LocalModelMissingError
from nexus_chain.distillation.local.models import OllamaModel
from nexus_chain.distillation.local.recommendations import full_name

_SIZE = re.compile(r"\s*(\d{1,6}(?:\.\d{1,6})?)\s*([KMBT])?\s*", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
ListedModel = ollama.ListResponse.Model


class ModelCache:
    """What a server said about its models in the last ``seconds``; 0: nothing is kept. Any thread may use it."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._kept: dict[str, tuple[float, Any]] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> Any:
        """What was put there; None where there is nothing, or nothing fresh."""
        with self._lock:
            until, value = self._kept.get(key, (float("-inf"), None))
            return value if self._clock() < until else None

    def put(self, key: str, value: Any) -> None:
        """Keep a value."""
        with self._lock:
            self._kept[key] = (self._clock() + self._seconds, value)

    def clear(self) -> None:
        """Forget everything: the server has other models now."""
        with self._lock:
            self._kept.clear()


def listed_name(listed: ListedModel) -> str:
    """The name under which a listed model is asked. Raises LocalAnswerError."""
    if not listed.model:
        raise LocalAnswerError("the server lists a model without a name", advice="Check the server's version.")
    return listed.model


def find_listed(listed: list[ListedModel], name: str) -> ListedModel:
    """The listed model of a name, with or without its tag. Raises LocalModelMissingError."""
    for one in listed:
        if full_name(listed_name(one)) == full_name(name):
            return one
    raise LocalModelMissingError(
        f"the model {name!r} is not installed", advice="Fetch it with pull_model, or name another."
    )


def installed_model(listed: ListedModel, shown: ollama.ShowResponse) -> OllamaModel:
    """One model, of what ``/api/tags`` and ``/api/show`` say."""
    information: Mapping[str, Any] = shown.modelinfo or {}
    details = shown.details or listed.details
    family = (details.family if details else None) or information.get("general.architecture") or ""
    architecture = information.get("general.architecture", family)
    parameters = _whole(information.get("general.parameter_count"))
    return OllamaModel(
        name=listed_name(listed),
        size_gb=float(listed.size or 0) / 1e9,
        parameters=parameters or parameter_number((details.parameter_size if details else None) or ""),
        context_length=_whole(information.get(f"{architecture}.context_length")),
        installed=True,
        family=str(family),
    )


def parameter_number(text: str) -> int:
    """What people write as 5.8M; 0 where it is no number."""
    found = _SIZE.fullmatch(text)
    return round(float(found[1]) * _UNITS[(found[2] or "").upper()]) if found else 0


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
