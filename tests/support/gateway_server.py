"""Routes of a gateway behind a socket: what official clients are pointed at."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from node.gateway.accounts import ANSWER, Caller
from node.gateway.deps import Deps
from node.gateway.errors import GatewayError, InvalidRequestError, UnauthorizedError

KEY = "sk-nexus-test"
CALLER = Caller("tester", frozenset({ANSWER}), "key-1")


class OneKey:
    """Accounts: whoever has the key may ask, and pays nothing."""

    async def authenticate(self, token: str | None) -> Caller:
        if token != KEY:
            raise UnauthorizedError("this key is not known", advice="Give one that was made here.")
        return CALLER

    async def reserve(self, caller: Caller, answer: str, wei: int) -> Any:
        raise AssertionError("routes reserve nothing")


def small_application(deps: Deps, shape: Callable[[GatewayError], dict[str, Any]], *routers: APIRouter) -> FastAPI:
    """Routes, and errors in the one ``shape``."""
    app = FastAPI()
    app.state.deps = deps
    for router in routers:
        app.include_router(router)

    async def told(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, GatewayError)
        after = {} if error.retry_after is None else {"retry-after": str(math.ceil(error.retry_after))}
        return JSONResponse(shape(error), error.status, after)

    async def malformed(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return await told(request, InvalidRequestError(f"{where}: {first['msg']}", advice="Change it.", param=where))

    app.add_exception_handler(GatewayError, told)
    app.add_exception_handler(RequestValidationError, malformed)
    return app


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application's URL on a free port of this machine, until the context ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=5))
        ready = threading.Event()
        begin = server.startup

        async def startup(sockets: list[socket.socket] | None = None) -> None:
            await begin(sockets)
            ready.set()

        server.startup = startup  # type: ignore[method-assign]
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            assert ready.wait(30)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
