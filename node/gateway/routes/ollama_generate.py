"""Ollama's ``/api/generate`` and ``/api/chat``: a line of JSON for each piece, unless ``stream`` is false."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse

from node.gateway.accounts import Caller
from node.gateway.delivery import begun_pieces, whole_text
from node.gateway.deps import AppDeps, KnownCaller
from node.gateway.errors import GatewayError
from node.gateway.generation import Generation, GenerationRequest, OfferedModel, Service
from node.gateway.ollama.answers import NDJSON, OllamaAnswer, OllamaTimes, json_line
from node.gateway.ollama.errors import ollama_error
from node.gateway.ollama.models import named_model
from node.gateway.ollama.options import ollama_generation
from node.gateway.ollama.prompts import chat_messages_prompt, generate_prompt, returned_context
from node.gateway.ollama.types import REQUEST_NEUTRAL, OllamaChatRequest, OllamaGenerateRequest, OllamaOptions
from node.gateway.parameters import refuse_parameters
from node.gateway.routes.any_json import AnyJsonRoute

router = APIRouter(tags=["Ollama"], route_class=AnyJsonRoute)
Ending = Callable[[str], Awaitable[dict[str, Any]]]
"""What the last line holds besides, from the whole text."""


@router.post("/api/generate")
async def ollama_generate(asked: OllamaGenerateRequest, deps: AppDeps, caller: KnownCaller) -> Response:
    """Continue a prompt, or answer it where the model has a chat format."""
    model, answer = named_model(deps.service, asked.model), OllamaAnswer(asked.model, chat=False)
    refuse_parameters(asked.model_extra or {}, REQUEST_NEUTRAL)
    if not asked.prompt:
        return _idle(answer, asked)
    prompt = await generate_prompt(model, asked)

    async def context(text: str) -> dict[str, Any]:
        return {} if asked.raw else {"context": await returned_context(model, prompt, text)}

    wanted = _wanted(model, prompt, asked)
    return await _answer(deps.service, caller, wanted, answer, context, streams=asked.streams)


@router.post("/api/chat")
async def ollama_chat(asked: OllamaChatRequest, deps: AppDeps, caller: KnownCaller) -> Response:
    """Go on with a conversation."""
    model, answer = named_model(deps.service, asked.model), OllamaAnswer(asked.model, chat=True)
    refuse_parameters(asked.model_extra or {}, REQUEST_NEUTRAL)
    if not asked.messages:
        return _idle(answer, asked)
    wanted = _wanted(model, await chat_messages_prompt(model, asked.messages), asked)

    async def nothing(_: str) -> dict[str, Any]:
        return {}

    return await _answer(deps.service, caller, wanted, answer, nothing, streams=asked.streams)


def _wanted(
    model: OfferedModel, prompt: tuple[int, ...], asked: OllamaGenerateRequest | OllamaChatRequest
) -> GenerationRequest:
    return ollama_generation(model, prompt, asked.options or OllamaOptions())


def _idle(answer: OllamaAnswer, asked: OllamaGenerateRequest | OllamaChatRequest) -> Response:
    body = json_line(answer.idle(unload=asked.unloads))
    return Response(body, media_type=NDJSON if asked.streams else "application/json")


async def _answer(
    service: Service,
    caller: Caller,
    wanted: GenerationRequest,
    answer: OllamaAnswer,
    ending: Ending,
    *,
    streams: bool,
) -> Response:
    times = OllamaTimes.start()
    generation = await service.generate(caller, wanted)
    if streams:
        lines = _lines(await begun_pieces(generation), generation, answer, times, ending)
        return StreamingResponse(lines, media_type=NDJSON)
    text = await whole_text(generation, times.piece_left)
    return JSONResponse({**answer.end(generation, times, text), **await ending(text)})


async def _lines(
    pieces: AsyncIterator[str], generation: Generation, answer: OllamaAnswer, times: OllamaTimes, ending: Ending
) -> AsyncIterator[bytes]:
    said = ""
    try:
        async for piece in pieces:
            times.piece_left()
            said += piece
            yield json_line(answer.piece(piece))
        end = answer.end(generation, times)
        yield json_line({**end, **await ending(said)})
    except GatewayError as error:
        yield json_line(ollama_error(error))
