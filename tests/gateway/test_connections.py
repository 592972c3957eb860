"""Connections of strangers: heads without end, heads that never come, and too many of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from node.gateway import http_connection
from node.gateway.app import build_app
from node.gateway.command import UNTAKEN_MILLISECONDS, _bound
from node.gateway.deps import Deps
from node.gateway.http_connection import HEAD_BYTES, GatewayConnection
from node.gateway.open_accounts import SingleKeyAccounts
from node.gateway.settings import GatewaySettings
from tests.support.gateway_server import KEY, served
from tests.support.scripted_service import TEXT, ScriptedService, scripted_models

pytestmark = pytest.mark.fast

AUTHORIZED = {"authorization": f"Bearer {KEY}"}
CHUNKED = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    service = ScriptedService(scripted_models(tmp_path))
    app = build_app(Deps(service, SingleKeyAccounts(KEY)), GatewaySettings())
    with served(app, http=GatewayConnection, ws="none") as found:
        yield found


def connected(url: str) -> socket.socket:
    return socket.create_connection((urlsplit(url).hostname, urlsplit(url).port or 0), timeout=60)


def answer_to(url: str, begin: bytes, more: bytes, most: int) -> bytes:
    """What comes back while ``more`` is sent again and again after ``begin``, up to ``most`` bytes of it."""
    with connected(url) as caller:
        caller.sendall(begin)
        with suppress(OSError):  # it was closed in between
            for _ in range(most // len(more)):
                caller.sendall(more)
        with suppress(OSError):
            return caller.recv(1 << 16)
        return b""


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"GET /health HTTP/1.1\r\n", b"x: y\r\n" * 1_000),
        (b"GET /health HTTP/1.1\r\nx: ", b"y" * 6_000),
        (b"GET /", b"y" * 6_000),
        (CHUNKED + b"0\r\n", b"x: y\r\n" * 1_000),
        (CHUNKED + b"0\r\nx: ", b"y" * 6_000),
    ],
    ids=["headers", "a header", "a path", "trailers", "a trailer"],
)
def test_a_head_without_end_is_refused(url: str, begin: bytes, more: bytes) -> None:
    """Without the bound all of it is taken, and kept, until the caller stops."""
    most, sent = 64 << 20, 0
    with connected(url) as caller:
        caller.sendall(begin)
        try:
            while sent < most:
                caller.sendall(more)
                sent += len(more)
        except OSError:
            pass
    assert sent < most
    assert httpx.get(f"{url}/health", trust_env=False).status_code == 200


def test_bodies_may_be_long_and_come_in_small_pieces(url: str) -> None:
    body = f'{{"model": "{TEXT}", "prompt": "a"}}'.encode()
    with httpx.Client(base_url=url, headers=AUTHORIZED, trust_env=False, timeout=60) as client:
        for content in (
            body + b" " * (1 << 20),
            (bytes([byte]) for byte in body + b" " * 20_000),
            (b" " * (1 << 16) for _ in range(16)),
        ):
            answer = client.post("/v1/completions", content=content, headers={"content-type": "application/json"})
            assert answer.status_code in (200, 400), answer.text
        large = client.post("/v1/completions", content=body + b" " * (3 << 20))
        assert large.status_code == 413
        assert client.get("/health").status_code == 200


def test_many_requests_may_come_at_once(url: str) -> None:
    one = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    many = 2 * HEAD_BYTES // len(one)
    with connected(url) as caller:
        caller.sendall(one * many)
        said = b""
        while said.count(b"HTTP/1.1 200") < many:
            said += caller.recv(1 << 16)
    assert said.count(b"HTTP/1.1") == many


@pytest.mark.parametrize("begin", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nhost: x\r\n\r\nGET /"])
def test_a_head_that_does_not_come_ends_the_connection(url: str, monkeypatch: pytest.MonkeyPatch, begin: bytes) -> None:
    monkeypatch.setattr(http_connection, "HEAD_SECONDS", 0.05)
    with connected(url) as caller:
        caller.sendall(begin)
        with suppress(ConnectionResetError):
            while caller.recv(1 << 16):
                pass


def test_a_request_that_goes_on_after_its_answer_ends_the_connection(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "UNREAD_SECONDS", 0.05)
    with connected(url) as caller:
        caller.sendall(b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n{")
        said = b""
        with suppress(ConnectionResetError):
            while more := caller.recv(1 << 16):
                said += more
    assert said.startswith(b"HTTP/1.1 413 ")


def test_connections_are_bounded_and_places_come_free(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "most_connections", lambda: 2)
    ask = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    with connected(url) as first, connected(url) as second:
        for caller in (first, second):
            caller.sendall(ask)
            assert caller.recv(1 << 16).startswith(b"HTTP/1.1 200")
        assert answer_to(url, b"", ask, len(ask)) == b""
        first.close()
        while not answer_to(url, b"", ask, len(ask)):
            pass


def test_a_reader_who_takes_nothing_does_not_keep_a_connection_for_ever() -> None:
    with _bound(GatewaySettings(listen="127.0.0.1:0")) as listening:
        kept = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert kept == UNTAKEN_MILLISECONDS
