"""A teacher on this machine: OpenAI's chat completions and Anthropic's messages over a function from prompts to texts.

    with teacher_server(lambda prompt: "42") as server:
        config = server.config("oracle")
        TeacherAPIs([config]).query_single("oracle", "What is it?")

``server.faults`` holds what goes wrong with the requests to come, the first one first.
"""

from __future__ import annotations

import json
import random
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nexus_chain.distillation.secret import Secret
from nexus_chain.distillation.teachers.config import TeacherConfig
from nexus_chain.distillation.teachers.presets import TeacherProtocol

TEACHER_KEY = "sk-teacher-0123456789-abcdef"
JSON = "application/json"
Oracle = Callable[[str], str]
Fault = Callable[["Exchange"], None]
"""Answers one request in a wrong way."""


@dataclass(frozen=True)
class Asked:
    """A request as it came. ``prompt``: the user's text; ``system``: what stood before it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    prompt: str
    system: str | None


@dataclass
class Exchange:
    """One request and the way back. ``good``: the body that a well-behaved teacher would send."""

    handler: BaseHTTPRequestHandler
    asked: Asked
    good: bytes
    ended: threading.Event

    def send(self, status: int, body: bytes, form: str = JSON, length: int | None = None, **headers: str) -> None:
        """``length``: what the header claims; ``headers``: with ``_`` for ``-``."""
        self.handler.send_response(status)
        self.handler.send_header("Content-Type", form)
        self.handler.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()
        self.handler.wfile.write(body)
        if length not in (None, len(body)):
            self.handler.close_connection = True


def status(code: int, message: str = "it failed", **headers: str) -> Fault:
    """An error as providers word it, for example ``status(429, Retry_After="7")``."""
    body = json.dumps({"error": {"message": message, "type": "test"}}).encode()
    return lambda exchange: exchange.send(code, body, **headers)


def raw(body: bytes, form: str = JSON, code: int = 200, **headers: str) -> Fault:
    """Exactly these bytes."""
    return lambda exchange: exchange.send(code, body, form, **headers)


def says(document: Any) -> Fault:
    """Any JSON."""
    return raw(json.dumps(document).encode())


def silence(exchange: Exchange) -> None:
    """Nothing, until the server ends or the client leaves."""
    exchange.ended.wait(60)
    exchange.handler.close_connection = True


def trickle(exchange: Exchange) -> None:
    """A byte of the body now and then, never the last one."""
    exchange.send(200, b"{", length=1_000_000)
    _drip(exchange)


def trickled_headers(exchange: Exchange) -> None:
    """A byte of a header now and then."""
    exchange.handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    _drip(exchange)


def cut_off(exchange: Exchange) -> None:
    """Half of a good answer under the length of the whole."""
    exchange.send(200, exchange.good[: len(exchange.good) // 2], length=len(exchange.good))


def hang_up(exchange: Exchange) -> None:
    """The connection ends without a word."""
    exchange.handler.close_connection = True


def no_http(exchange: Exchange) -> None:
    """Something else answers at that port."""
    exchange.handler.wfile.write(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    exchange.handler.close_connection = True


def _drip(exchange: Exchange) -> None:
    exchange.handler.close_connection = True
    try:
        while not exchange.ended.wait(0.02):
            exchange.handler.wfile.write(b" ")
            exchange.handler.wfile.flush()
    except OSError:
        pass  # the client has had enough


@dataclass
class TeacherServer:
    """``answer``: the text for a prompt. ``key``: whoever has another one is refused; None: everybody may ask.

    ``faults``: for the requests to come. ``always``: for all the others; None: they are answered well.
    ``counts``: whether answers say how many tokens they used: a word is one.
    """

    answer: Oracle
    key: str | None = TEACHER_KEY
    faults: deque[Fault] = field(default_factory=deque)
    always: Fault | None = None
    counts: bool = True
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    ended: threading.Event = field(default_factory=threading.Event)

    def config(self, name: str, protocol: TeacherProtocol = TeacherProtocol.OPENAI, **more: Any) -> TeacherConfig:
        """A teacher at this server, free unless ``more`` gives it a price."""
        priced = any(setting.endswith(("per_1k", "per_1k_tokens")) for setting in more)
        base = {"model": "local", "free": not priced, "timeout_seconds": 30.0, "rate_limit_rpm": 100_000}
        endpoint = f"{self.url}/v1" if protocol is TeacherProtocol.OPENAI else self.url
        key = None if self.key is None else Secret(self.key)
        return TeacherConfig(name, key, endpoint, protocol=protocol, **{**base, **more})

    def next_fault(self) -> Fault | None:
        try:
            return self.faults.popleft()
        except IndexError:
            return self.always


def oracle(right: Oracle, wrong: Oracle, error_rate: float, seed: int = 0) -> Oracle:
    """Answers wrongly with that probability; the same prompt gets the same answer, in whichever order one asks."""

    def answer(prompt: str) -> str:
        lot = random.Random(f"{seed}:{prompt}").random()
        return wrong(prompt) if lot < error_rate else right(prompt)

    return answer


@contextmanager
def teacher_server(answer: Oracle, tls: ssl.SSLContext | None = None, **more: Any) -> Iterator[TeacherServer]:
    """A teacher on a free loopback port, for the block. ``more``: fields of TeacherServer."""
    teacher = TeacherServer(answer, **more)
    server = _Listener(("127.0.0.1", 0), _handler(teacher))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    teacher.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield teacher
    finally:
        teacher.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Listener(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are part of the tests."""


def _handler(teacher: TeacherServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer is one packet

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            asked = _asked(self.path, dict(self.headers.items()), json.loads(self.rfile.read(length)))
            teacher.asked.append(asked)
            exchange = Exchange(self, asked, b"", teacher.ended)
            given = self.headers.get("x-api-key") or self.headers.get("Authorization", "").removeprefix("Bearer ")
            if teacher.key is not None and given != teacher.key:
                status(401, f"Incorrect API key provided: {given}")(exchange)
                return
            fault = teacher.next_fault()
            exchange.good = json.dumps(_good(teacher, asked)).encode()
            if fault is None:
                exchange.send(200, exchange.good)
            else:
                fault(exchange)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _asked(path: str, headers: dict[str, str], body: dict[str, Any]) -> Asked:
    messages = body["messages"]
    system = body.get("system") or next((one["content"] for one in messages if one["role"] == "system"), None)
    prompt = next(one["content"] for one in reversed(messages) if one["role"] == "user")
    return Asked(path, {name.lower(): value for name, value in headers.items()}, body, prompt, system)


def _good(teacher: TeacherServer, asked: Asked) -> dict[str, Any]:
    text = teacher.answer(asked.prompt)
    read, written = len(asked.prompt.split()), len(text.split())
    if asked.path.endswith("/v1/messages"):
        usage: dict[str, int] = {"input_tokens": read, "output_tokens": written}
        body = {
            "id": "msg_1", "type": "message", "role": "assistant", "model": asked.body["model"],
            "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": None,
        }  # fmt: skip
    else:
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        message = {"role": "assistant", "content": text}
        body = {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": asked.body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }  # fmt: skip
    return {**body, "usage": usage} if teacher.counts else body


PRICED = {"input_cost_per_1k": Decimal("0.0025"), "output_cost_per_1k": Decimal("0.01")}
"""USD for 1,000 tokens, for tests about money."""
