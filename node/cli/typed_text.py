"""Text that a user gives: what is no UTF-8 is refused before anything is asked or paid."""

from __future__ import annotations

import sys

from nexus_chain.errors import NexusError


class TextEncodingError(NexusError):
    """A text that the user gave is not in the encoding that is expected."""


def standard_input() -> str:
    """All of standard input. Raises TextEncodingError."""
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextEncodingError(
            f"standard input is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}{_guess(data)}",
            advice="Convert it: iconv -f ENCODING -t UTF-8.",
        ) from error


def standard_lines() -> list[str]:
    """The lines of standard input. Raises TextEncodingError."""
    lines = [line.rstrip("\r") for line in standard_input().split("\n")]
    return lines if lines[-1] else lines[:-1]


def require_text(text: str, what: str) -> str:
    """``text``. Raises TextEncodingError where bytes of the command line were no text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TextEncodingError(
            f"{what} is not UTF-8: character {error.start} is byte 0x{ord(text[error.start]) & 0xFF:02x}",
            advice="Convert it: iconv -f ENCODING -t UTF-8, or give it on standard input.",
        ) from error
    return text


def _guess(data: bytes) -> str:
    """The encoding that the first bytes announce."""
    marks = {b"\xff\xfe": "UTF-16LE", b"\xfe\xff": "UTF-16BE"}
    return f" (it begins as {marks[data[:2]]} does)" if data[:2] in marks else ""
