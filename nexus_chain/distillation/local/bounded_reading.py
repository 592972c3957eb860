"""Transports for Ollama's client that read no more than is allowed, for no longer than is allowed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import cast

import httpx


class ReadLimitError(httpx.TransportError):
    """Raised when a body is larger than allowed."""


@dataclass(frozen=True)
class ReadLimits:
    """``seconds``: for a whole body, from when it was asked for; None: no limit. ``most_bytes``: of a body."""

    seconds: float | None
    most_bytes: int


class _Meter:
    """Measures one body."""

    def __init__(self, limits: ReadLimits, request: httpx.Request) -> None:
        self._limits = limits
        self._request = request
        self._began = time.monotonic()
        self._size = 0

    def count(self, part: bytes) -> bytes:
        self._size += len(part)
        if self._size > self._limits.most_bytes:
            raise ReadLimitError("the body is too large", request=self._request)
        limit = self._limits.seconds
        if limit is not None and time.monotonic() - self._began > limit:
            raise httpx.ReadTimeout("the body takes too long", request=self._request)
        return part


class BoundedTransport(httpx.BaseTransport):
    """The usual transport, measured."""

    def __init__(self, limits: ReadLimits) -> None:
        self._limits = limits
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        meter = _Meter(self._limits, request)
        response = self._inner.handle_request(request)
        response.stream = _MeteredStream(cast(httpx.SyncByteStream, response.stream), meter)
        return response

    def close(self) -> None:
        self._inner.close()


class _MeteredStream(httpx.SyncByteStream):
    def __init__(self, inner: httpx.SyncByteStream, meter: _Meter) -> None:
        self._inner = inner
        self._meter = meter

    def __iter__(self) -> Iterator[bytes]:
        for part in self._inner:
            yield self._meter.count(part)

    def close(self) -> None:
        self._inner.close()


class AsyncBoundedTransport(httpx.AsyncBaseTransport):
    """The usual transport, measured."""

    def __init__(self, limits: ReadLimits) -> None:
        self._limits = limits
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        meter = _Meter(self._limits, request)
        response = await self._inner.handle_async_request(request)
        response.stream = _AsyncMeteredStream(cast(httpx.AsyncByteStream, response.stream), meter)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _AsyncMeteredStream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, meter: _Meter) -> None:
        self._inner = inner
        self._meter = meter

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._inner:
            yield self._meter.count(part)

    async def aclose(self) -> None:
        await self._inner.aclose()
