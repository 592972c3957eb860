"""What a model usually says after its last tokens: a table that drafts are taken from.

A context is the last one to ``DRAFT_CONTEXT`` tokens. The table maps it to the token that the model itself most often
put there, and says how often that came true. ``table_making.py`` makes the table from the model's own answers. A
table can make an answer faster or slower, never another answer. So nothing on the chain binds it. Its file names the
tokenizer.

A context is kept as a key of 32 bits. Two contexts with one key cost a wrong guess.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from nexus_chain.drafting.errors import DraftTableError

TABLE_FORMAT = "nexus.drafts.v1"
DRAFT_CONTEXT = 6
"""Tokens of the longest context; measured, longer ones say nothing that these do not."""
ENTRIES = 50_000
"""Most entries of a table, 7 or 9 bytes each; measured, four times as many save no round."""
SEEN = 2
"""How often a context has to occur to be kept: one that was seen once promises nothing."""
CERTAIN = 255  # the largest confidence in the file

_FACTOR, _MASK, _SHIFT, _KEY_SHIFT = 0x9E3779B97F4A7C15, (1 << 64) - 1, 29, 32
_TENSORS = {"contexts": ("uint32",), "tokens": ("uint16", "int32"), "confidences": ("uint8",)}
_MAKE_AGAIN = "Make it again with `nexus model draft-table`, or remove it: answers are the same without it."


def context_keys(tokens: Sequence[int]) -> list[int]:
    """Keys of the contexts at the end of ``tokens``, of one token first, of DRAFT_CONTEXT at most."""
    state, keys = 0, []
    for token in tokens[: -DRAFT_CONTEXT - 1 : -1]:
        state = ((state ^ (token + 1)) * _FACTOR) & _MASK
        state ^= state >> _SHIFT
        keys.append(state >> _KEY_SHIFT)
    return keys


@dataclass(frozen=True, eq=False)
class DraftTable:
    """``contexts`` u32[N] are keys in ascending order, ``tokens`` u16[N] or i32[N] what follows each of them,
    ``confidences`` u8[N] how often it does, of 255."""

    contexts: NDArray[Any]
    tokens: NDArray[Any]
    confidences: NDArray[Any]

    def __len__(self) -> int:
        return len(self.contexts)

    def get(self, key: int) -> tuple[int, float] | None:
        """(token, its chance) after the context with a key of ``context_keys``; None where it is not known."""
        keys, tokens, confidences = self._lists
        place = bisect_left(keys, key)
        if place == len(keys) or keys[place] != key:
            return None
        return tokens[place], confidences[place] / CERTAIN

    @cached_property
    def _lists(self) -> tuple[list[int], list[int], list[int]]:
        """For single look-ups, lists are several times as fast as arrays."""
        return self.contexts.tolist(), self.tokens.tolist(), self.confidences.tolist()

    def write(self, path: Path, tokenizer_hash: bytes) -> None:
        """Write the file; ``tokenizer_hash`` is the SHA-256 of tokenizer.json. Raises OSError."""
        tensors = {"contexts": self.contexts, "tokens": self.tokens, "confidences": self.confidences}
        try:  # one entry of metadata: safetensors writes several in no order, and the file has a CID
            save_file(tensors, path, {TABLE_FORMAT: tokenizer_hash.hex()})
        except SafetensorError as error:
            raise OSError(str(error)) from error

    @classmethod
    def read(cls, path: Path, tokenizer_hash: bytes, vocab: int) -> Self:
        """The table in a file. Raises DraftTableError unless it is whole, of that tokenizer and below ``vocab``."""
        try:
            with safe_open(path, framework="np") as source:
                metadata = source.metadata() or {}
                tensors = {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, OSError, ValueError, TypeError) as error:
            raise DraftTableError(f"{path} cannot be read ({error})", advice=_MAKE_AGAIN) from error
        problem = _problem(metadata, tensors, tokenizer_hash, vocab)
        if problem:
            raise DraftTableError(f"{path} {problem}", advice=_MAKE_AGAIN)
        return cls(**tensors)

    @classmethod
    def of(cls, answers: NDArray[np.int32]) -> Self:
        """What most often followed each context in ``answers`` i32[A, DRAFT_CONTEXT + T], T tokens with those before.

        Where a shorter context promises the same token, the longer one is left out; beyond ENTRIES those are
        kept that were right most often.
        """
        count = answers.shape[1] - DRAFT_CONTEXT
        following = answers[:, DRAFT_CONTEXT:].ravel().astype(np.int64)
        promised = np.full(len(following), -1, np.int64)
        state = np.zeros((len(answers), count), np.uint64)
        entries = []
        for start in reversed(range(DRAFT_CONTEXT)):  # contexts of one token, then of two, as ``context_keys``
            state = (state ^ (answers[:, start : start + count].astype(np.uint64) + np.uint64(1))) * np.uint64(_FACTOR)
            state ^= state >> np.uint64(_SHIFT)
            keys = (state >> np.uint64(_KEY_SHIFT)).ravel()
            found, promised = _worth_keeping(keys, following, promised)
            entries.append(found)
        return cls(*_largest(np.concatenate(entries, axis=1)))


def _worth_keeping(
    keys: NDArray[np.uint64], following: NDArray[np.int64], promised: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Entries i64[4, N] (keys, tokens, confidences, how often right) of contexts at P places that say what is new.

    ``promised`` i64[P] is what shorter ones say there, -1 for nothing; it is returned with these in it.
    """
    kept, tokens, right, seen = _most_frequent(keys, following)
    _, first, entry = np.unique(keys, return_index=True, return_inverse=True)
    worth = (seen >= SEEN) & (promised[first] != tokens)
    # As if each had been wrong half a time more: two out of two is no certainty.
    confidences = np.rint(CERTAIN * right / (seen + 0.5)).astype(np.int64)
    found: NDArray[np.int64] = np.stack([kept.astype(np.int64), tokens, confidences, right])[:, worth]
    return found, np.where(worth[entry], tokens[entry], promised)


