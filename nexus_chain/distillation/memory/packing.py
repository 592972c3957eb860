"""The texts of one example in few bytes: a JSON list of prompt, response and proof, by zlib."""

from __future__ import annotations

import json
import zlib

LARGEST = 16_000_000
"""Bytes that three texts may have: no damaged row fills the memory."""
_LEVEL = 9


def packed(prompt: str, response: str, proof: str | None) -> bytes:
    """The texts, compressed."""
    return zlib.compress(json.dumps([prompt, response, proof], ensure_ascii=False).encode(), _LEVEL)


def unpacked(data: bytes) -> tuple[str, str, str | None]:
    """The texts that ``packed`` was given. Raises ValueError for anything else."""
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(data, LARGEST)
    except zlib.error as error:
        raise ValueError("no zlib stream") from error
    if not stream.eof or stream.unused_data:
        raise ValueError("the stream does not end where it should")
    found = json.loads(plain)
    match found:
        case [str(prompt), str(response), str() | None as proof]:
            return prompt, response, proof
    raise ValueError("no three texts")
