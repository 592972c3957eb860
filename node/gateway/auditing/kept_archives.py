"""Archives on this machine's disk: each made once for all who want it, and never more bytes than are foreseen.

They lie in a folder of this process, which is empty at its start and gone at its end. What a killed process left beside
it is removed by the next one.
"""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from nexus_chain.errors import DataFolderBusyError
from nexus_chain.folder_lock import exclusive
from node.gateway.errors import UnavailableError

KEPT_BYTES = 2 << 30
"""Of all archives on disk, those that are being sent and the one that is being made included."""
_AGAIN_SECONDS = 30.0
_DRAFT = "draft"


@dataclass(eq=False)
class KeptArchive:
    """``readers``: who hold it; while there are any it is not removed."""

    path: Path
    size: int
    readers: int = 0


class KeptArchives:
    """Below ``root``. ``write`` writes the archive of a CID, of at most ``largest`` bytes. Any thread may ask.

    ``close`` it in the end.
    """

    def __init__(self, root: Path, write: Callable[[str, Path], object], largest: int, most: int = KEPT_BYTES) -> None:
        self._root, self._write, self._largest, self._most = root, write, largest, max(most, largest)
        self._lock = threading.Lock()
        self._kept: dict[str, KeptArchive] = {}  # the least wanted first
        self._numbers = itertools.count()
        self._folder: Path | None = None
        self._stack = ExitStack()

    def held(self, cid: str) -> KeptArchive | None:
        """The archive of ``cid``, to be let go of; None where it has to be made."""
        with self._lock:
            found = self._kept.pop(cid, None)
            if found is not None:
                self._kept[cid] = found
                found.readers += 1
            return found

    def make(self, cid: str) -> None:
        """Make it, unless it is there. On one thread at a time.

        Raises UnavailableError where others are being sent and leave no room, OSError, and what ``write`` raises.
        """
        with self._lock:
            if cid in self._kept:
                return
        self._make_room()
        made = self._made(cid)
        with self._lock:
            self._kept[cid] = made

    def let_go(self, archive: KeptArchive) -> None:
        """Nobody reads it for whoever held it."""
        with self._lock:
            archive.readers -= 1

    def close(self) -> None:
        """Remove them all."""
        self._stack.close()

    def _make_room(self) -> None:
        """INVARIANT: kept archives and the largest that can be made have room together, before it is made."""
        with self._lock:
            free = self._most - self._largest - sum(one.size for one in self._kept.values())
            for cid, one in list(self._kept.items()):
                if free >= 0:
                    return
                if not one.readers:
                    del self._kept[cid]
                    one.path.unlink(missing_ok=True)
                    free += one.size
        if free < 0:
            raise UnavailableError(
                "other archives that are being sent take all of this machine's room for archives",
                advice="Come back later, or run `nexus audit CID --export-car FILE` on your own machine.",
                retry_after=_AGAIN_SECONDS,
            )

    def _made(self, cid: str) -> KeptArchive:
        folder = self._opened()
        # A folder of its own: whatever is left of one that failed is gone with it.
        drafts = folder / _DRAFT
        drafts.mkdir()
        try:
            self._write(cid, drafts / "archive.car")
            path = (drafts / "archive.car").rename(folder / f"{next(self._numbers)}.car")
        finally:
            shutil.rmtree(drafts, ignore_errors=True)
        return KeptArchive(path, path.stat().st_size)

    def _opened(self) -> Path:
        if self._folder is None:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for old in self._root.iterdir():
                _remove_unless_busy(old)
            folder = Path(mkdtemp(dir=self._root))
            self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
            self._stack.enter_context(exclusive(folder))
            self._folder = folder
        return self._folder


def _remove_unless_busy(folder: Path) -> None:
    """Remove a folder whose process is gone."""
    try:
        with exclusive(folder):
            shutil.rmtree(folder, ignore_errors=True)
    except (DataFolderBusyError, OSError):
        return
