"""Values of Solidity types as bytes, and back: the codec that every read uses.

Hand-written because every command that reads the chain needs it, and the libraries take longer to be imported than the
chain takes to answer; and because a server's answer is a stranger's, which must not make much out of little. The tests
compare it with ``eth_abi``. It knows the types that contracts here can have: integers, bool, address, bytesN, bytes,
string, their arrays and their structs.

Python values: integers, bool, checksummed addresses, bytes, text, tuples (of arrays and of structs).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from nexus_chain.address import checksummed
from nexus_chain.keccak import keccak256

ADDRESS_BYTES = 20
WORD_BYTES = 32
"""Bytes; everything is made of words."""
MOST_READINGS = 16
"""How many times its own length a decoder reads at most: offsets may overlap, and must not make much out of little."""

_ARRAY = re.compile(r"(.+)\[([1-9][0-9]*)?\]\Z")
_PLAIN = re.compile(r"(uint|int|bytes)([1-9][0-9]*)\Z")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}\Z")


class AbiError(ValueError):
    """Raised when a value is none of its type, or bytes are no values of theirs."""


@dataclass(frozen=True)
class _Kind:
    """A parsed type. ``size``: bits of an integer, bytes of a bytesN, items of an array (None: any number)."""

    name: str
    size: int | None = None
    parts: tuple[_Kind, ...] = ()

    @cached_property
    def dynamic(self) -> bool:
        """Whether a struct or array holds only the offset of such a value."""
        if self.name == "array" and self.size is None:
            return True
        return self.name in ("bytes", "string") or any(part.dynamic for part in self.parts)

    @cached_property
    def head(self) -> int:
        """Bytes that a value takes where it stands."""
        if self.dynamic:
            return WORD_BYTES
        return sum(part.head for part in self.parts) * (self.size or 1) if self.parts else WORD_BYTES


def encode_abi(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """``abi.encode`` of ``values``. Raises AbiError: a value of another type or out of its range is never bent."""
    return _encoded_all([_parsed(kind) for kind in types], values)


def decode_abi(types: Sequence[str], data: bytes, *, strict: bool = True) -> tuple[Any, ...]:
    """``abi.decode``; text that is no UTF-8 has its bad bytes replaced: one stranger's text hides nobody else's.

    ``strict``: bytes and text end in zeros, as Solidity packs them. Contracts take them packed otherwise, too.
    Raises AbiError as Solidity reverts: integers, addresses and bool out of range, offsets out of ``data``.
    """
    return _Reader(data, strict=strict).values([_parsed(kind) for kind in types], 0)


def abi_types(entries: Sequence[Any]) -> list[str]:
    """The canonical types of a JSON ABI's inputs or outputs, structs spelled out."""
    return [_spelled_out(entry) for entry in entries]


def signature_hash(entry: Any) -> bytes:
    """What a JSON ABI's event is known by on the chain; of functions and errors, it begins with their selector."""
    return keccak256(f"{entry['name']}({','.join(abi_types(entry.get('inputs', [])))})".encode())


