"""The input rows of every order, on disk until nobody can dispute them.

One file an order: rows as they came, int32 little endian, nothing else. They are what rebuilds a
KV cache after a restart, what ``BoundaryRows`` serves, and the log of ``RowsReceived`` events: a
row is written before it counts. Writes survive the process at once and a power cut after ``sync``.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from node.errors import DataFolderError

_SUFFIX = ".rows"
_ELEMENT = np.dtype("<i4")


class RowStore:
    """Rows in ``folder``; ``width`` elements each, None for tokens."""

    def __init__(self, folder: Path, width: int | None) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder, self._width = folder, width
        self._row_bytes = (width or 1) * _ELEMENT.itemsize
        self._listed: set[bytes] = set()

    def append(self, order: bytes, rows: Tensor) -> None:
        """Append ``rows`` i32[t] or i32[t, width]."""
        data = np.ascontiguousarray(rows.numpy(), dtype=_ELEMENT)
        try:
            descriptor = os.open(self._path(order), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab", buffering=0) as file:
                size = file.tell()
                if file.write(data.data) != data.nbytes:
                    file.truncate(size)
                    raise OSError("disk full")
        except OSError as error:
            raise DataFolderError(
                f"rows could not be kept in {self._folder} ({error})", advice="Free space on the disk."
            ) from error

    def read(self, order: bytes, start: int, stop: int) -> Tensor:
        """Rows [start, stop): i32[t] or i32[t, width]. Raises DataFolderError when they are not all there."""
        count = (stop - start) * self._row_bytes // _ELEMENT.itemsize
        try:
            with self._path(order).open("rb") as file:
                file.seek(start * self._row_bytes)
                data = file.read(count * _ELEMENT.itemsize)
        except OSError as error:
            raise self._missing(order) from error
        if len(data) != count * _ELEMENT.itemsize:
            raise self._missing(order)
        rows = torch.from_numpy(np.frombuffer(data, _ELEMENT).astype(np.int32))
        return rows if self._width is None else rows.reshape(-1, self._width)

    def length(self, order: bytes) -> int:
        """Whole rows kept for an order; 0 when there are none."""
        try:
            return self._path(order).stat().st_size // self._row_bytes
        except FileNotFoundError:
            return 0

    def truncate(self, order: bytes, length: int) -> None:
        """Keep the first ``length`` rows of an order."""
        try:
            os.truncate(self._path(order), length * self._row_bytes)
        except OSError as error:
            raise self._missing(order) from error

    def trim(self, order: bytes) -> int:
        """Cut off a row that a crash left half written; returns the length."""
        length = self.length(order)
        if length:
            self.truncate(order, length)
        return length

    def sync(self, order: bytes) -> None:
        """Return when the order's rows survive a power cut."""
        _sync(self._path(order))
        if order not in self._listed:
            # A new file also has to be in its folder's list for good; once.
            _sync(self._folder)
            self._listed.add(order)

    def delete(self, order: bytes) -> None:
        """Forget an order's rows; harmless when there are none."""
        self._path(order).unlink(missing_ok=True)
        self._listed.discard(order)

    def _path(self, order: bytes) -> Path:
        return self._folder / (order.hex() + _SUFFIX)

    def _missing(self, order: bytes) -> DataFolderError:
        return DataFolderError(
            f"rows of order 0x{order.hex()} are missing in {self._folder}",
            advice="Restore the folder from a backup: without them a dispute about this order cannot be answered.",
        )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
