"""Files that appear whole, alone or together, or not at all, whatever happens while they are written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A new folder beside ``folder`` to write into; its files move there when the block ends without an error.

    Files of the same names are replaced, others stay. After an error nothing is left behind, not even
    folders that did not exist before. Raises OSError.
    """
    made = _missing(folder.parent)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield part
        _move(part, folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        for place in made:
            place.rmdir()
        raise


def write_whole(path: Path, text: str, mode: int = 0o666) -> None:
    """Write a file at once or not at all, on the disk before this returns; folders are made. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _move(part: Path, folder: Path) -> None:
    """Renaming needs no room, so from here on a full disk is no danger."""
    if not folder.exists():
        part.chmod(0o777 & ~_umask())  # mkdtemp makes it private
        part.rename(folder)
        return
    for path in part.iterdir():
        os.replace(path, folder / path.name)
    part.rmdir()


def _missing(folder: Path) -> list[Path]:
    """Those of ``folder`` and the folders above it that do not exist, the innermost first."""
    return [place for place in (folder, *folder.parents) if not place.exists()]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
