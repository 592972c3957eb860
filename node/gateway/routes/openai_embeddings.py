"""``POST /v1/embeddings``."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from node.gateway.delivery import all_of
from node.gateway.deps import AppDeps, KnownCaller
from node.gateway.openai.completions import prompts_of
from node.gateway.openai.embeddings import OpenAIEmbeddingRequest, embeddings_reply

router = APIRouter()


@router.post("/v1/embeddings")
async def openai_embeddings(body: OpenAIEmbeddingRequest, deps: AppDeps, caller: KnownCaller) -> JSONResponse:
    """Embed texts by the network."""
    model = deps.service.model(body.model)
    body.require_possible(model)
    prompts = await asyncio.to_thread(prompts_of, model, body.input, "input", room=1)
    found = await all_of(deps.service.embed(caller, model.name, one.tokens) for one in prompts)
    return JSONResponse(embeddings_reply(body, found))
