"""What is said when a storage is no storage, is damaged, full, read-only or gone."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from nexus_chain.distillation.memory.database import storage_url
from nexus_chain.distillation.memory.errors import (
    BusyStorageError,
    DamagedStorageError,
    FullStorageError,
    PersistenceError,
    ReadOnlyStorageError,
    StorageAddressError,
    StorageOfflineError,
)
from nexus_chain.distillation.memory.persistence import CognitivePersistence
from nexus_chain.distillation.memory.storage_faults import storage_fault
from tests.support.memory_examples import example, random_examples

pytestmark = pytest.mark.slow


class ServerError(Exception):
    """What psycopg raises, with the state that PostgreSQL gave."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__("hunter2")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("53100", FullStorageError),
        ("25006", ReadOnlyStorageError),
        ("55P03", BusyStorageError),
        ("40001", BusyStorageError),
        ("57P01", StorageOfflineError),
    ],
)
def test_states_of_a_server_are_named(state: str, kind: type[PersistenceError]) -> None:
    fault = storage_fault(DBAPIError("SELECT 'hunter2'", None, ServerError(state)), "here")
    assert type(fault) is kind
    assert "hunter2" not in f"{fault} {fault.advice}"


def test_where_a_memory_is_when_nobody_says(tmp_path: Path) -> None:
    home = {"NEXUS_HOME": str(tmp_path)}
    assert storage_url(None, home).database == str(tmp_path / "distillation" / "memory.sqlite")
    named = {**home, "NEXUS_DISTILLATION_MEMORY": "postgresql://nexus@host/name"}
    assert storage_url(None, named).drivername == "postgresql+psycopg"
    assert storage_url("some/file.db", named).database == "some/file.db"
    assert storage_url("sqlite:///some/file.db").database == "some/file.db"


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///:memory:", "mysql://me:hunter2@host/x", "://hunter2"])
def test_what_is_no_storage_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(StorageAddressError) as caught:
        CognitivePersistence(address)
    assert "hunter2" not in f"{caught.value} {caught.value.advice}"
    assert "sqlite:///FILE" in caught.value.advice


