"""Databases for tests of the gateway: SQLite in a file, and PostgreSQL where NEXUS_TEST_POSTGRES names a server.

Its URL needs the right to create databases; each test has one of its own.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from node.gateway.ledger.database import Database, sqlite_url

POSTGRES = os.environ.get("NEXUS_TEST_POSTGRES")
KINDS = ("sqlite", "postgresql") if POSTGRES else ("sqlite",)


@contextmanager
def fresh_url(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a new, empty database; gone afterwards."""
    if kind == "sqlite":
        yield sqlite_url(folder / "gateway.sqlite")
        return
    server = make_url(POSTGRES or "").set(drivername="postgresql+psycopg")
    name = f"nexus_{secrets.token_hex(6)}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        yield server.set(database=name).render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()


@contextmanager
def fresh_database(kind: str, folder: Path) -> Iterator[Database]:
    """A new database, open."""
    with fresh_url(kind, folder) as url:
        database = Database(url)
        try:
            yield database
        finally:
            database.close()
