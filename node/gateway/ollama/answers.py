"""Answers as Ollama writes them: one JSON object, or a line for each piece and one for the end."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from node.gateway.generation import FinishReason, Generation

NDJSON = "application/x-ndjson"
_REASONS: Mapping[FinishReason, str] = {"stop": "stop", "length": "length", "cancelled": "stop"}


@dataclass
class OllamaTimes:
    """When a request came and its first piece left, in nanoseconds of one clock."""

    begun: int
    first: int | None = None

    @classmethod
    def start(cls) -> OllamaTimes:
        return cls(time.perf_counter_ns())

    def piece_left(self) -> None:
        """Note the first piece."""
        self.first = self.first or time.perf_counter_ns()

    def fields(self, prompt_tokens: int, tokens: int) -> dict[str, int]:
        """Durations in ns, none of them 0 (clients divide by them), and counts of tokens."""
        now = time.perf_counter_ns()
        first = self.first or now
        return {
            "total_duration": max(1, now - self.begun),
            "load_duration": 1,  # nothing is loaded for a request
            "prompt_eval_count": prompt_tokens,
            "prompt_eval_duration": max(1, first - self.begun),
            "eval_count": tokens,
            "eval_duration": max(1, now - first),
        }


@dataclass(frozen=True)
class OllamaAnswer:
    """``model``: its name as the caller wrote it. ``chat``: whether pieces are messages or plain responses."""

    model: str
    chat: bool

    def piece(self, text: str) -> dict[str, Any]:
        """A part of the answer."""
        return {**self._head(), **self._text(text), "done": False}

    def end(self, generation: Generation, times: OllamaTimes, text: str = "") -> dict[str, Any]:
        """The end of an answer, or with ``text`` all of it."""
        ended = {"done": True, "done_reason": _REASONS[generation.finish]}
        counts = times.fields(generation.prompt_tokens, generation.completion_tokens)
        return {**self._head(), **self._text(text), **ended, **counts}

    def idle(self, *, unload: bool) -> dict[str, Any]:
        """The answer to a request that asks nothing: the model is there."""
        return {**self._head(), **self._text(""), "done": True, "done_reason": "unload" if unload else "load"}

    def _head(self) -> dict[str, Any]:
        return {"model": self.model, "created_at": rfc3339(datetime.now(UTC))}

    def _text(self, text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text}} if self.chat else {"response": text}


def rfc3339(moment: datetime) -> str:
    """A moment as Go's clients read it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def json_line(value: Mapping[str, Any]) -> bytes:
    """One line of NDJSON. All but ASCII is escaped: clients split lines at more characters than the newline."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
