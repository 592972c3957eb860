"""Ollama's pages about the server and its models. They say what the chain says to everybody, so they need no key."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

from node.gateway.deps import AppDeps
from node.gateway.ollama.models import listed_models, named_model, running_models, shown_model
from node.gateway.ollama.types import OllamaModelRequest
from node.gateway.routes.any_json import AnyJsonRoute

OLLAMA_VERSION = "0.12.6"
"""Of the interface that is followed: clients ask which fields they may use."""

router = APIRouter(tags=["Ollama"], route_class=AnyJsonRoute)


@router.get("/", response_class=PlainTextResponse, response_model=None)
@router.head("/", include_in_schema=False, response_model=None)
async def ollama_root(request: Request) -> Response:
    """What clients look for to see that a server is there. A browser is shown the page."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/app/", headers={"vary": "accept"})
    return PlainTextResponse("Ollama is running", headers={"vary": "accept"})


@router.get("/api/version")
async def ollama_version() -> dict[str, str]:
    """The version of Ollama's interface that is followed."""
    return {"version": OLLAMA_VERSION}


@router.get("/api/tags")
async def ollama_tags(deps: AppDeps) -> dict[str, Any]:
    """The models that answer here."""
    return listed_models(deps.service.models)


@router.get("/api/ps")
async def ollama_running(deps: AppDeps) -> dict[str, Any]:
    """The same models: all of them are ready."""
    return running_models(deps.service.models)


@router.post("/api/show")
async def ollama_show(asked: OllamaModelRequest, deps: AppDeps) -> dict[str, Any]:
    """One model: sizes, chat format, digests, capabilities."""
    return shown_model(named_model(deps.service, asked.model))