def _spelled_out(entry: Any) -> str:
    kind = str(entry["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(abi_types(entry['components']))}){kind.removeprefix('tuple')}"


@cache
def _parsed(kind: str) -> _Kind:
    """Raises AbiError for a type that is not known here."""
    if array := _ARRAY.match(kind):
        item, size = array.groups()
        return _Kind("array", int(size) if size else None, (_parsed(item),))
    if kind.startswith("(") and kind.endswith(")") and kind != "()":
        return _Kind("struct", None, tuple(_parsed(part) for part in _split(kind[1:-1])))
    if kind in ("address", "bool", "bytes", "string"):
        return _Kind(kind)
    if plain := _PLAIN.match(kind):
        name, size = plain.group(1), int(plain.group(2))
        if size <= WORD_BYTES if name == "bytes" else size % 8 == 0 and size <= 8 * WORD_BYTES:
            return _Kind("word" if name == "bytes" else name, size)
    raise AbiError(f"{kind!r} is no type of the ABI")


def _split(members: str) -> Iterator[str]:
    """The members of a struct's type, at its own level."""
    depth, start = 0, 0
    for at, letter in enumerate(members):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            yield members[start:at]
            start = at + 1
    yield members[start:]


# -------------------------------------------------------------------- encoding


def _encoded_all(kinds: Sequence[_Kind], values: Any) -> bytes:
    """A struct's, an array's or a call's values: what has a fixed length, then the rest, found by offsets."""
    if isinstance(values, str | bytes) or not isinstance(values, Sequence) or len(values) != len(kinds):
        raise AbiError(f"{values!r:.80} are not {len(kinds)} values")
    heads, tails = [], []
    at = sum(kind.head for kind in kinds)
    for kind, value in zip(kinds, values, strict=True):
        encoded = _encoded(kind, value)
        if not kind.dynamic:
            heads.append(encoded)
            continue
        heads.append(at.to_bytes(WORD_BYTES, "big"))
        tails.append(encoded)
        at += len(encoded)
    return b"".join(heads + tails)


def _encoded(kind: _Kind, value: Any) -> bytes:
    if kind.name == "struct":
        return _encoded_all(kind.parts, value)
    if kind.name == "array":
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            raise AbiError(f"{value!r:.80} is no list")
        count = len(value) if kind.size is None else kind.size
        length = _word_of(count) if kind.size is None else b""
        return length + _encoded_all(kind.parts * count, value)
    if kind.name in ("bytes", "string"):
        content = _bytes_of(kind, value)
        return _word_of(len(content)) + content + bytes(-len(content) % WORD_BYTES)
    return _encoded_word(kind, value)


def _encoded_word(kind: _Kind, value: Any) -> bytes:
    size = kind.size or 0
    if kind.name == "bool" and isinstance(value, bool):
        return _word_of(value)
    if kind.name == "address" and isinstance(value, str) and _ADDRESS.match(value):
        return bytes(WORD_BYTES - ADDRESS_BYTES) + bytes.fromhex(value[2:])
    if kind.name == "word" and isinstance(value, bytes) and len(value) == size:
        return value + bytes(WORD_BYTES - size)
    if isinstance(value, int) and not isinstance(value, bool):
        if kind.name == "uint" and 0 <= value < 1 << size:
            return _word_of(value)
        if kind.name == "int" and -(1 << size - 1) <= value < 1 << size - 1:
            return value.to_bytes(WORD_BYTES, "big", signed=True)
    raise AbiError(f"{value!r:.80} is no {'bytes' if kind.name == 'word' else kind.name}{kind.size or ''}")


def _bytes_of(kind: _Kind, value: Any) -> bytes:
    if kind.name == "bytes" and isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if kind.name == "string" and isinstance(value, str):
        return value.encode()
    raise AbiError(f"{value!r:.80} is no {kind.name}")


def _word_of(number: int) -> bytes:
    return number.to_bytes(WORD_BYTES, "big")


# -------------------------------------------------------------------- decoding


class _Reader:
    """Reads values out of bytes that anybody may have made up.

    INVARIANT: it takes memory and time in proportion to the bytes, whatever offsets and lengths they state.
    """

    def __init__(self, data: bytes, *, strict: bool) -> None:
        self._data, self._left, self._strict = data, MOST_READINGS * len(data), strict

    def values(self, kinds: Sequence[_Kind], at: int) -> tuple[Any, ...]:
        """Values that stand side by side from ``at``, to which their offsets are relative."""
        found, place = [], at
        for kind in kinds:
            found.append(self._value(kind, at + self._number(place) if kind.dynamic else place))
            place += kind.head
        return tuple(found)

    def _value(self, kind: _Kind, at: int) -> Any:
        if kind.name == "struct":
            return self.values(kind.parts, at)
        if kind.name == "array":
            return self._array(kind, at)
        if kind.name == "bytes":
            return self._content(at)
        if kind.name == "string":
            return self._content(at).decode("utf-8", "replace")
        return _word_value(kind, self._take(at, WORD_BYTES))

    def _array(self, kind: _Kind, at: int) -> tuple[Any, ...]:
        count, start = (self._number(at), at + WORD_BYTES) if kind.size is None else (kind.size, at)
        (item,) = kind.parts
        if count * item.head > len(self._data) - start:
            raise AbiError(f"a list of {count} items ends outside of {len(self._data)} bytes")
        return self.values(kind.parts * count, start)

    def _content(self, at: int) -> bytes:
        length = self._number(at)
        start, filling = at + WORD_BYTES, -length % WORD_BYTES
        found = self._take(start, length)
        if self._strict and any(self._take(start + length, filling)):
            raise AbiError("bytes do not end in zeros")
        return found

    def _number(self, at: int) -> int:
        return int.from_bytes(self._take(at, WORD_BYTES), "big")

    def _take(self, at: int, count: int) -> bytes:
        self._left -= count
        if at + count > len(self._data) or self._left < 0:
            raise AbiError(f"a value ends outside of {len(self._data)} bytes")
        return self._data[at : at + count]


def _word_value(kind: _Kind, word: bytes) -> Any:
    size = kind.size or 0
    if kind.name == "word":
        if any(word[size:]):
            raise AbiError(f"0x{word.hex()} is no bytes{size}")
        return word[:size]
    number = int.from_bytes(word, "big", signed=kind.name == "int")
    if kind.name == "int":
        if not -(1 << size - 1) <= number < 1 << size - 1:
            raise AbiError(f"{number} is no int{size}")
        return number
    bits = {"address": 8 * ADDRESS_BYTES, "bool": 1}.get(kind.name, size)
    if number >> bits:
        raise AbiError(f"{number} is no {kind.name}{kind.size or ''}")
    if kind.name == "address":
        return checksummed(word[-ADDRESS_BYTES:])
    return bool(number) if kind.name == "bool" else number
