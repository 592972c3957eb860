"""A whole gateway application behind a socket: what official clients are pointed at."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from node.gateway.app import build_app
from node.gateway.deps import Deps
from node.gateway.generation import Service
from node.gateway.open_accounts import SingleKeyAccounts
from node.gateway.settings import GatewaySettings

KEY = "sk-nexus-of-a-test"


@contextmanager
def served_gateway(service: Service, settings: GatewaySettings | None = None, **more: Any) -> Iterator[str]:
    """The URL of an application over ``service``, which KEY may ask. ``more``: fields of Deps."""
    deps = Deps(service, SingleKeyAccounts(KEY), **more)
    with served(build_app(deps, settings or GatewaySettings())) as url:
        yield url


@contextmanager
def served(app: FastAPI, **more: Any) -> Iterator[str]:
    """The application's URL on a free port of this machine, until the context ends. ``more``: of uvicorn's settings."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=5, **more)
        server = uvicorn.Server(config)
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
