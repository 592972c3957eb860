"""One program at a time on a folder: two daemons on one would sign over each other."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nexus_chain.errors import DataFolderBusyError


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder for the block; raises DataFolderBusyError when another process does.

    The lock ends with the process, however that ends.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataFolderBusyError(
                f"another daemon runs on {folder}", advice="Stop it first, or give this node a folder of its own."
            ) from error
        yield
    finally:
        os.close(descriptor)


def is_busy(folder: Path) -> bool:
    """Whether a daemon runs on the folder."""
    try:
        with exclusive(folder):
            return False
    except DataFolderBusyError:
        return True
