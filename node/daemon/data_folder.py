"""The files of one node, and the lock that keeps a second daemon off them.

wallet.json     keystore (unless configured elsewhere)
node.toml       settings, written by `register`
tls.key/.crt    TLS identity
events.sqlite   write-ahead log
receipts.sqlite append-only receipt log
rows/           input rows of every order
traces/         traces of disputed receipts, computed once
verified/       which shard files were verified and programs proven; only its owner can enter
watch/          the watcher's log and the evidence of its cases
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.daemon.errors import DataFolderBusyError


def events_path(folder: Path) -> Path:
    """The write-ahead log."""
    return folder / "events.sqlite"


def receipts_path(folder: Path) -> Path:
    """The receipt log."""
    return folder / "receipts.sqlite"


def rows_path(folder: Path) -> Path:
    """The folder of input rows."""
    return folder / "rows"


def traces_path(folder: Path) -> Path:
    """The folder of traces."""
    return folder / "traces"


def facts_path(folder: Path) -> Path:
    """The folder of checks already done."""
    return folder / "verified"


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
