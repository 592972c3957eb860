"""The application: every interface's routes over one service, with errors in each interface's own shape."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from nexus_chain.errors import NexusError
from node.gateway.access.x402_payments import PaymentHeaders
from node.gateway.client_errors import told
from node.gateway.deps import Deps
from node.gateway.error_shapes import error_response
from node.gateway.errors import GatewayError, InvalidRequestError, NotFoundError
from node.gateway.middleware import RequestLog, WholeBody
from node.gateway.routes import (
    account,
    answer_checks,
    anthropic_messages,
    api_keys,
    audits,
    certificates,
    evidence,
    explorer,
    health,
    learning,
    model_files,
    ollama_embed,
    ollama_generate,
    ollama_library,
    ollama_models,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_models,
    openai_responses,
    page,
    page_network,
    radar,
    sign_in,
    tokenizer,
)
from node.gateway.settings import GatewaySettings

ROUTERS = (
    health.router,
    model_files.router,  # before the models, whose names may hold slashes
    openai_models.router,
    openai_chat.router,
    openai_completions.router,
    openai_embeddings.router,
    openai_responses.router,
    tokenizer.router,
    evidence.router,
    anthropic_messages.router,
    ollama_models.router,
    ollama_generate.router,
    ollama_embed.router,
    ollama_library.router,
    api_keys.router,
    account.router,
    sign_in.router,
    answer_checks.router,
    page_network.router,
    explorer.router,
    certificates.router,
    audits.router,
    learning.router,
    radar.router,
    page.router,
)

_BRANCHES = ("str", "int", "float", "bool")
"""How pydantic names the branches of a union, beside ``list[...]``."""

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def build_app(deps: Deps, settings: GatewaySettings, lifespan: Lifespan | None = None) -> FastAPI:
    """An application over ``deps``, which it does not close; ``lifespan`` may."""
    app = FastAPI(title="Neural Nexus gateway", lifespan=lifespan or _nothing, docs_url=None, redoc_url=None)
    app.state.deps = deps
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(WholeBody, deps=deps, limit=settings.body_limit)
    app.add_middleware(PaymentHeaders)
    app.add_middleware(RequestLog, deps=deps)
    app.add_exception_handler(NexusError, _told)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    return app


@asynccontextmanager
async def _nothing(app: FastAPI) -> AsyncIterator[None]:
    yield


async def _told(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, NexusError):
        raise error
    return error_response(request.url.path, told(error))


async def _malformed(request: Request, error: Exception) -> JSONResponse:
    """The first field at fault, without what stood in it."""
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        found = InvalidRequestError("the body is not JSON", advice="Send one JSON object.")
    else:
        name = _field_at(first["loc"][1:]) or None
        what = f"{name}: " if name else ""
        found = InvalidRequestError(f"{what}{first['msg']}", advice="See the documentation of this field.", param=name)
    return error_response(request.url.path, found)


def _field_at(place: Sequence[str | int]) -> str:
    """The field as callers write it: ``messages[0].role``; which branch of a union was tried says nothing to them."""
    found = ""
    for part in place:
        if isinstance(part, str) and ("[" in part or part in _BRANCHES):
            break
        found += f"[{part}]" if isinstance(part, int) else f".{part}" if found else part
    return found


async def _http(request: Request, error: Exception) -> JSONResponse:
    """What the router itself refuses: paths and methods that are not there."""
    if not isinstance(error, HTTPException):
        raise error
    found: GatewayError
    if error.status_code == 404:
        found = NotFoundError(f"there is nothing at {request.url.path}", advice="See the documentation for its paths.")
    else:
        found = InvalidRequestError(str(error.detail), advice="See the documentation for its methods.")
    response = error_response(request.url.path, found)
    response.status_code = error.status_code
    response.headers.update(error.headers or {})
    return response
