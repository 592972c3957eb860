"""What an answer is to the gateway, whichever interface asked for it.

Routes translate a request to these types and the pieces back; ``service`` makes the answer. Tokens are the model's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from nexus_chain.chain.model_registry import ModelVersion
from nexus_chain.versions.model_files import ModelFiles
from node.gateway.accounts import Caller

FinishReason = Literal["stop", "length", "cancelled"]
Message = Mapping[str, str]
"""``role`` and ``content``, as a chat template takes them."""


@dataclass(frozen=True)
class OfferedModel:
    """One model version that this gateway answers with.

    ``name``: as callers write it. ``version``, ``weights_root``: 32 bytes. ``created``: Unix seconds of its
    registration. ``wei_per_token``: what the segments of a route ask together now; None while no route is known.
    ``share``: what the publisher gets on top of it at most, basis points.
    ``licence`` and ``source`` are words of the catalogue or the manifest, empty where unknown. ``publisher`` and
    ``record`` are what the registry says; None where it was not asked.
    """

    name: str
    version: bytes
    weights_root: bytes
    files: ModelFiles
    created: int
    wei_per_token: int | None = None
    licence: str = ""
    source: str = ""
    publisher: str = ""
    record: ModelVersion | None = None
    share: int = 0

    @property
    def is_encoder(self) -> bool:
        """Whether it embeds texts instead of continuing them."""
        return self.files.program.is_encoder

    @property
    def is_chat(self) -> bool:
        """Whether it has a chat format."""
        return not self.is_encoder and self.files.codec.chat_template is not None

    @property
    def context(self) -> int:
        """Most positions of a prompt and its answer."""
        return self.files.program.shape.context


@dataclass(frozen=True)
class GenerationRequest:
    """A prompt's token ids and how to go on from them.

    ``max_tokens`` None: as many as the context leaves. ``temperature`` 0 is greedy. ``seed`` None draws one.
    ``stop``: texts that end the answer and are not part of it.
    """

    model: str
    prompt: tuple[int, ...]
    max_tokens: int | None = None
    temperature: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


class Generation(Protocol):
    """One answer under way: iterate it for pieces of text, once; then its figures are there.

    Leaving early, or ``aclose``, ends it at the nodes within one chunk; what was computed is paid and receipted.
    """

    id: str
    """Names the answer: ``/v1/receipts/{id}``."""
    model: OfferedModel
    prompt_tokens: int

    @property
    def completion_tokens(self) -> int:
        """Tokens so far."""

    @property
    def tokens(self) -> tuple[int, ...]:
        """The sampled tokens, an end token included; known once it has ended."""

    @property
    def finish(self) -> FinishReason:
        """Why it ended; before that "cancelled"."""

    @property
    def stop_text(self) -> str | None:
        """The stop string that ended it, if one did."""

    @property
    def cost_wei(self) -> int:
        """What the caller pays for it; known once it has ended."""

    def __aiter__(self) -> AsyncIterator[str]:
        """Pieces of text that join to the answer. Raises GatewayError."""

    def note_delivery(self) -> None:
        """Say that its caller is given the text piece by piece: it is paid as far as it comes, also where it fails."""

    async def aclose(self) -> None:
        """End it."""


@dataclass(frozen=True)
class Embedding:
    """A text's embedding: components with 16 fraction bits, as floats; tokens of the text; the answer's id and cost."""

    id: str
    vector: tuple[float, ...]
    prompt_tokens: int
    cost_wei: int


@dataclass(frozen=True)
class TokenScore:
    """A token with its log-probability (nats) after those before it, and the likeliest ones there.

    ``logprob`` None: the first token, which nothing predicts.
    """

    token: int
    logprob: float | None
    top: tuple[tuple[int, float], ...] = ()


Scorer = Callable[[Sequence[int], int], Awaitable[Sequence[TokenScore]]]
"""Log-probabilities of a text's own tokens, from the program itself, to the bit; so many of the likeliest beside.

Raises GatewayError.
"""


class Service(Protocol):
    """The network as routes see it. Every method raises GatewayError and nothing else on purpose."""

    @property
    def models(self) -> Sequence[OfferedModel]:
        """Those that are served, from memory: never waits for the chain."""

    def model(self, name: str) -> OfferedModel:
        """The one of that name. Raises UnknownModelError."""

    def require_answerable(self, request: GenerationRequest) -> None:
        """Raise GatewayError for what ``generate`` refuses whoever asks: before other answers are paid in vain."""

    async def generate(self, caller: Caller, request: GenerationRequest) -> Generation:
        """Begin an answer: what it can cost at most is reserved of the caller's credit first."""

    async def embed(self, caller: Caller, model: str, tokens: Sequence[int]) -> Embedding:
        """Embed one text by the network."""

    def scoring(
        self, caller: Caller, model: str, prompt: Sequence[int], more: int
    ) -> AbstractAsyncContextManager[Scorer]:
        """What scores ``prompt`` and up to ``more`` tokens after it. Once it is entered, scores can be had and paid."""
