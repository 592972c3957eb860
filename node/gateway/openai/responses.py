"""``/v1/responses`` as types and translation: text in, text out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from node.gateway.errors import GatewayError, UnsupportedParameterError
from node.gateway.event_stream import event
from node.gateway.generation import Generation, GenerationRequest, OfferedModel
from node.gateway.openai.messages import OpenAIMessage, chat_tokens
from node.gateway.openai.parameters import OpenAIRequest, StreamOptions, require_followed


class InputMessage(OpenAIMessage):
    """One item of the input; its type is ``message``."""

    type: str | None = "message"


class OpenAIResponseRequest(OpenAIRequest):
    """A text or a conversation to answer."""

    input: str | list[InputMessage]
    instructions: str | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = None
    stream_options: StreamOptions | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    parallel_tool_calls: bool | None = True

    async def generation(self, model: OfferedModel) -> GenerationRequest:
        """What the service is asked. Raises InvalidRequestError."""
        require_followed(self.model_extra)
        prompt = await chat_tokens(model, self._messages(), "input")
        return GenerationRequest(model.name, prompt, self.max_output_tokens, self.heat, self.seed)

    def _messages(self) -> list[OpenAIMessage]:
        messages: list[OpenAIMessage] = []
        if self.instructions:
            messages.append(OpenAIMessage(role="system", content=self.instructions))
        if isinstance(self.input, str):
            return [*messages, OpenAIMessage(role="user", content=self.input)]
        for item in self.input:
            if item.type not in (None, "message"):
                raise UnsupportedParameterError(
                    f"an item of the type {item.type!r} cannot be followed", advice="Send messages.", param="input"
                )
            messages.append(item)
        return messages


class ResponseWriter:
    """The reply to one request, whole or as events in their order."""

    def __init__(self, request: OpenAIResponseRequest, generation: Generation, created: int) -> None:
        self._request, self._generation, self._created = request, generation, created
        self._item = f"msg_{generation.id}"
        self._sent = 0
        self._text = ""

    def reply(self, text: str) -> dict[str, Any]:
        """The whole reply."""
        whole = self._generation.finish != "length"
        usage = self._usage()
        item = self._message(text, "completed" if whole else "incomplete")
        return self._response("completed" if whole else "incomplete", [item], usage)

    def opening(self) -> Iterator[bytes]:
        """Events before the first text."""
        begun = self._response("in_progress", [], None)
        yield self._event("response.created", response=begun)
        yield self._event("response.in_progress", response=begun)
        item = {**self._message("", "in_progress"), "content": []}
        yield self._event("response.output_item.added", output_index=0, item=item)
        yield self._part_event("response.content_part.added", part=_part(""))

    def delta(self, piece: str) -> bytes:
        """One piece of text."""
        self._text += piece
        return self._part_event("response.output_text.delta", delta=piece, logprobs=[])

    def closing(self) -> Iterator[bytes]:
        """Events after the last text."""
        reply = self.reply(self._text)
        yield self._part_event("response.output_text.done", text=self._text, logprobs=[])
        yield self._part_event("response.content_part.done", part=_part(self._text))
        yield self._event("response.output_item.done", output_index=0, item=reply["output"][0])
        yield self._event(f"response.{reply['status']}", response=reply)

    def failure(self, error: GatewayError) -> bytes:
        """How a stream ends that cannot go on."""
        told = {"code": "server_error", "message": str(error)}
        item = self._message(self._text, "incomplete")
        return self._event(
            "response.failed", response={**self._response("failed", [item], self._usage()), "error": told}
        )

    def _event(self, kind: str, **words: Any) -> bytes:
        self._sent += 1
        return event({"type": kind, "sequence_number": self._sent - 1, **words}, kind)

    def _part_event(self, kind: str, **words: Any) -> bytes:
        return self._event(kind, item_id=self._item, output_index=0, content_index=0, **words)

    def _message(self, text: str, status: str) -> dict[str, Any]:
        return {"type": "message", "id": self._item, "status": status, "role": "assistant", "content": [_part(text)]}

    def _usage(self) -> dict[str, Any]:
        prompt, sampled = self._generation.prompt_tokens, self._generation.completion_tokens
        return {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": sampled,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + sampled,
        }

    def _response(self, status: str, output: Sequence[Any], usage: dict[str, Any] | None) -> dict[str, Any]:
        asked = self._request
        return {
            "id": f"resp_{self._generation.id}",
            "object": "response",
            "created_at": self._created,
            "completed_at": self._created if status == "completed" else None,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "max_tool_calls": None,
            "model": self._generation.model.name,
            "output": list(output),
            "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "previous_response_id": None,
            "prompt_cache_key": asked.prompt_cache_key,
            "reasoning": {"effort": None, "summary": None},
            "safety_identifier": asked.safety_identifier,
            "service_tier": "default",
            "store": False,
            "temperature": asked.heat,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_logprobs": 0,
            "top_p": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "truncation": "disabled",
            "usage": usage,
            "user": asked.user,
            "metadata": asked.metadata or {},
        }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