def _most_frequent(
    keys: NDArray[np.uint64], following: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Each key once, ascending, with its most frequent follower (of equals the smallest), its count and the key's."""
    pairs, counts = np.unique((keys << np.uint64(32)) | following.astype(np.uint64), return_counts=True)
    heads, tails = pairs >> np.uint64(32), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
    order = np.lexsort((tails, -counts, heads))
    heads, tails, counts = heads[order], tails[order], counts[order]
    starts = np.flatnonzero(np.r_[True, heads[1:] != heads[:-1]])
    return heads[starts], tails[starts], counts[starts], np.add.reduceat(counts, starts)


def _largest(entries: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The tensors of a table from its entries i64[4, N], the ENTRIES most often right of them."""
    chosen = entries[:, np.lexsort((entries[0], -entries[3]))[:ENTRIES]]
    keys, first = np.unique(chosen[0], return_index=True)  # ascending; two contexts with one key: the more frequent
    tokens, confidences = chosen[1][first], chosen[2][first]
    small = not len(tokens) or tokens.max() <= np.iinfo(np.uint16).max
    return keys.astype(np.uint32), tokens.astype(np.uint16 if small else np.int32), confidences.astype(np.uint8)


def _problem(metadata: dict[str, str], tensors: dict[str, NDArray[Any]], tokenizer_hash: bytes, vocab: int) -> str:
    """Why a file is not a table that can be used; empty: it is."""
    if TABLE_FORMAT not in metadata or set(tensors) != set(_TENSORS):
        return f"is not a draft table of format {TABLE_FORMAT}"
    if metadata[TABLE_FORMAT] != tokenizer_hash.hex():
        return "belongs to another tokenizer"
    if any(tensors[name].dtype.name not in kinds or tensors[name].ndim != 1 for name, kinds in _TENSORS.items()):
        return "holds tensors of another type or shape"
    if len({len(tensor) for tensor in tensors.values()}) != 1:
        return "holds tensors of different lengths"
    contexts, tokens = tensors["contexts"], tensors["tokens"]
    if (contexts[1:] <= contexts[:-1]).any():
        return "holds contexts out of order"
    # A node refuses a token that the model does not know, and that would end the answer.
    if ((tokens < 0) | (tokens >= vocab)).any():
        return f"holds tokens outside of the model's {vocab}"
    return ""
