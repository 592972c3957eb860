"""Anthropic's ``/v1/messages`` and ``/v1/messages/count_tokens``."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse

from node.gateway.anthropic.answers import EVENT_STREAM, answer_message, message_events
from node.gateway.anthropic.conversation import messages_generation, messages_prompt
from node.gateway.anthropic.types import AnthropicCountRequest, AnthropicMessagesRequest
from node.gateway.delivery import begun_pieces, whole_text
from node.gateway.deps import AppDeps, KnownCaller

router = APIRouter(tags=["Anthropic"])


@router.post("/v1/messages")
async def anthropic_messages(asked: AnthropicMessagesRequest, deps: AppDeps, caller: KnownCaller) -> Response:
    """Go on with a conversation."""
    model = deps.service.model(asked.model)
    wanted = messages_generation(model, await messages_prompt(model, asked), asked)
    generation = await deps.service.generate(caller, wanted)
    if asked.stream:
        events = message_events(await begun_pieces(generation), generation, asked.model, asked.max_tokens)
        return StreamingResponse(events, media_type=EVENT_STREAM)
    text = await whole_text(generation)
    return JSONResponse(answer_message(generation, asked.model, asked.max_tokens, text))


@router.post("/v1/messages/count_tokens")
async def anthropic_tokens(asked: AnthropicCountRequest, deps: AppDeps, _: KnownCaller) -> dict[str, int]:
    """How many tokens the conversation has: as many as an answer to it counts as its input."""
    return {"input_tokens": len(await messages_prompt(deps.service.model(asked.model), asked))}
