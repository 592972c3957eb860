"""Files as IPFS blocks, bit for bit as Kubo's ``ipfs add --cid-version=1 --raw-leaves`` makes them.

256 KiB chunks are raw leaves; up to 174 links make a dag-pb node, balanced (all leaves at the
same depth); a file of one chunk is that leaf alone. ``blocks_of`` and ``read_chunks`` stream, so size
is no limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from nexus_chain.content.cid import DAG_PB, RAW, Cid
from nexus_chain.content.errors import CidFormatError

CHUNK_BYTES = 256 * 1024
LINKS_PER_NODE = 174
MAX_DEPTH = 8  # 174^8 chunks: far beyond any file, near enough to stop a hostile chain of links
_FILE = 2  # UnixFS type


@dataclass(frozen=True)
class Block:
    """Bytes and their address."""

    cid: Cid
    data: bytes


@dataclass(frozen=True)
class _Link:
    """A child of a node: bytes of the file below it, and of all blocks below it."""

    cid: Cid
    file_bytes: int
    total_bytes: int


def blocks_of(source: BinaryIO, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Block]:
    """All blocks of a file, children before parents; the last one is the root."""
    pending: list[list[_Link]] = [[]]  # [depth]: links that wait for a parent
    while chunk := source.read(chunk_bytes):
        leaf = Block(Cid.of(chunk), chunk)
        yield leaf
        yield from _attach(pending, 0, _Link(leaf.cid, len(chunk), len(chunk)))
    if not pending[0] and len(pending) == 1:
        yield Block(Cid.of(b""), b"")
    depth = 0
    while depth < len(pending) - 1 or len(pending[depth]) > 1:
        if pending[depth]:
            yield from _close(pending, depth)
        depth += 1


def cid_of(data: bytes, chunk_bytes: int = CHUNK_BYTES) -> Cid:
    """Address of a file with these bytes."""
    root = Cid.of(b"")
    for block in blocks_of(BytesIO(data), chunk_bytes):
        root = block.cid
    return root


def read_file(get: Callable[[Cid], bytes], root: Cid, limit: int = 1 << 32) -> bytes:
    """The bytes of the file at ``root``. Raises as ``read_chunks`` does."""
    return b"".join(read_chunks(get, root, limit))


def read_chunks(get: Callable[[Cid], bytes], root: Cid, limit: int | None = None) -> Iterator[bytes]:
    """The file at ``root`` piece by piece; ``get`` returns a block's bytes, which are verified here.

    Raises BlockTamperedError where they do not fit their address, CidFormatError where a block is
    no UnixFS file, its sizes are wrong or it is larger than ``limit`` bytes. The pieces before that
    are the file's.
    """
    given = 0
    for chunk in _leaves(get, root, MAX_DEPTH):
        given += len(chunk)
        if limit is not None and given > limit:
            raise CidFormatError(f"{root} is larger than {limit} bytes", advice="Raise the limit if that is expected")
        yield chunk


def children(cid: Cid, data: bytes) -> list[tuple[Cid, int]]:
    """(address, file bytes) of a block's children; none for a raw leaf."""
    return [] if cid.codec == RAW else _decode_node(data)


def _attach(pending: list[list[_Link]], depth: int, link: _Link) -> Iterator[Block]:
    """Add a link; when the group before it is full, that becomes a node first."""
    if depth == len(pending):
        pending.append([])
    if len(pending[depth]) == LINKS_PER_NODE:
        yield from _close(pending, depth)
    pending[depth].append(link)


def _close(pending: list[list[_Link]], depth: int) -> Iterator[Block]:
    """Turn the links that wait at ``depth`` into a node and hand it to the level above."""
    links, pending[depth] = pending[depth], []
    data = _encode_node(links)
    node = Block(Cid.of(data, DAG_PB), data)
    yield node
    total = len(data) + sum(link.total_bytes for link in links)
    yield from _attach(pending, depth + 1, _Link(node.cid, sum(link.file_bytes for link in links), total))


def _leaves(get: Callable[[Cid], bytes], cid: Cid, depth: int) -> Iterator[bytes]:
    """The raw leaves below ``cid``, in order; at most ``depth`` nodes above each."""
    data = cid.check(get(cid))
    if cid.codec == RAW:
        yield data
    elif depth == 0:
        raise CidFormatError(f"{cid} is nested too deeply", advice="Ask for another file: no importer writes this")
    else:
        for child, size in _decode_node(data):
            left = size
            for leaf in _leaves(get, child, depth - 1):
                left -= len(leaf)
                yield leaf
            if left != 0:
                raise CidFormatError(f"{cid} states {size} bytes for {child}", advice="Ask for another file")


def varint(value: int) -> bytes:
    """An unsigned LEB128 integer, as protobuf and multiformats write it."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def _encode_node(links: list[_Link]) -> bytes:
    """dag-pb: links first, then the UnixFS record; names are present and empty, as Go writes them."""
    record = bytes([1 << 3, _FILE]) + bytes([3 << 3]) + varint(sum(link.file_bytes for link in links))
    record += b"".join(bytes([4 << 3]) + varint(link.file_bytes) for link in links)
    encoded = (
        _field(2, _field(1, link.cid.to_bytes()) + _field(2, b"") + bytes([3 << 3]) + varint(link.total_bytes))
        for link in links
    )
    return b"".join(encoded) + _field(1, record)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of a protobuf message that has varints and byte strings only."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        value, at = _read_varint(data, at)
        if key & 7 == 0:
            yield key >> 3, value
        elif key & 7 == 2 and at + value <= len(data):
            yield key >> 3, data[at : at + value]
            at += value
        else:
            raise ValueError("unexpected wire type or length")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("truncated varint")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
        shift += 7


def _decode_node(data: bytes) -> list[tuple[Cid, int]]:
    """(address, file bytes) of every child of a UnixFS file node."""
    try:
        cids, record = [], b""
        for number, value in _fields(data):
            if number == 2 and isinstance(value, bytes):
                cids.append(Cid.from_bytes(next(v for n, v in _fields(value) if n == 1 and isinstance(v, bytes))))
            elif number == 1 and isinstance(value, bytes):
                record = value
        entries = list(_fields(record))
        sizes = [value for number, value in entries if number == 4 and isinstance(value, int)]
        if (1, _FILE) not in entries or len(sizes) != len(cids) or any(number == 2 for number, _ in entries):
            raise ValueError("no UnixFS file node with one size a link")
        if 0 in sizes:  # nodes of empty children could be walked for ever, and give no byte that counts
            raise ValueError("it has an empty child")
    except (ValueError, StopIteration) as error:
        raise CidFormatError(f"a dag-pb block is no file node ({error})", advice="Ask for the CID of a file") from error
    return list(zip(cids, sizes, strict=True))
