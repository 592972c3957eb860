"""What goes to a local server and what comes back."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nexus_chain.distillation.local.errors import LocalRequestError


@dataclass(frozen=True)
class OllamaModel:
    """See component 1 of the design. ``size_gb``: in 10⁹ bytes. ``parameters``: how many numbers the model has.

    ``context_length``: tokens. ``installed``: on the server; else it can be pulled. A number that the server does not
    say is 0.
    """

    name: str
    size_gb: float
    parameters: int
    context_length: int
    installed: bool
    family: str


@dataclass(frozen=True)
class LocalInferenceRequest:
    """See component 1 of the design. ``stream``: whether the answer travels piece by piece.

    Raises LocalRequestError.
    """

    prompt: str
    model: str
    temperature: float = 0.7
    max_tokens: int = 2048
    stream: bool = False
    system: str | None = None

    def __post_init__(self) -> None:
        if not self.prompt.strip() or not self.model.strip():
            raise LocalRequestError("the prompt or the model's name is empty", advice="Give both.")
        if not (math.isfinite(self.temperature) and self.temperature >= 0) or self.max_tokens < 1:
            raise LocalRequestError(
                "temperature or max_tokens is out of range", advice="Give 0 or more, and 1 or more."
            )
        try:
            f"{self.prompt}{self.model}{self.system or ''}".encode()
        except UnicodeEncodeError:
            raise LocalRequestError("the prompt is no Unicode text", advice="Remove lone surrogates from it.") from None


@dataclass(frozen=True)
class LocalInferenceResponse:
    """See component 1 of the design. ``latency_ms``: of the whole call, as seen here.

    ``tokens_per_second``: while the model wrote, where the server says that, else over the whole call.
    """

    text: str
    model: str
    tokens_generated: int
    latency_ms: float
    tokens_per_second: float


@dataclass(frozen=True)
class PullStep:
    """How far a download is. ``completed`` and ``total``: bytes of the part that is fetched now; 0 if not said."""

    status: str
    completed: int
    total: int
