"""A key appears nowhere but on the wire: every kind of failure is provoked, and everything said is searched."""

from __future__ import annotations

import copy
import dataclasses
import io
import logging
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from rich.console import Console
from rich.traceback import Traceback

from nexus_chain.distillation.secret import Secret, SecretError
from nexus_chain.distillation.teachers.errors import TeacherError
from nexus_chain.distillation.teachers.presets import TeacherProtocol
from nexus_chain.distillation.teachers.teacher_apis import TeacherAPIs
from nexus_chain.distillation.teachers.transport import TeacherTransport
from tests.support.teacher_server import (
    TEACHER_KEY,
    Exchange,
    Fault,
    cut_off,
    hang_up,
    no_http,
    raw,
    says,
    silence,
    status,
    teacher_server,
    trickle,
)

ECHO = f"Incorrect API key provided: {TEACHER_KEY}. Bearer {TEACHER_KEY}"
SPELT = "".join(f"\\u{ord(sign):04x}" for sign in TEACHER_KEY)


def echoed_headers(exchange: Exchange) -> None:
    exchange.send(429, b"{}", Retry_After=TEACHER_KEY, X_Key=TEACHER_KEY)


FAULTS: dict[str, Fault] = {
    "401": status(401, ECHO),
    "403 spelt": raw(b'{"error": {"message": "' + SPELT.encode() + b'"}}', code=403),
    "400 plain": raw(ECHO.encode(), "text/plain", code=400),
    "500": status(500, ECHO),
    "where words are cut": status(400, "x" * 185 + ECHO),
    "429": status(429, ECHO, Retry_After="1000"),
    "headers": echoed_headers,
    "redirect": status(307, ECHO, Location=f"http://127.0.0.1:9/{TEACHER_KEY}"),
    "page": raw(ECHO.encode(), "text/html"),
    "malformed": raw(ECHO.encode()),
    "schema": says({"choices": [{"message": {"content": [ECHO]}}]}),
    "cut off": cut_off,
    "hang up": hang_up,
    "no HTTP": no_http,
    "silence": silence,
    "trickle": trickle,
    "large": says({"choices": [ECHO * 50_000]}),
}


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """All that is logged, by whomever, at every level."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("openai", "anthropic", "httpx2", "httpcore2")}
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def everything(error: BaseException) -> str:
    """A failure in all forms that a person may see: with locals, with its arguments, with its whole chain."""
    shown = io.StringIO()
    kind, trace = type(error), error.__traceback__
    rich = Traceback.from_exception(kind, error, trace, show_locals=True, locals_max_string=None)
    Console(file=shown, width=10_000).print(rich)
    python = traceback.TracebackException(kind, error, trace, capture_locals=True)
    parts = ["".join(python.format()), shown.getvalue(), repr(error), str(error), repr(vars(error))]
    for link in (error.__cause__, error.__context__):
        if link is not None:
            parts.append(everything(link))
    return "\n".join(parts)


def failure_of(teachers: TeacherAPIs) -> TeacherError:
    """Its traceback begins here: the locals of tests hold what a server was sent."""
    try:
        answer = teachers.query_single("it", "Hi")
    except TeacherError as error:
        return error
    raise AssertionError(answer)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("protocol", list(TeacherProtocol))
def test_no_failure_shows_the_key(protocol: TeacherProtocol, fault: Fault, said: io.StringIO) -> None:
    with teacher_server(lambda prompt: "yes") as server:
        server.always = fault
        config = server.config("it", protocol, timeout_seconds=0.2, max_answer_bytes=100_000)
        server.key = None  # the server says it, wherever it can
        with TeacherAPIs([config], sleep=lambda seconds: None) as teachers:
            shown = everything(failure_of(teachers))
            failures = teachers.query_all("Hi").failures
            shown += "".join(everything(one) for one in failures.values()) + repr(teachers) + repr(vars(teachers))
        assert any(TEACHER_KEY in str(asked.headers) for asked in server.asked)  # it was sent
    for text in (shown, said.getvalue()):
        assert TEACHER_KEY not in text
        assert TEACHER_KEY[:14] not in text
        assert TEACHER_KEY[-10:] not in text


def test_a_good_answer_logs_no_key(said: io.StringIO) -> None:
    with teacher_server(lambda prompt: "yes") as server, TeacherAPIs([server.config("it")]) as teachers:
        found = teachers.query_single("it", "Hi")
        assert TEACHER_KEY not in repr(found) + repr(teachers.config("it"))
    assert said.getvalue()
    assert TEACHER_KEY not in said.getvalue()


def test_a_secret_is_not_shown_or_written_down() -> None:
    secret = Secret(TEACHER_KEY)
    with teacher_server(lambda prompt: "yes") as server:
        config = server.config("it")
    shown: list[Any] = [
        secret, f"{secret}", f"{secret!r:>30}", [secret], {"key": secret}, config, dataclasses.asdict(config),
        dataclasses.replace(config, name="b"), copy.copy(secret), copy.deepcopy(secret),
    ]  # fmt: skip
    assert TEACHER_KEY not in repr(shown) + " ".join(map(str, shown))
    assert secret.reveal() == copy.deepcopy(secret).reveal() == TEACHER_KEY
    for written in (secret, config):
        with pytest.raises(TypeError, match="not written down"):
            pickle.dumps(written)


@pytest.mark.parametrize(
    "key", ["", "short", f"{TEACHER_KEY}\n", f"{TEACHER_KEY} {TEACHER_KEY}", f"{TEACHER_KEY}é", "\0" * 9]
)
def test_no_key(key: str) -> None:
    with pytest.raises(SecretError) as caught:
        Secret(key)
    assert TEACHER_KEY not in str(caught.value)


def test_keys_from_files_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.write_text(f"\n{TEACHER_KEY}\r\n")
    assert Secret.from_file(file).reveal() == TEACHER_KEY
    monkeypatch.setenv("A_KEY", f" {TEACHER_KEY}\n")
    assert Secret.from_environment("A_KEY").reveal() == TEACHER_KEY
    monkeypatch.delenv("A_KEY")
    with pytest.raises(SecretError, match="A_KEY is not set"):
        Secret.from_environment("A_KEY")
    with pytest.raises(SecretError, match="No such file"):
        Secret.from_file(tmp_path / "none")
    file.write_bytes(b"\xff\xfe" + TEACHER_KEY.encode())
    with pytest.raises(SecretError, match="plain text") as caught:
        Secret.from_file(file)
    assert TEACHER_KEY not in everything(caught.value)
    with pytest.raises(SecretError) as caught:
        Secret.from_environment(TEACHER_KEY)  # somebody wrote the key where its variable's name belongs
    assert TEACHER_KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("protocol", list(TeacherProtocol))
def test_the_official_client_never_has_the_key(protocol: TeacherProtocol, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it hands to the transport is all that its errors, its logs and whatever traces it could show."""
    handed: list[str] = []
    send = TeacherTransport.handle_request

    def watched(transport: TeacherTransport, request: httpx2.Request) -> httpx2.Response:
        handed.append(f"{request.url} {request.headers.raw!r} {request.read()!r} {request.extensions}")
        return send(transport, request)

    monkeypatch.setattr(TeacherTransport, "handle_request", watched)
    with teacher_server(lambda prompt: "yes") as server, TeacherAPIs([server.config("it", protocol)]) as teachers:
        assert teachers.query_single("it", "Hi").text == "yes"
    assert "Hi" in handed[0]
    assert TEACHER_KEY not in handed[0]
