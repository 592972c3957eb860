"""A network whose every wait ends when the call's time does, however slowly a server trickles.

A client's own time-out begins anew with each byte. Here the waits of one call share one end: connecting, the
handshake, headers and body.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore2

_end: ContextVar[float] = ContextVar("end of this thread's call")


@contextmanager
def call_deadline(seconds: float) -> Iterator[None]:
    """Every wait on a ``DeadlineNetwork`` in the block ends within that time; raises httpcore2.TimeoutException."""
    token = _end.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _end.reset(token)


def _left(error: type[httpcore2.TimeoutException]) -> float:
    seconds = _end.get() - time.monotonic()
    if seconds <= 0:
        raise error("the call's time is over")
    return seconds


class DeadlineNetwork(httpcore2.NetworkBackend):
    """The real network under ``call_deadline``. The time-outs that its callers give are not looked at."""

    def __init__(self) -> None:
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        left = _left(httpcore2.ConnectTimeout)
        return _DeadlineStream(self._inner.connect_tcp(host, port, left, local_address, socket_options))


class _DeadlineStream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(httpcore2.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, _left(httpcore2.ConnectTimeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
