"""A memory looked at from outside: nothing in it is made, migrated or locked, whoever works with it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from nexus_chain.distillation.memory.memory_statistics import MemoryStatistics, statistics_of
from nexus_chain.distillation.memory.storage_faults import storage_fault


def open_to_read(path: Path) -> sqlite3.Connection:
    """A connection to the SQLite file at ``path`` that can write nothing. Raises sqlite3.Error where there is none."""
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, check_same_thread=False)


def statistics_in(path: Path) -> MemoryStatistics:
    """What the memory in the SQLite file at ``path`` holds, in numbers. Raises PersistenceError."""
    engine = create_engine("sqlite+pysqlite://", creator=lambda: open_to_read(path), hide_parameters=True)
    try:
        with engine.connect() as connection:
            return statistics_of(connection)
    except SQLAlchemyError as error:
        raise storage_fault(error, str(path)) from error
    finally:
        engine.dispose()
