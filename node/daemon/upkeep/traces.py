"""Traces of disputed receipts, computed once and kept on disk while somebody may ask about them.

One folder a receipt. Within the limit, the whole trace is kept; a longer one with the rows between its layers,
so that a question costs one layer; else its roots alone. The oldest whose games are over make room first.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from nexus_chain.disputes.kept_trace import KeptTrace, bytes_of, layer_ends, whole
from nexus_chain.disputes.trace import Trace

log = logging.getLogger(__name__)

#: How a receipt's folder is named: its digest.
_RECEIPT = re.compile("[0-9a-f]{64}")


class TraceStore:
    """Traces in ``folder``, at most ``limit`` bytes of tensors in all."""

    def __init__(self, folder: Path, limit: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder, self._limit = folder, limit

    def trace(self, receipt: bytes, source: Trace, disputed: Collection[bytes]) -> Trace:
        """The receipt's trace, run from ``source`` if it is not kept; ``disputed``: receipts with open games."""
        folder = self._of(receipt)
        known = KeptTrace.open(source, folder)
        if known is not None:
            return known
        try:
            return KeptTrace.compute(source, folder, self._room_for(source, receipt, disputed))
        except OSError as error:
            log.error("the trace of receipt 0x%s cannot be kept (%s): free space on the disk", receipt.hex(), error)
            self._delete(receipt)
            return source

    def forget_unless(self, known: Callable[[bytes], bool]) -> None:
        """Delete the traces of receipts that are not ``known`` any more: they hold what their prompts said."""
        for receipt in self._receipts():
            if not known(receipt):
                self._delete(receipt)

    def _room_for(self, source: Trace, receipt: bytes, disputed: Collection[bytes]) -> frozenset[int]:
        """Numbers of the tensors that are kept, after deleting what has to go for them."""
        self._delete(receipt)
        sizes = {kept: self._size(kept) for kept in self._receipts()}
        over = [kept for kept in sizes if kept not in disputed]
        bound = sum(size for kept, size in sizes.items() if kept not in over)
        for numbers in (whole(source.layout), layer_ends(source.layout)):
            needed = sum(bytes_of(source.layout.tensor(number)) for number in numbers)
            if bound + needed <= self._limit:
                free = self._limit - needed - sum(sizes.values())
                for oldest in over:
                    if free >= 0:
                        break
                    free += sizes[oldest]
                    self._delete(oldest)
                return numbers
        return frozenset()

    def _receipts(self) -> list[bytes]:
        """Those kept, oldest first."""
        # What else lies here is not ours: a disk has its lost+found.
        folders = [folder for folder in self._folder.iterdir() if _RECEIPT.fullmatch(folder.name) and folder.is_dir()]
        return [bytes.fromhex(folder.name) for folder in sorted(folders, key=lambda folder: folder.stat().st_mtime_ns)]

    def _size(self, receipt: bytes) -> int:
        return sum(file.stat().st_size for file in self._of(receipt).glob("*.bin"))

    def _of(self, receipt: bytes) -> Path:
        return self._folder / receipt.hex()

    def _delete(self, receipt: bytes) -> None:
        shutil.rmtree(self._of(receipt), ignore_errors=True)
