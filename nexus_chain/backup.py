"""One archive of a folder that programs may be using: databases as of one moment each, other files whole.

A gzipped tar, readable by its owner only; keys go in as they lie there. Knows no names of files but its own.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nexus_chain.errors import NexusError
from nexus_chain.json_text import parse_json
from nexus_chain.staging import staged

ARCHIVE_FORMAT = "nexus-backup-1"
DESCRIPTION = "backup.json"
_SQLITE_MAGIC = b"SQLite format 3\x00"
_BESIDE_DATABASES = ("-wal", "-shm", "-journal")


class BackupError(NexusError):
    """Raised when a backup cannot be written, read, or put back."""


@dataclass(frozen=True)
class Backup:
    """An archive: when it was made (Unix seconds), of what kind of folder, its files and their bytes."""

    path: Path
    kind: str
    made: int
    files: int
    size: int


def back_up(
    folder: Path, path: Path, kind: str, leave_out: Callable[[PurePosixPath], bool], first: Sequence[str] = ()
) -> Backup:
    """Write an archive of ``folder`` to ``path``, which must not exist; ``leave_out`` judges paths in the folder.

    ``first``: files whose moment comes before that of all others, in this order.
    Raises BackupError, with nothing written.
    """
    if not folder.is_dir():
        raise BackupError(f"there is no folder {folder}", advice="Name the folder that is in use.")
    if path.exists():
        raise BackupError(f"{path} exists", advice="Choose another name; nothing was overwritten.")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            made, files, size = int(time.time()), 0, 0
            with tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
                _add(archive, DESCRIPTION, json.dumps({"format": ARCHIVE_FORMAT, "kind": kind, "made": made}).encode())
                for place in sorted(_files(folder, leave_out), key=lambda place: _rank(place, first)):
                    data = _content(folder / place)
                    if data is None:  # gone by now: its owner needs it no more
                        continue
                    _add(archive, f"files/{place}", data)
                    files, size = files + 1, size + len(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # where somebody made the file meanwhile, it stays theirs
    except (OSError, sqlite3.Error) as error:
        raise BackupError(
            f"the backup failed: {error}", advice="Look at the place that is named; try again."
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return Backup(path, kind, made, files, size)


def unpack_backup(path: Path, folder: Path, kind: str) -> Backup:
    """Unpack an archive into ``folder``, which must be absent or empty; all of it or nothing. Raises BackupError."""
    if folder.exists() and any(folder.iterdir()):
        raise BackupError(f"{folder} holds files already", advice="Move it away first, or restore into another folder.")
    try:
        with tarfile.open(path, "r:gz") as archive:
            made = _description(archive, path, kind)
            files = size = 0
            with staged(folder) as part:
                for entry in archive.getmembers()[1:]:
                    files, size = files + 1, size + _unpack(archive, entry, part)
            folder.chmod(0o700)
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError) as error:
        raise BackupError(f"{path} cannot be restored: {error}", advice="Give a whole backup file.") from error
    return Backup(path, kind, made, files, size)


def _files(folder: Path, leave_out: Callable[[PurePosixPath], bool]) -> Iterator[PurePosixPath]:
    """Files in the folder, as paths in it; those beside a database are part of it."""
    for root, folders, names in os.walk(folder):
        here = PurePosixPath(Path(root).relative_to(folder).as_posix())
        folders[:] = sorted(name for name in folders if not leave_out(here / name))
        for name in sorted(names):
            place = here / name
            regular = (folder / place).is_file() and not (folder / place).is_symlink()
            if regular and not leave_out(place) and not _is_beside_a_database(folder / place):
                yield place


def _is_beside_a_database(path: Path) -> bool:
    return any(path.name.endswith(end) and _is_database(path.with_name(path.name.removesuffix(end)))
               for end in _BESIDE_DATABASES)  # fmt: skip


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC
    except OSError:
        return False


def _rank(place: PurePosixPath, first: Sequence[str]) -> int:
    return first.index(str(place)) if str(place) in first else len(first)


def _content(path: Path) -> bytes | None:
    try:
        return _database_now(path) if _is_database(path) else path.read_bytes()
    except FileNotFoundError:
        return None


def _database_now(path: Path) -> bytes:
    """A database with everything that was committed by now, while others write to it."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "copy.sqlite"
        source, target = sqlite3.connect(path, timeout=30), sqlite3.connect(copy)
        try:
            source.backup(target)  # in one step: a writer in between would begin it anew
        finally:
            target.close()
            source.close()
        return copy.read_bytes()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(data), 0o600, int(time.time())
    archive.addfile(entry, io.BytesIO(data))


def _description(archive: tarfile.TarFile, path: Path, kind: str) -> int:
    """When the archive was made. Raises BackupError for another kind, ValueError for no backup."""
    entry = archive.next()
    file = archive.extractfile(entry) if entry is not None and entry.name == DESCRIPTION else None
    said = parse_json(file.read(4096)) if file is not None else None
    if not isinstance(said, dict) or said.get("format") != ARCHIVE_FORMAT or not isinstance(said.get("made"), int):
        raise ValueError("it is no backup that this program reads")
    if said.get("kind") != kind:
        raise BackupError(f"{path} is a backup of a {said.get('kind')}, not of a {kind}", advice="Give the other file.")
    return int(said["made"])


def _unpack(archive: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path) -> int:
    """Write one file, readable by its owner only; its bytes."""
    place = PurePosixPath(entry.name)
    # INVARIANT: an archive writes nowhere but below its folder.
    if not entry.isreg() or place.is_absolute() or place.parts[:1] != ("files",) or ".." in place.parts:
        raise ValueError(f"it holds {entry.name!r}, which no backup holds")
    data = archive.extractfile(entry)
    target = folder.joinpath(*place.parts[1:])
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        if data is not None:
            shutil.copyfileobj(data, file)
        return entry.size
