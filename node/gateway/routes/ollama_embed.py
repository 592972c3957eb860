"""Ollama's ``/api/embed`` and the older ``/api/embeddings``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter

from node.gateway.accounts import Caller
from node.gateway.delivery import all_of
from node.gateway.deps import AppDeps, KnownCaller
from node.gateway.generation import Embedding, OfferedModel, Service
from node.gateway.ollama.answers import OllamaTimes
from node.gateway.ollama.embeddings import require_encoder, text_tokens, unit_length
from node.gateway.ollama.models import named_model
from node.gateway.ollama.options import refuse_options
from node.gateway.ollama.types import OllamaEmbeddingsRequest, OllamaEmbedRequest, OllamaOptions
from node.gateway.parameters import refuse_parameters
from node.gateway.routes.any_json import AnyJsonRoute

router = APIRouter(tags=["Ollama"], route_class=AnyJsonRoute)
AT_ONCE = 64
"""Texts of one request."""


@router.post("/api/embed")
async def ollama_embed(asked: OllamaEmbedRequest, deps: AppDeps, caller: KnownCaller) -> dict[str, Any]:
    """A vector of length 1 for each text."""
    model, times = _encoder(deps.service, asked), OllamaTimes.start()
    refuse_parameters({"dimensions": asked.dimensions}, {"dimensions": (0, model.files.program.shape.width)})
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    found = await _embedded(deps.service, caller, model, texts, truncate=asked.truncate is not False)
    counts = times.fields(sum(one.prompt_tokens for one in found), 0)
    kept = ("total_duration", "load_duration", "prompt_eval_count")
    vectors = [unit_length(one.vector) for one in found]
    return {"model": asked.model, "embeddings": vectors, **{name: counts[name] for name in kept}}


@router.post("/api/embeddings")
async def ollama_embeddings(asked: OllamaEmbeddingsRequest, deps: AppDeps, caller: KnownCaller) -> dict[str, Any]:
    """One text's vector as the model gives it; without a text, none."""
    model = _encoder(deps.service, asked)
    texts = [asked.prompt] if asked.prompt else []
    found = await _embedded(deps.service, caller, model, texts, truncate=True)
    return {"embedding": list(found[0].vector) if found else []}


def _encoder(service: Service, asked: OllamaEmbedRequest | OllamaEmbeddingsRequest) -> OfferedModel:
    model = named_model(service, asked.model)
    refuse_parameters(asked.model_extra or {}, {})
    refuse_options(asked.options or OllamaOptions(), greedy=True)
    require_encoder(model)
    return model


async def _embedded(
    service: Service, caller: Caller, model: OfferedModel, texts: Sequence[str], *, truncate: bool
) -> list[Embedding]:
    """So many at once; after one that fails, no later ones are paid."""
    asked = await asyncio.to_thread(lambda: [text_tokens(model, text, truncate=truncate) for text in texts])
    found: list[Embedding] = []
    for start in range(0, len(asked), AT_ONCE):
        group = asked[start : start + AT_ONCE]
        found += await all_of(service.embed(caller, model.name, tokens) for tokens in group)
    return found
