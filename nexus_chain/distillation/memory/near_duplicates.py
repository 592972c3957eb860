"""Which examples say almost the same: MinHash signatures cut into bands, and the exact check behind them.

The shingles of an example are the runs of SHINGLE_TOKENS tokens of its prompt and of its response, both in normal form.
Punctuation of sentences is no token in the category ``text``; in code, mathematics and logic every sign counts.
Two examples are near-duplicates when

* their exact parts are equal: all tokens but words of letters, in order (17 + 25 and 17 + 26 are two tasks, and so are
  a < b and a <= b, however long the text around them is), and
* the Jaccard similarity of their sets of shingles is NEAR_DUPLICATE or more.

Bands find the pairs to look at: BANDS bands of ROWS rows each, so that a pair of similarity s shares a band with
probability 1 - (1 - s^ROWS)^BANDS: 0.989 at 0.9, 0.9998 at 0.95. The similarity itself is computed, not estimated: a
pair that bands bring together by chance is kept.

The permutations are those of ``datasketch`` (``affine32``, seed 1), so a signature equals its ``MinHash`` of the same
32-bit shingles; only the loop is another: all examples of a batch are computed at once.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from nexus_chain.distillation.errors import MissingPackageError
from nexus_chain.distillation.memory.normal_form import NormalTexts

NEAR_DUPLICATE = 0.9
SHINGLE_TOKENS = 3
BANDS, ROWS = 8, 8
_U32 = npt.NDArray[np.uint32]

_TOKEN = re.compile(r"\w+(?:[.,]\d+)*|[^\w\s]")
_PUNCTUATION = frozenset(".,;:!?'\"`…“”‘’")
_TOKEN_MIX = (np.uint32(0x9E3779B1), np.uint32(0x85EBCA77), np.uint32(0xC2B2AE3D))
_NO_TOKEN = np.uint32(0)
_FEW_SHINGLES = 512  # fewer than these are computed at once: 64 calls cost more
_BATCH_SHINGLES = 1 << 15  # bounds the memory of one step: 64 rows of 4 bytes for each


@dataclass(frozen=True)
class Sketch:
    """What is compared of an example: its ``bands`` (signed 64 bits each) and its ``shingles`` (sorted, distinct)."""

    bands: tuple[int, ...]
    shingles: _U32
    exact: bytes

    def is_near(self, other: Sketch) -> bool:
        """Whether the two examples are near-duplicates of each other."""
        return self.exact == other.exact and similarity(self.shingles, other.shingles) >= NEAR_DUPLICATE


def sketches(examples: Sequence[NormalTexts]) -> list[Sketch]:
    """The sketch of each example's texts. Raises MissingPackageError without ``datasketch``."""
    found: list[Sketch] = []
    batch: list[tuple[bytes, _U32]] = []
    waiting = 0
    for texts in examples:
        exact, shingles = _parts(texts)
        batch.append((exact, shingles))
        waiting += len(shingles)
        if waiting >= _BATCH_SHINGLES:
            found += _sketched(batch)
            batch, waiting = [], 0
    return found + _sketched(batch)


def similarity(first: _U32, second: _U32) -> float:
    """Jaccard similarity of two sorted arrays of distinct shingles; 1 for equal ones."""
    common = len(np.intersect1d(first, second, assume_unique=True))
    return common / (len(first) + len(second) - common)


def signatures(shingles: Sequence[_U32]) -> _U32:
    """u32[n, BANDS * ROWS]: the MinHash signature of each non-empty array of 32-bit shingles."""
    multipliers, offsets = _permutations()
    mixed = _finalised(np.concatenate(shingles))
    starts = np.cumsum([0, *(len(one) for one in shingles[:-1])])
    if len(mixed) < _FEW_SHINGLES:
        few: _U32 = np.minimum.reduceat(mixed[:, None] * multipliers + offsets, starts, axis=0)
        return few
    # One permutation a row: its minima over neighbours are then sequential in memory.
    rows = [np.minimum.reduceat(mixed * a + b, starts) for a, b in zip(multipliers, offsets, strict=True)]
    return np.ascontiguousarray(np.stack(rows, axis=1))


def _parts(texts: NormalTexts) -> tuple[bytes, _U32]:
    """The exact part, and the distinct shingles."""
    asked, answered = (_tokens(text, texts.category) for text in texts[:2])
    exact = f"{_exact(asked)}\0{_exact(answered)}".encode()
    shingles = np.concatenate([_shingles(asked, 0), _shingles(answered, 1)])
    shingles.sort()
    first = np.ones(len(shingles), np.bool_)
    np.not_equal(shingles[1:], shingles[:-1], out=first[1:])
    return exact, shingles[first]


def _tokens(text: str, category: str) -> list[str]:
    found: list[str] = _TOKEN.findall(text)
    return [token for token in found if token not in _PUNCTUATION] if category == "text" else found


def _exact(tokens: Sequence[str]) -> str:
    return " ".join([token for token in tokens if not token.isalpha()])


@lru_cache(maxsize=1 << 16)
def _token_hash(token: str) -> int:
    return zlib.crc32(token.encode())


def _shingles(tokens: Sequence[str], seed: int) -> _U32:
    """Shingles of one text; ``seed`` tells a prompt's from a response's. A short text is one shingle."""
    hashes = np.fromiter(map(_token_hash, tokens), np.uint32, len(tokens))
    if len(hashes) < SHINGLE_TOKENS:
        hashes = np.concatenate([hashes, np.full(SHINGLE_TOKENS - len(hashes), _NO_TOKEN)])
    count = len(hashes) - SHINGLE_TOKENS + 1
    mixed = np.full(count, seed, np.uint32)
    for at, factor in enumerate(_TOKEN_MIX):
        mixed = (mixed ^ hashes[at : at + count]) * factor
        mixed ^= mixed >> np.uint32(15)
    return mixed


def _sketched(parts: Sequence[tuple[bytes, _U32]]) -> list[Sketch]:
    if not parts:
        return []
    keys = _band_keys(signatures([shingles for _, shingles in parts]), [zlib.crc32(exact) for exact, _ in parts])
    return [
        Sketch(tuple(bands), shingles, exact) for bands, (exact, shingles) in zip(keys.tolist(), parts, strict=True)
    ]


def _band_keys(rows: _U32, exact: Sequence[int]) -> npt.NDArray[np.int64]:
    """i64[n, BANDS]: FNV-1a over the number of the band, the exact part and the band's rows."""
    cut = rows.reshape(len(rows), BANDS, ROWS).astype(np.uint64)
    prime = np.uint64(0x100000001B3)
    keys = np.full((len(rows), BANDS), 0xCBF29CE484222325, np.uint64)
    keys = (keys ^ np.arange(BANDS, dtype=np.uint64)) * prime
    keys = (keys ^ np.asarray(exact, np.uint64)[:, None]) * prime
    for at in range(ROWS):
        keys = (keys ^ cut[:, :, at]) * prime
        keys ^= keys >> np.uint64(29)
    return keys.view(np.int64)


def _finalised(hashes: _U32) -> _U32:
    """The finaliser of MurmurHash3, with which ``affine32`` begins."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))


@cache
def _permutations() -> Any:
    """Multipliers and offsets of BANDS * ROWS permutations."""
    try:
        from datasketch import MinHash  # the extra's, and slow to import
    except ImportError as error:
        raise MissingPackageError.of("datasketch") from error
    return MinHash(num_perm=BANDS * ROWS, seed=1, scheme="affine32").permutations
