"""The input rows of every order, on disk until nobody can dispute them.

One file an order: rows as they came, int32 little endian, nothing else. They are what rebuilds a
KV cache after a restart, what ``BoundaryRows`` serves, and the log of ``RowsReceived`` events: a
row is written before it counts. Writes survive the process at once and a power cut after ``sync``.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nexus_chain.errors import DataFolderError

_SUFFIX = ".rows"
_ELEMENT = np.dtype("<i4")
#: Files that stay open, those of the orders served last: opening one costs as much as a small model's layer.
_MOST_OPEN = 128


@dataclass
class _File:
    """An open file and its bytes, which nobody else changes."""

    descriptor: int
    size: int


class RowStore:
    """Rows in ``folder``; ``width`` elements each, None for tokens. Any thread may call."""

    def __init__(self, folder: Path, width: int | None) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder, self._width = folder, width
        self._row_bytes = (width or 1) * _ELEMENT.itemsize
        self._listed: set[bytes] = set()
        self._writes: Counter[bytes] = Counter()  # how often an order's rows have changed
        self._lost: set[bytes] = set()  # orders that a sync has failed for
        self._synced: dict[bytes, int] = {}  # how often they had when they were last synced
        self._lock = threading.Lock()
        self._files: OrderedDict[bytes, _File] = OrderedDict()  # open ones, the least recently used first

    def _file(self, order: bytes, *, create: bool = False) -> _File:
        """An order's file, which stays open for the next time. With the lock held, also while it is used, or another
        order's may take its descriptor. Raises OSError."""
        file = self._files.get(order)
        if file is None:
            flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT if create else 0)
            descriptor = os.open(self._path(order), flags, 0o600)
            file = self._files[order] = _File(descriptor, os.fstat(descriptor).st_size)
            if len(self._files) > _MOST_OPEN:
                os.close(self._files.popitem(last=False)[1].descriptor)
        else:
            self._files.move_to_end(order)
        return file

    def _own(self, order: bytes) -> int:
        """A descriptor for the caller to close: for what takes long, while other orders go on. Raises OSError."""
        with self._lock:
            return os.dup(self._file(order).descriptor)

    def close(self) -> None:
        """Give all descriptors back; they are opened again when needed."""
        with self._lock:
            while self._files:
                os.close(self._files.popitem()[1].descriptor)

    def append(self, order: bytes, rows: Tensor) -> None:
        """Append ``rows`` i32[t] or i32[t, width]."""
        data = np.ascontiguousarray(rows.numpy(), dtype=_ELEMENT)
        try:
            with self._lock:
                file = self._file(order, create=True)
                self._writes[order] += 1
                if os.write(file.descriptor, data.data) != data.nbytes:
                    os.ftruncate(file.descriptor, file.size)
                    raise OSError("disk full")
                file.size += data.nbytes
        except OSError as error:
            raise DataFolderError(
                f"rows could not be kept in {self._folder} ({error})", advice="Free space on the disk."
            ) from error

    def read(self, order: bytes, start: int, stop: int) -> Tensor:
        """Rows [start, stop): i32[t] or i32[t, width]. Raises DataFolderError when they are not all there."""
        data = np.empty((stop - start) * self._row_bytes // _ELEMENT.itemsize, _ELEMENT)
        try:
            descriptor = self._own(order)
            try:
                whole = _read(descriptor, data.view(np.uint8).data, start * self._row_bytes)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._missing(order) from error
        if not whole:
            raise self._missing(order)
        rows = torch.from_numpy(data.astype(np.int32, copy=False))
        return rows if self._width is None else rows.reshape(-1, self._width)

    def length(self, order: bytes) -> int:
        """Whole rows kept for an order; 0 when there are none."""
        try:
            with self._lock:
                return self._file(order).size // self._row_bytes
        except FileNotFoundError:
            return 0

    def truncate(self, order: bytes, length: int) -> None:
        """Keep the first ``length`` rows of an order."""
        try:
            with self._lock:
                file = self._file(order)
                self._writes[order] += 1
                os.ftruncate(file.descriptor, length * self._row_bytes)
                file.size = length * self._row_bytes
        except OSError as error:
            raise self._missing(order) from error

    def trim(self, order: bytes) -> int:
        """Cut off a row that a crash left half written; returns the length."""
        length = self.length(order)
        if length or self._path(order).exists():
            self.truncate(order, length)
        return length

    def sync(self, order: bytes) -> None:
        """Return when the order's rows survive a power cut. Raises DataFolderError, from the first failure on."""
        writes = self._writes[order]
        if self._synced.get(order) == writes:
            return
        try:
            # INVARIANT: the system tells once that it lost something; asked again, it says that all is well.
            if order in self._lost:
                raise OSError("writing failed before")
            _sync(self._own(order), getattr(os, "fdatasync", os.fsync))  # macOS has but one
            if order not in self._listed:
                # A new file also has to be in its folder's list for good; once.
                _sync(os.open(self._folder, os.O_RDONLY), os.fsync)
                self._listed.add(order)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):  # nothing was asked of the disk yet
                self._lost.add(order)
            raise DataFolderError(
                f"rows of order 0x{order.hex()} are not on the disk for good ({error})",
                advice="Look at the disk; the order cannot go on here.",
            ) from error
        self._synced[order] = writes

    def delete(self, order: bytes) -> None:
        """Forget an order's rows; harmless when there are none."""
        with self._lock:
            self._path(order).unlink(missing_ok=True)
            file = self._files.pop(order, None)
            if file is not None:
                os.close(file.descriptor)
            self._writes.pop(order, None)
            self._synced.pop(order, None)
            self._lost.discard(order)
        self._listed.discard(order)

    def _path(self, order: bytes) -> Path:
        return self._folder / (order.hex() + _SUFFIX)

    def _missing(self, order: bytes) -> DataFolderError:
        return DataFolderError(
            f"rows of order 0x{order.hex()} are missing in {self._folder}",
            advice="Restore the folder from a backup: without them a dispute about this order cannot be answered.",
        )


def _read(descriptor: int, into: memoryview, offset: int) -> bool:
    """Fill ``into`` from ``offset`` on, in as many steps as the system makes of it; False where the file ends first."""
    done = 0
    while done < len(into):
        count = os.preadv(descriptor, [into[done:]], offset + done)
        if not count:
            return False
        done += count
    return True


def _sync(descriptor: int, sync: Callable[[int], None]) -> None:
    """Sync and close. ``fdatasync`` is enough for a file's rows: their number goes with them, its times may not."""
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)
