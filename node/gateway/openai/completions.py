"""``/v1/completions`` as types and translation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, cast

from pydantic import Field

from node.gateway.errors import InvalidRequestError, UnsupportedParameterError
from node.gateway.generation import Generation, GenerationRequest, OfferedModel, TokenScore
from node.gateway.openai.chat import fingerprint_of, finish_of, usage_of
from node.gateway.openai.parameters import OpenAIRequest, StreamOptions, require_followed, stops_of

DEFAULT_MAX_TOKENS = 16
"""OpenAI's, where a request names none."""
MOST_PROMPTS, MOST_LOGPROBS = 64, 5

Prompts = str | list[str] | list[int] | list[list[int]]


class OpenAICompletionRequest(OpenAIRequest):
    """Texts, or token ids, to continue."""

    prompt: Prompts
    max_tokens: int | None = Field(default=DEFAULT_MAX_TOKENS, ge=0)
    seed: int | None = None
    stop: str | list[str] | None = None
    echo: bool | None = False
    logprobs: int | None = Field(default=None, ge=0, le=MOST_LOGPROBS)
    stream_options: StreamOptions | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def limit(self) -> int:
        """Most tokens of an answer; 0: the prompt alone is scored."""
        return DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens

    def require_possible(self) -> None:
        """Raise InvalidRequestError for what cannot be done, or not together."""
        require_followed(self.model_extra)
        if self.limit == 0 and not self.echo:
            raise InvalidRequestError(
                "max_tokens 0 without echo asks for nothing", advice="Send echo: true, or more.", param="max_tokens"
            )
        if self.stream and (self.echo or self.logprobs is not None or self.limit == 0):
            raise UnsupportedParameterError(
                "echo and logprobs are not streamed", advice="Ask without stream.", param="stream"
            )

    def generation(self, model: OfferedModel, prompt: Sequence[int]) -> GenerationRequest:
        """What the service is asked for one prompt."""
        return GenerationRequest(model.name, tuple(prompt), self.limit, self.heat, self.seed, stops_of(self.stop))


@dataclass(frozen=True)
class OnePrompt:
    """A prompt's text and token ids."""

    text: str
    tokens: tuple[int, ...]


def prompts_of(model: OfferedModel, given: Prompts, param: str = "prompt", room: int = 0) -> list[OnePrompt]:
    """The prompts of a request, one or many. Raises InvalidRequestError, PromptTooLongError."""
    is_one = isinstance(given, str) or bool(given and isinstance(given[0], int))
    several = cast("Sequence[str | Sequence[int]]", [given] if is_one else given)
    if not 0 < len(several) <= MOST_PROMPTS:
        raise InvalidRequestError(
            f"{len(several)} prompts cannot be asked at once", advice=f"Send 1 to {MOST_PROMPTS}.", param=param
        )
    return [_prompt(model, one, room) for one in several]


def _prompt(model: OfferedModel, given: str | Sequence[int], room: int) -> OnePrompt:
    if isinstance(given, str):
        return OnePrompt(given, tuple(model.files.prompt_of(given, room)))
    vocabulary = model.files.program.shape.vocab
    known = [token for token in given if 0 <= token < vocabulary]  # the service refuses the others
    return OnePrompt(model.files.codec.decode(known), tuple(given))


@dataclass(frozen=True)
class Completion:
    """What one prompt gave. ``generation``: None where only the prompt was scored."""

    prompt: OnePrompt
    text: str
    generation: Generation | None
    scores: Sequence[TokenScore] | None = None


def sampled_tokens(generation: Generation, text: str) -> tuple[int, ...]:
    """The answer's tokens that ``text`` is made of; where a stop text ended it, those after it are left out."""
    if generation.stop_text is None:
        return generation.tokens
    decode = generation.model.files.codec.decode
    return next(
        (
            generation.tokens[:n]
            for n in range(len(generation.tokens))
            if len(decode(generation.tokens[:n])) >= len(text)
        ),
        generation.tokens,
    )


def completion_reply(
    model: OfferedModel, id: str, created: int, request: OpenAICompletionRequest, found: Sequence[Completion]
) -> dict[str, Any]:
    """The whole reply."""
    prompt = sum(len(one.prompt.tokens) for one in found)
    sampled = sum(one.generation.completion_tokens for one in found if one.generation)
    return {
        **completion_head(model, id, created),
        "choices": [_choice(model, index, request, one) for index, one in enumerate(found)],
        "usage": usage_of(prompt, sampled),
    }


def completion_head(model: OfferedModel, id: str, created: int) -> dict[str, Any]:
    """What reply and chunks begin with."""
    head = {"id": f"cmpl-{id}", "object": "text_completion", "created": created, "model": model.name}
    return {**head, "system_fingerprint": fingerprint_of(model)}


def _choice(model: OfferedModel, index: int, request: OpenAICompletionRequest, one: Completion) -> dict[str, Any]:
    logprobs = None if one.scores is None else _logprobs(model, request, one)
    finish = "length" if one.generation is None else finish_of(one.generation)
    text = (one.prompt.text if request.echo else "") + one.text
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish}


def _logprobs(model: OfferedModel, request: OpenAICompletionRequest, one: Completion) -> dict[str, Any]:
    """Lists with an entry for each token: of the prompt where it is echoed, then of the answer."""
    shown = list(one.scores or ())[0 if request.echo else len(one.prompt.tokens) :]
    texts = [token_text(model, score.token) for score in shown]
    return {
        "tokens": texts,
        "token_logprobs": [score.logprob for score in shown],
        "top_logprobs": [_likeliest(model, score) for score in shown],
        "text_offset": [0, *accumulate(map(len, texts))][: len(texts)],
    }


def _likeliest(model: OfferedModel, score: TokenScore) -> dict[str, float] | None:
    """By text; of tokens with the same text the likeliest. The token itself is always among them."""
    if score.logprob is None:
        return None
    found: dict[str, float] = {}
    for token, logprob in (*score.top, (score.token, score.logprob)):
        text = token_text(model, token)
        found[text] = max(logprob, found.get(text, logprob))
    return found


def token_text(model: OfferedModel, token: int) -> str:
    """How a single token reads, a control token by its name."""
    return model.files.codec.decode_named([token])
