"""``POST /v1/responses``."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from node.gateway.delivery import begun_pieces, whole_text
from node.gateway.deps import AppDeps, KnownCaller
from node.gateway.errors import GatewayError
from node.gateway.event_stream import event_response
from node.gateway.openai.responses import OpenAIResponseRequest, ResponseWriter

router = APIRouter()


@router.post("/v1/responses")
async def responses(body: OpenAIResponseRequest, deps: AppDeps, caller: KnownCaller) -> Response:
    """Answer a text or a conversation."""
    model = deps.service.model(body.model)
    generation = await deps.service.generate(caller, await body.generation(model))
    writer = ResponseWriter(body, generation, int(time.time()))
    if not body.stream:
        return JSONResponse(writer.reply(await whole_text(generation)))
    return event_response(_events(writer, await begun_pieces(generation)))


async def _events(writer: ResponseWriter, pieces: AsyncIterator[str]) -> AsyncIterator[bytes]:
    for opening in writer.opening():
        yield opening
    try:
        async for piece in pieces:
            yield writer.delta(piece)
    except GatewayError as error:
        yield writer.failure(error)
        return
    for closing in writer.closing():
        yield closing
