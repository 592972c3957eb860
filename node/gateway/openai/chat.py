"""``/v1/chat/completions`` as types and translation."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from node.gateway.errors import InvalidRequestError
from node.gateway.generation import Generation, GenerationRequest, OfferedModel
from node.gateway.openai.messages import OpenAIMessage, chat_tokens
from node.gateway.openai.parameters import OpenAIRequest, StreamOptions, require_followed, stops_of


class OpenAIChatRequest(OpenAIRequest):
    """A conversation to go on with."""

    messages: list[OpenAIMessage]
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = None
    stop: str | list[str] | None = None
    stream_options: StreamOptions | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    async def generation(self, model: OfferedModel) -> GenerationRequest:
        """What the service is asked. Raises InvalidRequestError."""
        require_followed(self.model_extra)
        most = {limit for limit in (self.max_tokens, self.max_completion_tokens) if limit is not None}
        if len(most) > 1:
            raise InvalidRequestError(
                "max_tokens and max_completion_tokens differ", advice="Send one of them.", param="max_tokens"
            )
        prompt = await chat_tokens(model, self.messages)
        return GenerationRequest(model.name, prompt, next(iter(most), None), self.heat, self.seed, stops_of(self.stop))


def usage_of(prompt: int, completion: int) -> dict[str, Any]:
    """Tokens of a request."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def finish_of(generation: Generation) -> str:
    """Why it ended, in OpenAI's words; whoever cancelled it reads this no more."""
    return "length" if generation.finish == "length" else "stop"


def chat_reply(generation: Generation, text: str, created: int) -> dict[str, Any]:
    """The whole reply."""
    return {
        **_head(generation, created, "chat.completion"),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": finish_of(generation),
            }
        ],
        "usage": usage_of(generation.prompt_tokens, generation.completion_tokens),
    }


def chat_chunk(
    generation: Generation, created: int, delta: dict[str, str], finish: str | None, *, with_usage: bool
) -> dict[str, Any]:
    """One chunk of a stream; where a usage chunk follows, each says that it is none."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    chunk = {**_head(generation, created, "chat.completion.chunk"), "choices": [choice]}
    return {**chunk, "usage": None} if with_usage else chunk


def chat_usage_chunk(generation: Generation, created: int) -> dict[str, Any]:
    """The last chunk of a stream whose reader wants the usage."""
    usage = usage_of(generation.prompt_tokens, generation.completion_tokens)
    return {**_head(generation, created, "chat.completion.chunk"), "choices": [], "usage": usage}


def _head(generation: Generation, created: int, kind: str) -> dict[str, Any]:
    model = generation.model
    return {
        "id": f"chatcmpl-{generation.id}",
        "object": kind,
        "created": created,
        "model": model.name,
        "system_fingerprint": fingerprint_of(model),
    }


def fingerprint_of(model: OfferedModel) -> str:
    """The same seed gives the same text wherever this is the same: it names the version."""
    return f"nexus_{model.version.hex()[:16]}"
