"""Reading canonical descriptors: what one op is, from the bytes that ``programRoot`` is over.

A descriptor has hashes in place of names, so an op that was read is not one of a program: it says what is computed, and
of which numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nexus_chain.program.descriptors import DESCRIPTOR_VERSION, MAX_DIMENSIONS
from nexus_chain.program.dtypes import DTYPE_CODES
from nexus_chain.program.errors import ProgramFormatError
from nexus_chain.program.op_kinds import KINDS

_WORD = 32
_DTYPES = {code: name for name, code in DTYPE_CODES.items()}
_KINDS = {kind.code: name for name, kind in KINDS.items()}


@dataclass(frozen=True)
class DescribedTensor:
    """``number``: of the activation in the program, or of the weight. ``shape``: -1 positions, -2 sampled ones."""

    dtype: str
    number: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class DescribedOp:
    """An op as its descriptor says it."""

    kind: str
    layer: int
    params: Mapping[str, int]
    inputs: tuple[DescribedTensor, ...]
    outputs: tuple[DescribedTensor, ...]
    weights: tuple[DescribedTensor, ...]


def read_descriptor(data: bytes) -> DescribedOp:
    """The op of a canonical descriptor. Raises ProgramFormatError for bytes that are none."""
    words = [data[start : start + _WORD] for start in range(0, len(data), _WORD)]
    if not words or len(words[-1]) != _WORD or words[0][0] != DESCRIPTOR_VERSION or words[0][1] not in _KINDS:
        raise _malformed("its head names no kind of this version")
    head = words[0]
    kind, names = _KINDS[head[1]], KINDS[_KINDS[head[1]]].params
    counts = head[5], head[6], head[7]
    if head[4] != len(names) or len(words) != 1 + len(names) + 2 * sum(counts):
        raise _malformed(f"it has {len(words)} words, which is not the length of such a {kind}")
    params = {name: int.from_bytes(word, "big", signed=True) for name, word in zip(names, words[1:], strict=False)}
    tensors = [_tensor(word) for word in words[1 + len(names) + 1 :: 2]]
    first, second = counts[0], counts[0] + counts[1]
    parts = tuple(tensors[:first]), tuple(tensors[first:second]), tuple(tensors[second:])
    return DescribedOp(kind, int.from_bytes(head[2:4], "big"), params, *parts)


def _tensor(word: bytes) -> DescribedTensor:
    """From the second of a tensor's two words."""
    rank = word[1]
    if word[0] not in _DTYPES or rank > MAX_DIMENSIONS:
        raise _malformed("a tensor in it has no type, or too many dimensions")
    sizes = (int.from_bytes(word[8 + 8 * axis : 16 + 8 * axis], "big", signed=True) for axis in range(rank))
    return DescribedTensor(_DTYPES[word[0]], int.from_bytes(word[4:8], "big"), tuple(sizes))


def _malformed(what: str) -> ProgramFormatError:
    return ProgramFormatError(f"These bytes are no descriptor of an op: {what}", advice="Ask for the op's descriptor.")
