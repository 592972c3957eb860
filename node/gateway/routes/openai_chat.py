"""``POST /v1/chat/completions``."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from node.gateway.delivery import begun_pieces, whole_text
from node.gateway.deps import AppDeps, KnownCaller
from node.gateway.errors import GatewayError
from node.gateway.event_stream import DONE, event, event_response
from node.gateway.generation import Generation
from node.gateway.openai.chat import OpenAIChatRequest, chat_chunk, chat_reply, chat_usage_chunk, finish_of
from node.gateway.openai.errors import openai_error

router = APIRouter()


@router.post("/v1/chat/completions")
async def chat_completions(body: OpenAIChatRequest, deps: AppDeps, caller: KnownCaller) -> Response:
    """Go on with a conversation."""
    model = deps.service.model(body.model)
    generation = await deps.service.generate(caller, await body.generation(model))
    created = int(time.time())
    if not body.stream:
        return JSONResponse(chat_reply(generation, await whole_text(generation), created))
    pieces = await begun_pieces(generation)
    return event_response(_chunks(generation, pieces, created, with_usage=body.wants_usage))


async def _chunks(
    generation: Generation, pieces: AsyncIterator[str], created: int, *, with_usage: bool
) -> AsyncIterator[bytes]:
    def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
        return event(chat_chunk(generation, created, delta, finish, with_usage=with_usage))

    yield chunk({"role": "assistant", "content": ""})
    try:
        async for piece in pieces:
            yield chunk({"content": piece})
    except GatewayError as error:
        yield event(openai_error(error))
        return
    yield chunk({}, finish_of(generation))
    if with_usage:
        yield event(chat_usage_chunk(generation, created))
    yield DONE