def test_a_server_that_does_not_answer_is_named_without_its_password(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(StorageOfflineError, match="does not answer") as caught:
        CognitivePersistence("postgresql://nexus:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in caplog.text + str(caught.value)


@pytest.mark.parametrize("content", [b"this is no database" * 500, b"\0" * 8192])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "memory.db"
    path.write_bytes(content)
    with pytest.raises(DamagedStorageError, match=r"memory\.db is damaged or is no memory") as caught:
        CognitivePersistence(path)
    assert "backup" in caught.value.advice
    assert path.read_bytes() == content


def test_a_damaged_page_is_an_error_and_no_wrong_answer(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    examples = random_examples(300)
    with CognitivePersistence(path) as memory:
        memory.save_examples(examples)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + os.urandom(len(whole) - 8192))
    with pytest.raises(DamagedStorageError), CognitivePersistence(path) as memory:
        memory.get_dataset(0.0)


def test_a_file_that_was_cut_off_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with CognitivePersistence(path) as memory:
        memory.save_examples(random_examples(300))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(DamagedStorageError), CognitivePersistence(path) as memory:
        memory.get_dataset(0.0)


FILL = """
import resource, sys
from nexus_chain.distillation.memory.errors import FullStorageError
from nexus_chain.distillation.memory.persistence import CognitivePersistence
from nexus_chain.distillation.memory.storage_faults import storage_fault
from tests.support.memory_examples import random_examples
with CognitivePersistence(sys.argv[1]) as memory:
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    try:
        for start in range(0, 20_000, 100):
            memory.save_examples(random_examples(100, seed=start))
            print(start + 100, flush=True)
    except FullStorageError as error:
        print(error, error.advice, memory.get_dataset(0.0).total_count, sep="\\n")
"""


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    """A process may write 400 kB into one file, as if the disk ended there."""
    path = tmp_path / "memory.db"
    run = subprocess.run([sys.executable, "-c", FILL, str(path)], capture_output=True, text=True, check=True)
    *steps, message, advice, count = run.stdout.splitlines()
    assert "no room left" in message
    assert "Free some" in advice
    assert int(count) == int(steps[-1])
    with CognitivePersistence(path) as memory:  # room again
        assert memory.get_dataset(0.0).total_count == int(count)
        assert memory.save_example(example("It goes on"))


def test_pages_that_the_file_may_not_have_are_a_full_disk(tmp_path: Path) -> None:
    with CognitivePersistence(tmp_path / "memory.db") as memory:
        memory.save_examples(random_examples(20))

        def limit(connection: object) -> None:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()  # type: ignore[attr-defined]
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")  # type: ignore[attr-defined]

        memory._database.read(limit)
        with pytest.raises(FullStorageError, match="no room left"):
            memory.save_examples(random_examples(500, seed=1))
        assert memory.get_dataset(0.0).total_count == 20


READ = """
import os, sys
from nexus_chain.distillation.memory.errors import PersistenceError
from nexus_chain.distillation.memory.persistence import CognitivePersistence
from nexus_chain.distillation.memory.storage_faults import storage_fault
import alembic.command, datasketch, sqlalchemy.dialects.sqlite.pysqlite
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    CognitivePersistence(sys.argv[2])
except PersistenceError as error:
    print(type(error).__name__, error, error.advice, sep="\\n")
"""


@pytest.mark.parametrize("exists", [False, True])
def test_a_read_only_folder_is_named(tmp_path: Path, exists: bool) -> None:
    """As somebody who is not root, for root may write everywhere."""
    if exists:
        CognitivePersistence(tmp_path / "memory.db").close()
        (tmp_path / "memory.db").chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        words = [sys.executable, "-c", READ, str(tmp_path), "memory.db"]
        run = subprocess.run(words, capture_output=True, text=True, check=True)
    finally:
        tmp_path.chmod(0o755)
    kind, message, advice = run.stdout.splitlines()
    assert kind == "ReadOnlyStorageError"
    assert "memory.db cannot be opened for writing (Permission denied)" in message
    assert "may write" in advice


def test_a_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(ReadOnlyStorageError, match="cannot be opened for writing"):
        CognitivePersistence("/proc/no/such/memory.db")
    with pytest.raises(ReadOnlyStorageError):
        CognitivePersistence(Path("/proc"))


def test_a_file_that_was_deleted_or_replaced_is_not_written_into(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with CognitivePersistence(path) as memory:
        memory.save_example(example("Before"))
        moved = path.rename(tmp_path / "elsewhere.db")
        for action in (
            lambda: memory.save_example(example("After")),
            memory.get_statistics,
            lambda: memory.compress(9),
        ):
            with pytest.raises(ReadOnlyStorageError, match="deleted or replaced"):
                action()
        path.touch()
        with pytest.raises(ReadOnlyStorageError, match="deleted or replaced"):
            memory.save_example(example("After"))
        moved.replace(path)
        assert memory.save_example(example("After"))


def test_a_writer_who_never_ends_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_chain.distillation.memory.database._BUSY_SECONDS", 0.05)
    path = tmp_path / "memory.db"
    with CognitivePersistence(path) as memory, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BusyStorageError, match="other writers hold"):
            memory.save_example(example("Waits"))
        assert memory.get_dataset().total_count == 0  # readers do not wait
        other.execute("ROLLBACK")
        assert memory.save_example(example("Waits"))


def test_nobody_else_reads_the_file(tmp_path: Path) -> None:
    with CognitivePersistence(tmp_path / "folder" / "memory.db") as memory:
        memory.save_example(example("Private"))
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "folder").iterdir()}
    assert set(modes.values()) == {0o600}


def test_a_copy_of_the_file_is_a_memory(tmp_path: Path) -> None:
    with CognitivePersistence(tmp_path / "memory.db") as memory:
        memory.save_examples(random_examples(20))
    shutil.copy(tmp_path / "memory.db", tmp_path / "copy.db")
    with CognitivePersistence(tmp_path / "copy.db") as copy:
        assert copy.get_dataset(0.0).total_count == 20


def test_texts_of_examples_are_not_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with CognitivePersistence(path) as memory, closing(sqlite3.connect(path)) as other:
        other.execute("DROP TABLE example_bands")
        other.commit()
        with pytest.raises(PersistenceError) as caught:
            memory.save_example(example("secret-of-somebody"))
        assert "secret-of-somebody" not in f"{caught.value} {caught.value.__cause__}"
