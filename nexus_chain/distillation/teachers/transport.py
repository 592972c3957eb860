"""What lies between an official client and the network: the key comes in here, and too much of an answer stays out.

The client itself holds no key, so that none of its errors and log lines can show one. What the server echoes of the
key is blotted out before the client sees it. Variables such as OPENAI_CUSTOM_HEADERS, OPENAI_ORG_ID or a ``.netrc``
reach no server: only the headers below are sent.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import httpcore2
import httpx2

from nexus_chain.distillation.secret import Secret
from nexus_chain.distillation.teachers.call_deadline import DeadlineNetwork, call_deadline
from nexus_chain.distillation.teachers.errors import (
    TeacherAnswerError,
    TeacherCallError,
    TeacherTimeoutError,
    TeacherUnreachableError,
)

SENT_HEADERS = ("accept", "anthropic-version", "content-length", "content-type", "host", "user-agent")
KEPT_HEADERS = ("content-type", "retry-after", "retry-after-ms")
MOST_ERROR_BYTES = 4096
"""Of an error's body: it is there for people."""

_log = logging.getLogger("httpcore2.http11")
"""Tells people who debug which headers came back, and a server may put the key into one."""


class _KeyFilter(logging.Filter):
    def __init__(self, key: Secret | None) -> None:
        super().__init__()
        self._key = key

    def filter(self, record: logging.LogRecord) -> bool:
        if self._key is not None:
            record.msg, record.args = self._key.hide_in(record.getMessage()), None
        return True


@dataclass(frozen=True)
class TeacherLine:
    """How one teacher is reached. ``key_header``: the header's name and what stands before the key in it."""

    name: str
    key: Secret | None
    key_header: tuple[str, str]
    seconds: float
    max_bytes: int


class TeacherTransport(httpx2.BaseTransport):
    """Sends one request at a time for each thread, whole answers back. Raises TeacherCallError."""

    def __init__(self, line: TeacherLine) -> None:
        self._line = line
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context(trust_env=False),
            max_connections=None,
            max_keepalive_connections=8,
            keepalive_expiry=30.0,
            network_backend=DeadlineNetwork(),
        )
        self._filter = _KeyFilter(line.key)
        _log.addFilter(self._filter)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        with call_deadline(self._line.seconds):
            try:
                return self._exchange(self._to_send(request))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = self._unreachable(type(error))
            except httpcore2.TimeoutException:
                failure = self._late()
            except (httpcore2.NetworkError, httpcore2.ProtocolError):
                failure = self._bad("broke off")
        raise failure  # outside of the handler: no cause hangs on it

    def close(self) -> None:
        self._pool.close()
        _log.removeFilter(self._filter)

    def _to_send(self, request: httpx2.Request) -> httpcore2.Request:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() in SENT_HEADERS]
        headers.append(("accept-encoding", "identity"))  # a compressed body is larger than it says
        url = request.url
        target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        name, before = self._line.key_header
        if self._line.key is not None:
            headers.append((name, before + self._line.key.reveal()))
        return httpcore2.Request(request.method, target, headers=headers, content=request.read())

    def _exchange(self, request: httpcore2.Request) -> httpx2.Response:
        response = self._pool.handle_request(request)
        try:
            headers = httpx2.Headers(response.headers)
            whole = 200 <= response.status < 300
            if whole:
                self._check_form(headers)
            body = self._read(response, self._line.max_bytes if whole else MOST_ERROR_BYTES, whole)
        finally:
            response.close()
        kept = {name: self._hidden(headers[name]) for name in KEPT_HEADERS if name in headers}
        if self._line.key is not None:
            body = self._line.key.hide_in_bytes(body)
        return httpx2.Response(response.status, headers=kept, content=body)

    def _check_form(self, headers: httpx2.Headers) -> None:
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise self._bad("is compressed though nobody asked for that")
        form = headers.get("content-type", "").partition(";")[0].strip().lower()
        if form != "application/json":
            raise self._bad("is not JSON")

    def _read(self, response: httpcore2.Response, most: int, whole: bool) -> bytes:
        """At most ``most`` bytes; more are an error where the answer has to be whole, else cut off."""
        parts, size = [], 0
        for part in response.iter_stream():
            parts.append(part)
            size += len(part)
            if size > most:
                if whole:
                    raise self._bad(f"is larger than {most} bytes")
                break
        return b"".join(parts)[:most]

    def _hidden(self, text: str) -> str:
        return text if self._line.key is None else self._line.key.hide_in(text)

    def _bad(self, what: str) -> TeacherAnswerError:
        advice = "Ask again, or ask another teacher."
        return TeacherAnswerError(f"the answer of {self._line.name} {what}", advice=advice, maybe_paid=True)

    def _late(self) -> TeacherTimeoutError:
        return TeacherTimeoutError(
            f"{self._line.name} did not answer within {self._line.seconds:g} s",
            advice="Raise timeout_seconds, or ask another teacher.",
            maybe_paid=True,
        )

    def _unreachable(self, kind: type[Exception]) -> TeacherCallError:
        slow = issubclass(kind, httpcore2.TimeoutException)
        what = f"made no connection within {self._line.seconds:g} s" if slow else "cannot be reached"
        return TeacherUnreachableError(
            f"{self._line.name} {what}", advice="Check its endpoint and this machine's connection."
        )
