"""Incremental decoding: pieces that join to what decoding all tokens at once gives, for any tokens.

A piece leaves as soon as no later token can change it. Tokens of bytes make characters together: a byte-level
decoder is followed byte by byte; one that falls back to bytes for rare characters judges a run of them as a whole,
so a run is held back until it ends.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol

from tokenizers import Tokenizer

from nexus_chain.versions.tokenizer_faults import tokenizer_faults

UNFINISHED = "\N{REPLACEMENT CHARACTER}"
_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


class TextStream(Protocol):
    """Turns tokens, one at a time, into characters."""

    def push(self, token: int) -> str:
        """The characters that are certain with ``token``; often one piece, sometimes none."""
        ...

    def finish(self) -> str:
        """What was held back: an unfinished character, or nothing. The stream is as new then."""
        ...


class Streams:
    """Makes streams for one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def stream(self) -> TextStream:
        """A fresh one."""
        kinds = _kinds(self._decoder)
        if kinds == ["ByteLevel"]:
            return ByteStream(self._bytes_of)
        return WindowStream(self._shown, self._decode, bytewise="ByteLevel" in kinds)

    @cached_property
    def _decoder(self) -> Any:
        return json.loads(self._tokenizer.to_str())["decoder"]

    @cached_property
    def _skipped(self) -> frozenset[int]:
        """Special tokens, which stand for no text: those that decoding leaves out, whatever files call special."""
        added = self._tokenizer.get_added_tokens_decoder()
        return frozenset(index for index in added if self._is_hidden(index))

    def _is_hidden(self, token: int) -> bool:
        shown = (self._tokenizer.decode([token], skip_special_tokens=skip) for skip in (True, False))
        return tuple(map(bool, shown)) == (False, True)

    def _shown(self, token: int) -> str | None:
        """How the vocabulary writes a token; None for one that stands for no text."""
        return None if token in self._skipped else self._tokenizer.id_to_token(token)

    def _decode(self, tokens: list[int]) -> str:
        with tokenizer_faults("the tokenizer fails at tokens"):
            return str(self._tokenizer.decode(tokens, skip_special_tokens=True))

    def _bytes_of(self, token: int) -> bytes:
        written = self._shown(token) or ""
        try:
            return bytes(_BYTES[character] for character in written)
        except KeyError:  # a token that was added as it is written
            return written.encode()


class ByteStream:
    """For a byte-level decoder: bytes that are no UTF-8 give U+FFFD as soon as that is certain."""

    def __init__(self, bytes_of: Callable[[int], bytes]) -> None:
        self._bytes_of = bytes_of
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        return self._decoder.decode(self._bytes_of(token))

    def finish(self) -> str:
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest


class WindowStream:
    """For any decoder: decodes a short window behind the last piece, so a stream of n tokens costs O(n).

    The window keeps one token that was shown before: decoders strip a leading blank of the first token only.
    ``bytewise``: whether a token may end within a character.
    """

    def __init__(self, shown: Callable[[int], str | None], decode: Callable[[list[int]], str], bytewise: bool) -> None:
        self._shown, self._decode, self._bytewise = shown, decode, bytewise
        self._context: list[int] = []
        self._pending: list[int] = []

    def push(self, token: int) -> str:
        written = self._shown(token)
        if written is None:
            return ""
        self._pending.append(token)
        if _BYTE.fullmatch(written):
            return ""
        piece = self._piece()
        if self._bytewise and piece.endswith(UNFINISHED):
            return ""
        self._context, self._pending = self._pending, []
        return piece

    def finish(self) -> str:
        piece = self._piece() if self._pending else ""
        self._context, self._pending = [], []
        return piece

    def _piece(self) -> str:
        before = self._decode(self._context) if self._context else ""
        return self._decode(self._context + self._pending)[len(before) :]


def _kinds(decoder: Any) -> list[str]:
    """Types of the decoder's steps, in order."""
    if decoder is None:
        return []
    if decoder["type"] == "Sequence":
        return [kind for step in decoder["decoders"] for kind in _kinds(step)]
    return [str(decoder["type"])]


def _byte_alphabet() -> dict[str, int]:
    """The byte that each character of a byte-level vocabulary stands for: printable ones stand for themselves."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + at): byte for at, byte in enumerate(others)}


_BYTES = _byte_alphabet()
