"""A schema that is made, migrated or refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, text

from nexus_chain.distillation.memory import schema
from nexus_chain.distillation.memory.database import ExampleDatabase, storage_url
from nexus_chain.distillation.memory.errors import DamagedStorageError, NewerSchemaError
from nexus_chain.distillation.memory.persistence import CognitivePersistence
from nexus_chain.distillation.memory.stored_examples import fields_of
from nexus_chain.distillation.memory.tables import EXAMPLES, MEMORY_TABLES
from tests.support.memory_examples import example

GIVEN_TABLE = """
CREATE TABLE verified_examples (
    id INTEGER PRIMARY KEY, prompt TEXT NOT NULL, response TEXT NOT NULL, source TEXT NOT NULL,
    confidence REAL NOT NULL, verification_proof TEXT, category TEXT NOT NULL, timestamp REAL NOT NULL,
    hash TEXT UNIQUE NOT NULL
);
CREATE INDEX idx_confidence ON verified_examples(confidence);
CREATE INDEX idx_category ON verified_examples(category);
CREATE INDEX idx_timestamp ON verified_examples(timestamp);
CREATE INDEX idx_hash ON verified_examples(hash);
"""
OLD = [example("Where does the river end?", "In the sea", verification_proof="seen"), example("And where from?")]


@contextmanager
def opened(url: str | Path) -> Iterator[ExampleDatabase]:
    database = ExampleDatabase(storage_url(url))
    try:
        yield database
    finally:
        database.close()


def at_first_step(connection: Connection) -> None:
    config = Config(attributes={"connection": connection, "version_table": schema.NUMBER_TABLE})
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    command.upgrade(config, schema.GIVEN)


def test_the_newest_step_is_the_one_that_is_named() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == schema.NEWEST


def test_migrations_lead_to_the_tables_that_the_code_knows(memory_url: str) -> None:
    CognitivePersistence(memory_url).close()

    def differences(connection: Connection) -> list[object]:
        ours = {*MEMORY_TABLES.tables}
        options = {"include_name": lambda name, kind, parents: kind != "table" or name in ours}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), MEMORY_TABLES))

    with opened(memory_url) as database:
        assert database.read(differences) == []


def test_an_older_schema_is_migrated_and_loses_nothing(memory_url: str) -> None:
    rows = [fields_of(number, one) for number, one in enumerate(OLD, 1)]
    with opened(memory_url) as database:
        database.write(at_first_step)
        database.write(lambda connection: connection.execute(insert(EXAMPLES), rows))
    for _ in range(2):  # the second time there is nothing to do
        with CognitivePersistence(memory_url) as memory:
            assert set(memory.get_dataset(0.0).examples) == set(OLD)
            assert memory.search("river") == OLD[:1]
            assert not memory.save_example(example("Where does the river end", "In the sea."))
    with CognitivePersistence(memory_url) as memory:
        assert memory.save_example(example("A new one"))


def test_a_file_of_the_given_schema_that_nobody_numbered_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    row = "INSERT INTO verified_examples VALUES (?, ?, 'In the sea', 'oracle', 0.9, NULL, 'text', 5.0, ?)"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(GIVEN_TABLE)
        connection.execute(row, (3, "Where to?", "some other hash"))
        connection.execute(row, (4, "where  TO?", "and another"))
        connection.execute(row, (9, "Who?", example("Where to?", "In the sea").hash))
        connection.commit()
    with CognitivePersistence(path) as memory:
        assert {one.prompt for one in memory.get_dataset(0.0).examples} == {"Where to?", "Who?"}
        assert memory.is_known(example("WHERE TO?", "in the sea"))
        assert memory.is_known(example("who?", "in the sea"))


def test_an_old_row_that_is_no_example_stops_the_migration(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(GIVEN_TABLE)
        connection.execute("INSERT INTO verified_examples VALUES (7, 'p', 'r', 's', 2.0, NULL, 'text', 5.0, 'h')")
        connection.commit()
    with pytest.raises(DamagedStorageError, match="id 7 cannot be taken over"):
        CognitivePersistence(path)
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        assert tables == [("verified_examples",)]


def test_a_newer_schema_is_refused_and_left_alone(memory_url: str) -> None:
    CognitivePersistence(memory_url).close()
    with opened(memory_url) as database:
        database.write(lambda connection: connection.execute(text("UPDATE memory_schema SET version_num = '9999'")))
    with pytest.raises(NewerSchemaError, match="has schema 9999, and this program knows schema") as caught:
        CognitivePersistence(memory_url)
    assert "program version" in caught.value.advice


def test_another_program_s_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE money (owner TEXT)")
        connection.commit()
    with pytest.raises(DamagedStorageError, match="is no memory"):
        CognitivePersistence(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("money",)]
