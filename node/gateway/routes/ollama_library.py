"""Ollama's pages that change which models are there: a catalogue's models are fetched, the rest is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse

from node.gateway.accounts import ANSWER
from node.gateway.catalogue import PullProgress
from node.gateway.deps import AppDeps, KnownCaller
from node.gateway.errors import GatewayError, InvalidRequestError, UnknownModelError
from node.gateway.generation import Service
from node.gateway.ollama.answers import NDJSON, json_line
from node.gateway.ollama.errors import ollama_error
from node.gateway.ollama.models import LATEST, named_model
from node.gateway.ollama.types import OllamaModelRequest
from node.gateway.routes.any_json import AnyJsonRoute

router = APIRouter(tags=["Ollama"], route_class=AnyJsonRoute)
SUCCESS = PullProgress("success")


@router.post("/api/pull")
async def ollama_pull(asked: OllamaModelRequest, deps: AppDeps, caller: KnownCaller) -> Response:
    """Fetch a model of the catalogue onto the gateway's machine; one that answers here already is there."""
    caller.require(ANSWER)
    name = asked.model.removesuffix(LATEST)
    steps = _there() if _is_served(deps.service, asked.model) else deps.catalogue.pull(name)
    first = await anext(steps, SUCCESS)  # an unknown name still has an HTTP status
    if asked.stream is not False:
        return StreamingResponse(_lines(first, steps), media_type=NDJSON)
    async for _ in steps:
        pass
    return JSONResponse(_written(SUCCESS))


@router.post("/api/push")
@router.post("/api/create")
@router.post("/api/copy")
@router.delete("/api/delete")
@router.post("/api/blobs/{digest}")
@router.head("/api/blobs/{digest}", include_in_schema=False)
async def ollama_refusal() -> None:
    """Versions of models stand on the chain, under the names that its operator gave them."""
    raise InvalidRequestError(
        "a gateway does not make, copy, send or delete models",
        advice="Import and publish one with `nexus model`; its operator says which ones a gateway serves.",
    )


async def _lines(first: PullProgress, steps: AsyncIterator[PullProgress]) -> AsyncIterator[bytes]:
    try:
        if first != SUCCESS:
            yield json_line(_written(first))
        async for step in steps:
            if step != SUCCESS:
                yield json_line(_written(step))
        yield json_line(_written(SUCCESS))
    except GatewayError as error:
        yield json_line(ollama_error(error))


def _written(step: PullProgress) -> dict[str, Any]:
    return {name: value for name, value in asdict(step).items() if value is not None}


def _is_served(service: Service, name: str) -> bool:
    try:
        named_model(service, name)
    except UnknownModelError:
        return False
    return True


async def _there() -> AsyncIterator[PullProgress]:
    yield SUCCESS
