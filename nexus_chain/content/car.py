"""CAR files, version 1: blocks in one file, for those who have no IPFS daemon between them.

    file = section(header) section(block) ...      section = varint(length) || bytes
    header = dag-cbor {"roots": [CID, ...], "version": 1}      block = binary CID || data

Whoever reads a block checks it against its address, so a damaged archive shows at the block.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from nexus_chain.content.block_store import BlockSource
from nexus_chain.content.cid import Cid
from nexus_chain.content.errors import BlockMissingError, CarFormatError, CidFormatError
from nexus_chain.content.unixfs import Block, children, varint

_CID_BYTES = 36
_LINK = b"\xd8\x2a\x58\x25\x00"  # dag-cbor: tag 42, a byte string of 37 bytes that begins with 0x00
_LARGEST_SECTION = 4 << 20


def write_car(path: Path, roots: Sequence[Cid], blocks: Iterable[Block]) -> None:
    """Write ``blocks`` at once or not at all. Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(_section(_header(roots)))
            for block in blocks:
                file.write(_section(block.cid.to_bytes() + block.data))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def blocks_below(source: BlockSource, roots: Iterable[Cid]) -> Iterator[Block]:
    """Every block of the files at ``roots``, verified, each once, parents before children. Raises BlockError."""
    waiting, seen = list(reversed(list(roots))), set[Cid]()
    while waiting:
        cid = waiting.pop()
        if cid in seen:
            continue
        seen.add(cid)
        data = cid.check(source.get(cid))
        yield Block(cid, data)
        waiting.extend(child for child, _ in reversed(children(cid, data)))


class CarFile:
    """The blocks of a CAR file, as a source of blocks; only their places are held in memory.

    Raises CarFormatError for a file that is none, OSError for one that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            header = file.read(_length(file, size))
            self.roots: tuple[Cid, ...] = tuple(_roots(header))
            self._places: dict[Cid, tuple[int, int]] = {}
            while file.tell() < size:
                length = _length(file, size)
                if length < _CID_BYTES:
                    raise _malformed("a block is shorter than an address")
                cid = _cid(file.read(_CID_BYTES))
                self._places[cid] = (file.tell(), length - _CID_BYTES)
                file.seek(length - _CID_BYTES, os.SEEK_CUR)

    def get(self, cid: Cid) -> bytes:
        """A verified block; BlockMissingError where there is none, BlockTamperedError where it is damaged."""
        if cid not in self._places:
            raise BlockMissingError(f"{self._path} has no {cid}", advice="Ask for an archive of the whole version")
        start, length = self._places[cid]
        with self._path.open("rb") as file:
            file.seek(start)
            return cid.check(file.read(length))

    def __len__(self) -> int:
        return len(self._places)


def _section(data: bytes) -> bytes:
    return varint(len(data)) + data


def _header(roots: Sequence[Cid]) -> bytes:
    if len(roots) >= 256:
        raise CarFormatError(f"{len(roots)} roots are too many", advice="Write several archives")
    count = bytes([0x80 | len(roots)]) if len(roots) < 24 else bytes([0x98, len(roots)])
    links = b"".join(_LINK + root.to_bytes() for root in roots)
    return b"\xa2\x65roots" + count + links + b"\x67version\x01"


def _roots(header: bytes) -> list[Cid]:
    """The roots of a header in the one form that dag-cbor allows."""
    width = len(_LINK) + _CID_BYTES
    links = header[header.find(_LINK) :] if _LINK in header else b""
    count = len(links) // width
    roots = [_cid(links[at * width + len(_LINK) : (at + 1) * width]) for at in range(count)]
    if count >= 256 or _header(roots) != header:
        raise _malformed("its header is not that of version 1")
    return roots


def _length(file: BinaryIO, size: int) -> int:
    """The length of the next section, which has to end within the file."""
    value = 0
    for shift in range(0, 63, 7):
        byte = file.read(1)
        if not byte:
            raise _malformed("it ends within a section")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            break
    if value > _LARGEST_SECTION or file.tell() + value > size:
        raise _malformed("a section is larger than the file, or than any block")
    return value


def _cid(data: bytes) -> Cid:
    try:
        return Cid.from_bytes(data)
    except CidFormatError as error:
        raise _malformed(f"an address cannot be read ({error.message})") from error


def _malformed(problem: str) -> CarFormatError:
    return CarFormatError(f"the file is no CAR archive: {problem}", advice="Ask for it again")
