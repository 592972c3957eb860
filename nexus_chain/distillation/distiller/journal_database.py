"""One SQLite file that keeps what it was told, whatever happens to the process or the power."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from nexus_chain.distillation.distiller.errors import DistillationJournalError

_WAIT_SECONDS = 30.0
"""For another process's transaction on the same file."""


class JournalDatabase:
    """Transactions on ``path``, whole or not at all, on the disk when they end. Safe for threads.

    ``schema``: statements that make the tables of ``version``. ``alone``: no other process may have it open.
    Raises DistillationJournalError, here and wherever a transaction fails.
    """

    def __init__(self, path: Path, schema: str, version: int, *, alone: bool = False) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._guard = _hold(path) if alone else None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._prepare(schema, version)
        except (sqlite3.Error, OSError) as error:
            self._release()
            raise self._damaged(error) from error
        except DistillationJournalError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Fold the log into the file and close it."""
        with self._lock:
            self._connection.close()
            self._release()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """What is written in the block is on the disk when it ends; after an error nothing of it is."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise self._damaged(error) from error

    def _prepare(self, schema: str, version: int) -> None:
        connection = self._connection
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if found not in (0, version):
            raise DistillationJournalError(
                f"{self._path} is of version {found}, and this program reads {version}",
                advice="Use the program that wrote it, or begin a new file.",
            )
        if found == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {schema} PRAGMA user_version={version}; COMMIT;")

    def _release(self) -> None:
        if self._guard is not None:
            os.close(self._guard)
            self._guard = None

    def _damaged(self, error: Exception) -> DistillationJournalError:
        return DistillationJournalError(
            f"{self._path} cannot be used ({error})",
            advice="Free space on the disk, or restore the file from a backup.",
        )


def _hold(path: Path) -> int:
    """A descriptor whose lock ends with the process, however that ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DistillationJournalError(f"{path} cannot be used ({error})", advice="Give another place.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise DistillationJournalError(
            f"another program works with {path}", advice="Wait for it, or give this one a journal of its own."
        ) from error
    return descriptor
