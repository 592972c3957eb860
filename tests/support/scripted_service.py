"""A gateway's service that says what a test wrote down, with three small models that have files but no weights."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from nexus_chain.program.decoder import decoder_program
from nexus_chain.program.descriptors import ModelShape, Program
from nexus_chain.program.encoder import encoder_program
from nexus_chain.program.file_names import PROGRAM_FILE
from nexus_chain.versions.model_files import ModelFiles
from node.gateway.accounts import Caller
from node.gateway.errors import GatewayError, UnavailableError, UnknownModelError
from node.gateway.exchange import note_answer
from node.gateway.generation import Embedding, FinishReason, Generation, GenerationRequest, OfferedModel, Scorer
from tests.support.small_tokenizers import CHATML, byte_level, keep

CHAT, TEXT, ENCODER = "tiny-chat", "tiny-text", "tiny-encoder"
CONTEXT = 256
_SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_SIZES = {"width": 32, "heads": 2, "head_dim": 16, "ffn": 64, "context": CONTEXT}
Step = str | GatewayError | None
"""A piece of text, or how the answer fails; None: it goes on for ever without a word."""


@dataclass
class ScriptedAnswer:
    """See ``Generation``: each piece counts as a token."""

    model: OfferedModel
    request: GenerationRequest
    steps: Sequence[Step]
    finish_reason: FinishReason = "stop"
    stop_text: str | None = None
    id: str = "answer-1"
    completion_tokens: int = 0
    cost_wei: int = 0
    network_seconds: float = 0.25
    closed: bool = False
    delivered: bool = False
    left: bool = False
    ended: bool = False

    @property
    def prompt_tokens(self) -> int:
        return len(self.request.prompt)

    @property
    def tokens(self) -> tuple[int, ...]:
        return ()

    @property
    def finish(self) -> FinishReason:
        return self.finish_reason if self.ended else "cancelled"

    async def __aiter__(self) -> AsyncIterator[str]:
        try:
            for step in self.steps:
                if isinstance(step, GatewayError):
                    raise step
                if step is None:
                    await asyncio.Event().wait()
                    raise AssertionError("nobody sets it")
                self.completion_tokens += 1
                yield step
            self.ended = True
        finally:
            await self.aclose()

    @property
    def has_ended(self) -> bool:
        return self.closed

    def note_delivery(self) -> None:
        self.delivered = True

    def note_leaving(self) -> None:
        self.left = True

    async def aclose(self) -> None:
        self.cost_wei, self.closed = 10 * (self.prompt_tokens + self.completion_tokens), True


@dataclass
class ScriptedService:
    """See ``Service``. ``steps``, ``finish`` and ``stop_text``: of the answers to come; ``answers``: so far."""

    models: Sequence[OfferedModel]
    steps: Sequence[Step] = ("Hello", " world")
    finish: FinishReason = "stop"
    stop_text: str | None = None
    refusal: GatewayError | None = None
    answers: list[ScriptedAnswer] = field(default_factory=list)
    embedded: list[tuple[int, ...]] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)

    def model(self, name: str) -> OfferedModel:
        for one in self.models:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in self.models)
        raise UnknownModelError(f"there is no model {name!r} here", advice=f"Ask one of {known}.", param="model")

    async def generate(self, caller: Caller, request: GenerationRequest) -> Generation:
        self._note(caller)
        number = f"answer-{len(self.answers) + 1}"
        model = self.model(request.model)
        answer = ScriptedAnswer(model, request, self.steps, self.finish, self.stop_text, number)
        self.answers.append(answer)
        note_answer(answer)
        return answer

    async def embed(self, caller: Caller, model: str, tokens: Sequence[int]) -> Embedding:
        self._note(caller)
        self.embedded.append(tuple(tokens))
        number = len(self.embedded)
        return Embedding(f"embedding-{number}", (3.0 * number, 0.0, -4.0 * number), len(tokens), 7)

    def require_answerable(self, request: GenerationRequest) -> None:
        """Everything can be asked."""

    def scoring(
        self, caller: Caller, model: str, prompt: Sequence[int], more: int
    ) -> AbstractAsyncContextManager[Scorer]:
        raise UnavailableError("nothing is scored", advice="Ask again.")

    @property
    def request(self) -> GenerationRequest:
        """The last one."""
        return self.answers[-1].request

    def _note(self, caller: Caller) -> None:
        self.callers.append(caller)
        if self.refusal is not None:
            raise self.refusal


def scripted_models(folder: Path) -> list[OfferedModel]:
    """A chat model, one that continues texts, and an encoder. Every byte is a token, under ids 0 to 255."""
    vocab = byte_level(*_SPECIALS).get_vocab_size()
    decoder = ModelShape(layers=1, kv_heads=1, vocab=vocab, tied=True, **_SIZES)
    encoder = ModelShape(layers=2, kv_heads=2, vocab=vocab, encoder=True, **_SIZES)
    return [
        _model(folder, 1, decoder_program(CHAT, decoder), template=CHATML),
        _model(folder, 2, decoder_program(TEXT, decoder)),
        _model(folder, 3, encoder_program(ENCODER, encoder)),
    ]


def _model(folder: Path, number: int, program: Program, template: str | None = None) -> OfferedModel:
    place = folder / program.name
    declared = {"chat_template": template} if template else {}
    keep(place, byte_level(*_SPECIALS), tokenizer_config={"eos_token": "<|im_end|>", **declared})
    (place / PROGRAM_FILE).write_text(program.to_json())
    files = ModelFiles(place)
    return OfferedModel(program.name, bytes([number]) * 32, bytes([16 + number]) * 32, files, 1_700_000_000, 30, "MIT")
