"""Text in any encoding: UTF-8 is taken as it is, everything else is an error of one line, before anything is asked."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from node.cli.app import run
from node.cli.typed_text import TextEncodingError, require_text, standard_input, standard_lines


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """Bytes on standard input, whatever the locale."""
    data = io.BytesIO()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(data, encoding="ascii"))
    return data


def fill(given: io.BytesIO, data: bytes) -> None:
    given.write(data)
    given.seek(0)


@pytest.mark.parametrize("command", [["ask", "-"], ["ask", "--raw", "-"], ["embed", "-"]])
@pytest.mark.parametrize(
    ("data", "found"),
    [(b"\xff\xfe text", "byte 0 is 0xff (it begins as UTF-16LE does)"), ("é".encode("latin-1"), "byte 0 is 0xe9")],
)
def test_bytes_that_are_no_text(
    command: list[str], data: bytes, found: str, given: io.BytesIO, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(given, data)
    assert run(["--home", str(tmp_path), *command]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"nexus: standard input is not UTF-8: {found}. Convert it: iconv -f ENCODING -t UTF-8.\n"
    given.seek(0)
    assert run(["--home", str(tmp_path), *command, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "TextEncodingError"


def test_utf8_is_read_whatever_the_locale(given: io.BytesIO) -> None:
    fill(given, "\N{BOM}数 é\r\n🦊\n".encode())
    assert standard_input() == "数 é\r\n🦊\n"


@pytest.mark.parametrize(("data", "lines"), [(b"", []), (b"a\r\nb", ["a", "b"]), (b"a\n\nb\n", ["a", "", "b"])])
def test_lines(given: io.BytesIO, data: bytes, lines: list[str]) -> None:
    fill(given, data)
    assert standard_lines() == lines


def test_an_argument_that_was_no_text() -> None:
    assert require_text("数", "the prompt") == "数"
    with pytest.raises(TextEncodingError, match="the prompt is not UTF-8: character 1 is byte 0xff"):
        require_text(b"a\xff".decode("utf-8", "surrogateescape"), "the prompt")
