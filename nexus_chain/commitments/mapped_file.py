"""A file mapped into memory, with a say in which of its pages are resident. Knows no format.

Whoever computes with the bytes uses the mapping. Whoever only hashes them reads in pieces, so that hashing a file
larger than memory fills no memory.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from nexus_chain.commitments.errors import TensorBlockError

PIECE_BYTES = 4 << 20  # read at once while hashing
#: Times of files are taken from a clock with steps of up to 10 ms; twice as much and more is safe.
CLOCK_STEP_NS = 100_000_000
_PAGE = mmap.PAGESIZE
_POPULATE_READ = 22  # MADV_POPULATE_READ, Linux 5.14: not among mmap's names
FETCH_AGAIN = "Fetch or write the shard again, then restart the node"


@dataclass(frozen=True)
class FileIdentity:
    """What changes whenever a file is replaced or written: device, inode, size in bytes, times in ns."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, descriptor: int) -> FileIdentity:
        """Of an open file."""
        found = os.fstat(descriptor)
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    @property
    def is_settled(self) -> bool:
        """Whether a write from now on would show: one within the same step of the clock would not."""
        return time.time_ns() - max(self.modified_ns, self.changed_ns) > CLOCK_STEP_NS


class MappedFile:
    """A file of a fixed size. ``identity`` is the one it had when it was opened."""

    def __init__(self, path: Path) -> None:
        """Raises TensorBlockError when the file is missing, empty or cannot be mapped."""
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise TensorBlockError(f"{path} is missing", advice=FETCH_AGAIN) from error
        except OSError as error:
            raise TensorBlockError(f"{path} cannot be opened ({error})", advice=FETCH_AGAIN) from error
        weakref.finalize(self, os.close, self._descriptor)
        try:
            # Private and writable: torch warns about read-only buffers, and no page is copied unless written.
            self._mapped = mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_COPY)
        except (OSError, ValueError) as error:
            raise TensorBlockError(f"{path} cannot be mapped ({error})", advice=FETCH_AGAIN) from error
        self.identity = FileIdentity.of(self._descriptor)
        self._base = torch.frombuffer(self._mapped, dtype=torch.uint8).data_ptr()

    def __len__(self) -> int:
        return len(self._mapped)

    @property
    def is_unchanged(self) -> bool:
        """Whether nobody wrote to the file since it was opened."""
        return FileIdentity.of(self._descriptor) == self.identity

    def tensor(self, dtype: torch.dtype, shape: tuple[int, ...], offset: int) -> Tensor:
        """A view of the mapping; the caller has checked that it lies inside."""
        count = 1
        for size in shape:
            count *= size
        return torch.frombuffer(self._mapped, dtype=dtype, offset=offset, count=count).reshape(shape)

    def read(self, offset: int, length: int) -> bytes:
        """A copy of bytes [offset, offset + length). Raises TensorBlockError where there are fewer."""
        copy = bytearray(length)
        self._read(memoryview(copy), offset)
        return bytes(copy)

    def pieces(self, offset: int, length: int, unit: int = 1) -> Iterator[memoryview]:
        """Bytes [offset, offset + length), read in pieces of whole ``unit`` bytes; each is valid until the next.

        Raises TensorBlockError where the disk does not give them.
        """
        buffer = memoryview(bytearray(min(length, max(unit, PIECE_BYTES // unit * unit))))
        end = offset + length
        while offset < end:
            piece = buffer[: min(len(buffer), end - offset)]
            self._read(piece, offset)
            yield piece
            offset += len(piece)

    def _read(self, piece: memoryview, offset: int) -> None:
        done = 0
        while done < len(piece):
            try:
                count = os.preadv(self._descriptor, [piece[done:]], offset + done)
            except OSError as error:
                raise TensorBlockError(
                    f"{self.path} cannot be read at byte {offset + done} ({error})", advice=FETCH_AGAIN
                ) from error
            if count == 0:
                raise TensorBlockError(f"{self.path} ends at byte {offset + done}", advice=FETCH_AGAIN)
            done += count

    def prefetch(self, offset: int, length: int) -> None:
        """Bring bytes into memory, and into the page table; returns when they are there. Advice: may do nothing."""
        if sys.platform == "linux":
            start, stop = offset // _PAGE * _PAGE, min(-(-(offset + length) // _PAGE) * _PAGE, len(self))
            os.posix_fadvise(self._descriptor, start, stop - start, os.POSIX_FADV_WILLNEED)
            _madvise()(self._base + start, stop - start, _POPULATE_READ)

    def release(self, offset: int, length: int) -> None:
        """Give back the pages that lie wholly inside these bytes; they are read again when next touched.

        What was written to the private mapping there is lost.
        """
        start, stop = -(-offset // _PAGE) * _PAGE, (offset + length) // _PAGE * _PAGE
        if sys.platform == "linux" and start < stop:
            _madvise()(self._base + start, stop - start, mmap.MADV_DONTNEED)
            os.posix_fadvise(self._descriptor, start, stop - start, os.POSIX_FADV_DONTNEED)


@cache
def _madvise() -> ctypes._NamedFuncPointer:
    """The C library's, because the one of :mod:`mmap` keeps every other thread waiting meanwhile."""
    function = ctypes.CDLL(None, use_errno=True).madvise
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return function
