"""One database behind a gateway: SQLite in a file, or PostgreSQL by URL.

All work is a function of a connection that runs in one transaction, whole or not at all. On SQLite a writer begins
with the write lock (BEGIN IMMEDIATE), so what it reads cannot change before it writes. On PostgreSQL it locks the rows
that it will change, and is run again from the start where the server saw a conflict. What only reads sees one state.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event, insert, inspect, select, text
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from nexus_chain.errors import SettingsError
from node.gateway.errors import UnavailableError
from node.gateway.ledger.tables import APPEND_ONLY, GATEWAY_SCHEMA, SCHEMA_ROW, SESSION_SPENDING, SESSIONS, TABLES

log = logging.getLogger(__name__)

_Outcome = TypeVar("_Outcome")

_ATTEMPTS = 8
#: PostgreSQL: serialization failure, deadlock, and a unique key that another transaction has just written.
_CONFLICTS = ("40001", "40P01", "23505")
_BUSY_SECONDS = 10
_RETRY_AFTER = 5.0
_WRITES = "nexus_writes"


def sqlite_url(path: Path) -> str:
    """The URL of a database in a file."""
    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


class Database:
    """An open database with its schema. Any thread may use it. ``close`` it in the end."""

    def __init__(self, url: str) -> None:
        """Open ``url`` and make the schema where there is none.

        Raises SettingsError (no such kind of database; one that a newer program made) and UnavailableError.
        """
        self._url = _checked(url)
        self._is_sqlite = self._url.get_backend_name() == "sqlite"
        self._file = Path(self._url.database or "") if self._is_sqlite else None
        self._inode: int | None = None
        # SQLite makes waiting writers poll; threads of one process wait for each other here instead.
        self._turn: Any = threading.Lock() if self._is_sqlite else nullcontext()
        if self._file is not None:
            _make_private(self._file)
            self._inode = self._file.stat().st_ino
        # PostgreSQL reads one state for each statement unless it is asked for one for all of them, as SQLite does.
        self._one_state: dict[str, Any] = {} if self._is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._engine = _engine(self._url)
        try:
            self.write(_make_schema)
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """Where it is, without a password."""
        return self._url.render_as_string(hide_password=True)

    def write(self, work: Callable[[Connection], _Outcome], *, durable: bool = True) -> _Outcome:
        """Run ``work`` in a transaction of its own; again from the start where another writer was in its way.

        ``durable`` False: a power cut may undo it, whole, as long as nothing durable came after it.
        Raises UnavailableError, and whatever ``work`` raises: then nothing was written.
        """
        with self._turn:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    return self._run(work, {_WRITES: "FULL" if durable else "NORMAL"})
                except SQLAlchemyError as error:
                    if attempt == _ATTEMPTS or not _is_conflict(error):
                        raise _unavailable(error) from error
        raise AssertionError("unreachable")

    def read(self, work: Callable[[Connection], _Outcome]) -> _Outcome:
        """Run ``work``, which writes nothing, on one state of the database. Raises UnavailableError."""
        try:
            return self._run(work, self._one_state)
        except SQLAlchemyError as error:
            raise _unavailable(error) from error

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _run(self, work: Callable[[Connection], _Outcome], options: dict[str, Any]) -> _Outcome:
        self._require_file()
        with self._engine.connect().execution_options(**options) as connection, connection.begin():
            return work(connection)

    def _require_file(self) -> None:
        """INVARIANT: nothing is written into a file that was deleted or replaced: it would vanish with this process."""
        if self._file is None:
            return
        try:
            inode = self._file.stat().st_ino
        except OSError as error:
            raise _unavailable(error) from error
        if inode != self._inode:
            raise _unavailable(FileNotFoundError("the file was replaced"))


def _checked(url: str) -> URL:
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        # Without the text: a password may stand in it.
        raise SettingsError("the database is no URL", advice="Give sqlite:///FILE or postgresql://HOST/NAME.") from None
    kind = found.get_backend_name()
    if kind == "sqlite":
        if found.database in (None, "", ":memory:"):
            raise SettingsError("a database in memory forgets everybody's money", advice="Give sqlite:///FILE.")
        return found.set(drivername="sqlite+pysqlite")
    if kind in ("postgresql", "postgres"):
        return found.set(drivername="postgresql+psycopg")
    raise SettingsError(
        f"there is no support for {kind} databases", advice="Give sqlite:///FILE or postgresql://HOST/NAME."
    )


def _make_private(file: Path) -> None:
    """The file exists afterwards, and nobody else reads who has what."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise SettingsError(
            f"the database {file} cannot be used ({error.strerror})", advice="Give a file that you may write."
        ) from error


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        # Pings first: a server that was restarted costs one question, not a caller's error.
        options = f"-c lock_timeout={_BUSY_SECONDS}s -c statement_timeout={3 * _BUSY_SECONDS}s"
        return create_engine(
            url, pool_pre_ping=True, hide_parameters=True, connect_args={"connect_timeout": 5, "options": options}
        )
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say so, not where the driver guesses
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    if (synchronous := connection.get_execution_options().get(_WRITES)) is None:
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA synchronous={synchronous}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _make_schema(connection: Connection) -> None:
    """Raises SettingsError where a newer program made the schema."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(7311995)"))  # two gateways that start at once
    fresh = not connection.dialect.has_table(connection, SCHEMA_ROW.name)
    if fresh:
        TABLES.create_all(connection)
        _forbid_changes(connection)
        connection.execute(insert(SCHEMA_ROW).values(version=GATEWAY_SCHEMA))
    SESSION_SPENDING.create(connection, checkfirst=True)  # databases of before have it not
    known = {column["name"] for column in inspect(connection).get_columns(SESSIONS.name)}
    if SESSIONS.c.thumbprint.name not in known:  # likewise
        connection.execute(text(f"ALTER TABLE {SESSIONS.name} ADD COLUMN {SESSIONS.c.thumbprint.name} TEXT"))
    found = connection.scalar(select(SCHEMA_ROW.c.version))
    if found != GATEWAY_SCHEMA:
        raise SettingsError(
            f"the database has schema {found}, and this program knows schema {GATEWAY_SCHEMA}",
            advice="Use the program version that made it, or another database.",
        )


def _forbid_changes(connection: Connection) -> None:
    """INVARIANT: what was booked stays booked: a mistake is put right by another transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            text(
                "CREATE OR REPLACE FUNCTION nexus_append_only() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'append-only'; END $$"
            )
        )
    for table in APPEND_ONLY:
        if connection.dialect.name == "postgresql":
            connection.execute(
                text(
                    f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                    "FOR EACH STATEMENT EXECUTE FUNCTION nexus_append_only()"
                )
            )
            continue
        for change in ("UPDATE", "DELETE"):
            connection.execute(
                text(
                    f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                    "BEGIN SELECT RAISE(ABORT, 'append-only'); END"
                )
            )


def _is_conflict(error: SQLAlchemyError) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _CONFLICTS


def _unavailable(cause: Exception) -> UnavailableError:
    # INVARIANT: neither statements nor parameters reach a log: they hold balances and digests of keys.
    log.error("the gateway's database does not answer (%s)", type(getattr(cause, "orig", None) or cause).__name__)
    return UnavailableError(
        "the gateway's database does not answer", advice="Try again in a moment.", retry_after=_RETRY_AFTER
    )
