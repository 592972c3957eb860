"""Answers as Anthropic writes them: a message, or the events of its stream in their order."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from node.gateway.anthropic.errors import anthropic_error
from node.gateway.errors import GatewayError
from node.gateway.generation import Generation

EVENT_STREAM = "text/event-stream"
_NO_USE = dict.fromkeys(
    ("cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens_details", "server_tool_use")
)


def answer_message(generation: Generation, model: str, max_tokens: int, text: str) -> dict[str, Any]:
    """The whole answer. ``model``: its name as the caller wrote it; ``max_tokens``: what the caller allowed."""
    return {**_message(generation, model, [_block(text)]), **_ending(generation, max_tokens)}


async def message_events(
    pieces: AsyncIterator[str], generation: Generation, model: str, max_tokens: int
) -> AsyncIterator[bytes]:
    """The stream's events, as bytes; one that fails ends with an event ``error``."""
    try:
        yield _event("message_start", message=_message(generation, model, []))
        yield _event("content_block_start", index=0, content_block=_block(""))
        yield _event("ping")
        async for piece in pieces:
            yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        yield _event("content_block_stop", index=0)
        usage = {"input_tokens": generation.prompt_tokens, "output_tokens": generation.completion_tokens, **_NO_USE}
        yield _event("message_delta", delta={**_ending(generation, max_tokens), "container": None}, usage=usage)
        yield _event("message_stop")
    except GatewayError as error:
        yield _written("error", anthropic_error(error))


def _message(generation: Generation, model: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    spent = {"input_tokens": generation.prompt_tokens, "output_tokens": generation.completion_tokens}
    usage = {**spent, **_NO_USE, "cache_creation": None, "inference_geo": None, "service_tier": "standard"}
    ended = {"stop_reason": None, "stop_sequence": None, "stop_details": None, "container": None}
    head = {"id": generation.id, "type": "message", "role": "assistant", "model": model}
    return {**head, "content": content, **ended, "usage": usage}


def _ending(generation: Generation, max_tokens: int) -> dict[str, Any]:
    """Why it ended: its own end, a stop sequence, the caller's limit, or the end of the context."""
    if generation.stop_text is not None:
        reason = "stop_sequence"
    elif generation.finish != "length":
        reason = "end_turn"
    else:
        reason = "max_tokens" if generation.completion_tokens >= max_tokens else "model_context_window_exceeded"
    return {"stop_reason": reason, "stop_sequence": generation.stop_text, "stop_details": None}


def _block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text, "citations": None}


def _event(kind: str, **fields: Any) -> bytes:
    return _written(kind, {"type": kind, **fields})


def _written(kind: str, data: Mapping[str, Any]) -> bytes:
    """A server-sent event. All but ASCII is escaped: some readers split lines at more than newlines."""
    return f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
