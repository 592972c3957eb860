"""Opening a database, losing it, and what is refused."""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import Connection, text, update

from nexus_chain.errors import SettingsError
from node.gateway.errors import UnavailableError
from node.gateway.ledger.books import booked_balance, post, user
from node.gateway.ledger.database import Database, sqlite_url
from node.gateway.ledger.tables import GATEWAY_SCHEMA, SCHEMA_ROW

DEPOSITS = "deposits:contract"

pytestmark = pytest.mark.fast


def test_what_was_booked_is_there_after_a_restart(database_url: str) -> None:
    first = Database(database_url)
    first.write(partial(post, key="one", kind="test", moves={DEPOSITS: -5, user("A"): 5}))
    first.close()
    second = Database(database_url)
    assert second.read(partial(booked_balance, account=user("A"))) == 5
    second.close()


def test_a_newer_program_s_database_is_left_alone(database_url: str) -> None:
    first = Database(database_url)
    first.write(lambda connection: connection.execute(update(SCHEMA_ROW).values(version=GATEWAY_SCHEMA + 1)))
    first.close()
    with pytest.raises(SettingsError, match=f"has schema {GATEWAY_SCHEMA + 1}, and this program knows schema"):
        Database(database_url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("no url", "the database is no URL"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("mysql://root:hunter2@localhost/x", "no support for mysql"),
        ("sqlite:////proc/no/such/file", "cannot be used"),
    ],
)
def test_what_is_no_database_is_refused(url: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        Database(url)
    assert "hunter2" not in str(caught.value)


def test_a_server_that_does_not_answer_is_unavailable(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(UnavailableError) as caught:
        Database("postgresql://nexus:hunter2@127.0.0.1:1/none")
    assert caught.value.retry_after == 5.0
    assert "hunter2" not in caplog.text + str(caught.value)


def test_a_file_that_was_deleted_is_not_written_into(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sqlite"
    database = Database(sqlite_url(path))
    work = partial(post, key="one", kind="test", moves={DEPOSITS: -5, user("A"): 5})
    moved = path.rename(tmp_path / "elsewhere")
    with pytest.raises(UnavailableError):
        database.write(work)
    with pytest.raises(UnavailableError):
        database.read(partial(booked_balance, account=user("A")))
    path.touch()  # another file in its place is another database
    with pytest.raises(UnavailableError):
        database.write(work)
    moved.rename(path)
    assert database.write(work)
    database.close()


def test_nobody_else_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "gateway.sqlite"
    database = Database(sqlite_url(path))
    database.write(partial(post, key="one", kind="test", moves={DEPOSITS: -5, user("A"): 5}))
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert "gateway.sqlite" in modes
    database.close()


def test_what_only_reads_sees_one_state(database: Database) -> None:
    """Regression: on PostgreSQL each statement saw another one."""
    look = partial(booked_balance, account=user("A"))
    move = partial(post, key="one", kind="test", moves={DEPOSITS: -5, user("A"): 5})

    def twice(connection: Connection) -> tuple[int, int]:
        before = look(connection)
        thread = Thread(target=database.write, args=(move,))
        thread.start()
        thread.join()
        return before, look(connection)

    assert database.read(twice) == (0, 0)
    assert database.read(look) == 5
    assert database.write(lambda connection: connection.get_isolation_level()) in ("READ COMMITTED", "SERIALIZABLE")


def test_an_error_in_the_work_writes_nothing(database: Database) -> None:
    def half(connection: object) -> None:
        post(connection, "one", "test", {DEPOSITS: -5, user("A"): 5})  # type: ignore[arg-type]
        raise KeyError

    with pytest.raises(KeyError):
        database.write(half)
    assert database.read(partial(booked_balance, account=user("A"))) == 0


def test_neither_statements_nor_amounts_reach_the_log(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="node"), pytest.raises(UnavailableError):
        database.write(lambda connection: connection.execute(text("SELECT 'secret-of-somebody' FROM nowhere")))
    assert "secret-of-somebody" not in caplog.text
    assert "does not answer" in caplog.text
    assert os.linesep not in caplog.records[0].getMessage()


@pytest.mark.parametrize(("durable", "synchronous"), [(True, 2), (False, 1)])
def test_what_is_durable_waits_for_the_disk(tmp_path: Path, durable: bool, synchronous: int) -> None:
    database = Database(sqlite_url(tmp_path / "gateway.sqlite"))
    for _ in range(2):
        asked = database.write(
            lambda connection: connection.exec_driver_sql("PRAGMA synchronous").scalar(), durable=durable
        )
        assert asked == synchronous
        database.write(lambda connection: None, durable=not durable)
    database.close()
