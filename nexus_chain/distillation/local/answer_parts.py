"""An answer as it comes in, in one piece or in many."""

from __future__ import annotations

import ollama

from nexus_chain.distillation.local.errors import LocalAnswerError
from nexus_chain.distillation.local.models import LocalInferenceRequest, LocalInferenceResponse

NANOSECONDS = 1e9


class AnswerParts:
    """Collects the parts of one answer; whether it ended is only known at its last part."""

    def __init__(self, request: LocalInferenceRequest) -> None:
        self._request = request
        self._texts: list[str] = []
        self._last: ollama.GenerateResponse | None = None

    @property
    def has_text(self) -> bool:
        """Whether somebody may have seen a piece of it already."""
        return bool(self._texts)

    def add(self, part: ollama.GenerateResponse) -> str:
        """The text of a part; empty where it has none."""
        text = part.response or ""
        if text:
            self._texts.append(text)
        self._last = part
        return text

    def whole(self, seconds: float) -> LocalInferenceResponse:
        """The answer after ``seconds`` of waiting. Raises LocalAnswerError."""
        last, text = self._last, "".join(self._texts)
        if last is None or not last.done:
            raise self._fault("was cut off")
        if last.eval_count is None or last.eval_count < 0:
            raise self._fault("does not say how many tokens it has")
        if not text.strip():
            raise self._fault("is empty")
        if any("\ud800" <= sign <= "\udfff" for sign in text):
            raise self._fault("is no Unicode text")
        writing = (last.eval_duration or 0) / NANOSECONDS
        took = writing if writing > 0 else seconds
        return LocalInferenceResponse(
            text=text,
            model=self._request.model,
            tokens_generated=last.eval_count,
            latency_ms=1000 * seconds,
            tokens_per_second=last.eval_count / took if took > 0 else 0.0,
        )

    def _fault(self, what: str) -> LocalAnswerError:
        return LocalAnswerError(f"the answer of {self._request.model} {what}", advice="Ask again, or another model.")
