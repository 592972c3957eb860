"""A server that speaks as Ollama does, until it is told to misbehave."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OllamaFault = Callable[["OllamaExchange"], None]
MODEL = "tiny:1b"
TAGS = {"models": [{"model": MODEL, "name": MODEL, "size": 5_500_000_000, "details": {"parameter_size": "1.5B"}}]}
SHOWN = {
    "details": {"family": "llama", "parameter_size": "1.5B"},
    "model_info": {"general.architecture": "llama", "llama.context_length": 8192},
}
END = {"model": MODEL, "response": "", "done": True, "done_reason": "stop", "eval_count": 4, "eval_duration": 2 * 10**9}
PIECES = [{"model": MODEL, "response": text, "done": False} for text in ("forty", " ", "two")]
PULL = [
    {"status": "pulling abc", "digest": "abc", "total": 100, "completed": 40},
    {"status": "pulling abc", "digest": "abc", "total": 100, "completed": 100},
    {"status": "success"},
]


@dataclass
class OllamaExchange:
    """One request and the way back."""

    handler: BaseHTTPRequestHandler
    path: str
    body: dict[str, Any]
    ended: threading.Event

    def send(self, status: int, body: bytes, form: str = "application/json", length: int | None = None) -> None:
        """``length``: what the header claims."""
        self.handler.send_response(status)
        self.handler.send_header("Content-Type", form)
        self.handler.send_header("Content-Length", str(len(body) if length is None else length))
        self.handler.end_headers()
        if self.handler.command != "HEAD":
            self.handler.wfile.write(body)
        self.handler.wfile.flush()


@dataclass
class OllamaServer:
    """``faults``: for the requests to come; those after them are answered well. ``asked``: (path, body) so far."""

    faults: deque[OllamaFault] = field(default_factory=deque)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    url: str = ""
    ended: threading.Event = field(default_factory=threading.Event)

    def count(self, path: str) -> int:
        """How often a path was asked."""
        return sum(one == path for one, _ in self.asked)


def lines(*documents: Any, end: bytes = b"") -> OllamaFault:
    """A stream of these lines, that ends with ``end``."""
    body = b"".join(json.dumps(one).encode() + b"\n" for one in documents) + end
    return lambda exchange: exchange.send(200, body, "application/x-ndjson")


def failing(status: int, message: str = "it failed") -> OllamaFault:
    """An error in Ollama's words."""
    return lambda exchange: exchange.send(status, json.dumps({"error": message}).encode())


def body(content: bytes, form: str = "application/json") -> OllamaFault:
    """Exactly these bytes."""
    return lambda exchange: exchange.send(200, content, form)


def hanging(exchange: OllamaExchange) -> None:
    """Nothing, until the server ends."""
    exchange.ended.wait(60)


def dripping(exchange: OllamaExchange) -> None:
    """A blank now and then, for ever."""
    exchange.send(200, b" ", length=10**6)
    try:
        while not exchange.ended.wait(0.02):
            exchange.handler.wfile.write(b" ")
            exchange.handler.wfile.flush()
    except OSError:
        pass  # the client has had enough


def leaving(exchange: OllamaExchange) -> None:
    """The connection ends without a word."""


def short(exchange: OllamaExchange) -> None:
    """Less than the header says."""
    exchange.send(200, json.dumps(PIECES[0]).encode() + b"\n", length=1000)


@contextmanager
def ollama_server() -> Iterator[OllamaServer]:
    """On a free loopback port, for the block."""
    found = OllamaServer()
    server = _Quiet(("127.0.0.1", 0), _handler(found))
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield found
    finally:
        found.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are part of the tests."""


def _handler(server: OllamaServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0")))))

        def _answer(self, asked: dict[str, Any]) -> None:
            server.asked.append((self.path, asked))
            server.authorizations.append(self.headers.get("Authorization"))
            exchange = OllamaExchange(self, self.path, asked, server.ended)
            try:
                fault = server.faults.popleft()
            except IndexError:
                fault = _good(self.path, asked)
            fault(exchange)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _good(path: str, asked: dict[str, Any]) -> OllamaFault:
    if path == "/api/generate" and asked.get("stream"):
        return lines(*PIECES, END)
    if path == "/api/generate":
        return body(json.dumps({**END, "response": "forty two"}).encode())
    if path == "/api/pull":
        return lines(*PULL)
    known = {"/api/tags": TAGS, "/api/show": SHOWN}
    return body(json.dumps(known[path]).encode()) if path in known else failing(404, "not found")
