"""The database of examples: SQLite in a file, or PostgreSQL by URL.

All work is a function of a connection that runs in one transaction, whole or not at all. One writer works at a time:
on SQLite by BEGIN IMMEDIATE, on PostgreSQL by an advisory lock. So what a writer reads cannot change before it writes,
and no duplicate slips in between. What only reads sees one state.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from nexus_chain.distillation.memory.errors import ReadOnlyStorageError, StorageAddressError
from nexus_chain.distillation.memory.storage_faults import is_conflict, storage_fault
from nexus_chain.settings import nexus_home

DEFAULT_FILE = Path("distillation", "memory.sqlite")
"""Below NEXUS_HOME."""
STORAGE_VARIABLE = "NEXUS_DISTILLATION_MEMORY"
WRITER_LOCK = 7311996
"""PostgreSQL's advisory lock of the one writer."""
_Outcome = TypeVar("_Outcome")
_ATTEMPTS = 4
_BUSY_SECONDS = 30
_MODE = "nexus_memory_mode"
_READ, _WRITE, _ALONE = "read", "write", "alone"
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "cache_size=-65536", "wal_autocheckpoint=16384")
_ADVICE = "Give a file, sqlite:///FILE or postgresql://HOST/NAME."


def storage_url(storage: str | Path | None, environment: Mapping[str, str] = os.environ) -> URL:
    """The URL of a file, of a URL's text, or, for None, of NEXUS_DISTILLATION_MEMORY or the file in NEXUS_HOME.

    Raises StorageAddressError.
    """
    if storage is None:
        storage = environment.get(STORAGE_VARIABLE) or nexus_home(environment) / DEFAULT_FILE
    if isinstance(storage, Path) or "://" not in storage:
        return URL.create("sqlite+pysqlite", database=str(Path(storage).expanduser()))
    try:
        found = make_url(storage)
    except (ArgumentError, ValueError):
        # Without the text: a password may stand in it.
        raise StorageAddressError("the storage is no URL", advice=_ADVICE) from None
    kind = found.get_backend_name()
    if kind == "sqlite" and found.database not in (None, "", ":memory:"):
        return found.set(drivername="sqlite+pysqlite")
    if kind in ("postgresql", "postgres"):
        return found.set(drivername="postgresql+psycopg")
    raise StorageAddressError(f"there is no support for this kind of database: {kind}", advice=_ADVICE)


class ExampleDatabase:
    """An open database. Any thread may use it. ``close`` it in the end."""

    def __init__(self, url: URL) -> None:
        """``url``: see ``storage_url``. Raises PersistenceError for a file that cannot be used."""
        self._url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.file = Path(url.database or "") if self.is_sqlite else None
        # SQLite makes waiting writers poll; threads of one process wait for each other here instead.
        self._turn: Any = threading.Lock() if self.is_sqlite else nullcontext()
        self._inode = _made_private(self.file) if self.file is not None else 0
        # PostgreSQL reads one state for each statement unless it is asked for one for all of them, as SQLite does.
        self._one_state: dict[str, Any] = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._engine = _opened(url)

    @property
    def name(self) -> str:
        """Where it is, without a password."""
        return str(self.file) if self.file is not None else self._url.render_as_string(hide_password=True)

    def write(self, work: Callable[[Connection], _Outcome]) -> _Outcome:
        """Run ``work`` in a transaction of its own; again from the start where another writer was in its way.

        What it returns from is on the disk. Raises PersistenceError, and whatever ``work`` raises: then nothing was
        written.
        """
        with self._turn:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    return self._run(work, {_MODE: _WRITE})
                except SQLAlchemyError as error:
                    if attempt == _ATTEMPTS or not is_conflict(error):
                        raise storage_fault(error, self.name) from error
        raise AssertionError("unreachable")

    def read(self, work: Callable[[Connection], _Outcome]) -> _Outcome:
        """Run ``work``, which writes nothing, on one state of the database. Raises PersistenceError."""
        try:
            return self._run(work, {_MODE: _READ, **self._one_state})
        except SQLAlchemyError as error:
            raise storage_fault(error, self.name) from error

    def shrink(self) -> None:
        """Give room that is no longer used back to the disk. Raises PersistenceError."""
        statements = ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)") if self.is_sqlite else ("VACUUM verified_examples",)
        with self._turn:
            try:
                self._require_file()
                options: dict[str, Any] = {_MODE: _ALONE, "isolation_level": "AUTOCOMMIT"}
                with self._engine.connect().execution_options(**options) as connection:
                    for statement in statements:
                        connection.exec_driver_sql(statement)
            except SQLAlchemyError as error:
                raise storage_fault(error, self.name) from error

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _run(self, work: Callable[[Connection], _Outcome], options: dict[str, Any]) -> _Outcome:
        self._require_file()
        with self._engine.connect().execution_options(**options) as connection, connection.begin():
            if not self.is_sqlite and options[_MODE] == _WRITE:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})"))
            return work(connection)

    def _require_file(self) -> None:
        """INVARIANT: nothing is written into a file that was deleted or replaced: it would vanish with this process."""
        if self.file is None:
            return
        try:
            inode = self.file.stat().st_ino
        except OSError:
            inode = -1
        if inode != self._inode:
            raise ReadOnlyStorageError(
                f"the file {self.file} was deleted or replaced while it was open",
                advice="Put it back, or open the memory again.",
            )


def _made_private(file: Path) -> int:
    """Its inode. The file exists afterwards, and nobody else reads what is in it. Raises ReadOnlyStorageError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            return os.fstat(descriptor).st_ino
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ReadOnlyStorageError(
            f"the memory {file} cannot be opened for writing ({error.strerror})",
            advice="Give a file in a folder that you may write.",
        ) from error


def _opened(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        # Pings first: a server that was restarted costs one question, not a caller's error.
        arguments = {"connect_timeout": 5, "options": f"-c lock_timeout={_BUSY_SECONDS}s"}
        return create_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args=arguments)
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _set_up(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say so, not where the driver guesses
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get(_MODE)
    if mode != _ALONE:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if mode == _WRITE else "BEGIN")
