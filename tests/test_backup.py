"""An archive of a folder in use: consistent, private, never over anything, and nothing else than a backup unpacks."""

from __future__ import annotations

import gzip
import io
import sqlite3
import tarfile
import threading
import zlib
from pathlib import Path

import pytest

from nexus_chain.backup import BackupError, back_up, unpack_backup


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    (made / "keys").mkdir(parents=True)
    (made / "keys" / "a.key").write_text("secret")
    (made / "large").mkdir()
    (made / "large" / "file").write_text("x")
    return made


def save(folder: Path, path: Path) -> None:
    back_up(folder, path, "home", lambda place: place.parts[0] == "large")


def test_what_goes_in_comes_out_private(folder: Path, tmp_path: Path) -> None:
    save(folder, tmp_path / "saved")
    assert (tmp_path / "saved").stat().st_mode & 0o777 == 0o600
    made = unpack_backup(tmp_path / "saved", tmp_path / "new", "home")
    assert made.files == 1
    assert (tmp_path / "new" / "keys" / "a.key").read_text() == "secret"
    assert not (tmp_path / "new" / "large").exists()
    for place in (tmp_path / "new", *(tmp_path / "new").rglob("*")):
        assert place.stat().st_mode & 0o077 == 0


def test_a_database_that_is_written_to_is_whole(folder: Path, tmp_path: Path) -> None:
    """Each transaction writes two rows that agree; no backup sees one without the other."""
    path = folder / "log.sqlite"
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("CREATE TABLE pair (number INTEGER, side TEXT)")
    enough = threading.Event()

    def write() -> None:
        number = 0
        while not enough.is_set():
            writer.execute("BEGIN")
            writer.executemany("INSERT INTO pair VALUES (?, ?)", [(number, "left"), (number, "right")])
            writer.execute("COMMIT")
            number += 1

    writing = threading.Thread(target=write)
    writing.start()
    try:
        for turn in range(5):
            save(folder, tmp_path / f"saved-{turn}")
    finally:
        enough.set()
        writing.join()
    for turn in range(5):
        unpack_backup(tmp_path / f"saved-{turn}", tmp_path / f"new-{turn}", "home")
        assert not list((tmp_path / f"new-{turn}").glob("*-wal"))
        copy = sqlite3.connect(tmp_path / f"new-{turn}" / "log.sqlite")
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (left,), (right,) = (
            copy.execute("SELECT count(*) FROM pair WHERE side = ?", (side,)).fetchone() for side in ("left", "right")
        )
        assert left == right
        copy.close()
    writer.close()


def test_committed_rows_in_the_log_beside_the_database_are_kept(folder: Path, tmp_path: Path) -> None:
    writer = sqlite3.connect(folder / "log.sqlite", isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("PRAGMA wal_autocheckpoint=0")
    writer.execute("CREATE TABLE one (number INTEGER)")
    writer.execute("INSERT INTO one VALUES (7)")
    save(folder, tmp_path / "saved")
    unpack_backup(tmp_path / "saved", tmp_path / "new", "home")
    copy = sqlite3.connect(tmp_path / "new" / "log.sqlite")
    assert copy.execute("SELECT number FROM one").fetchall() == [(7,)]
    copy.close()
    writer.close()


def test_nothing_is_overwritten(folder: Path, tmp_path: Path) -> None:
    save(folder, tmp_path / "saved")
    before = (tmp_path / "saved").read_bytes()
    with pytest.raises(BackupError, match="exists"):
        save(folder, tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == before
    with pytest.raises(BackupError, match="holds files"):
        unpack_backup(tmp_path / "saved", folder, "home")
    with pytest.raises(BackupError, match="backup of a home, not of a node"):
        unpack_backup(tmp_path / "saved", tmp_path / "new", "node")
    assert not (tmp_path / "new").exists()
    with pytest.raises(BackupError, match="no folder"):
        save(tmp_path / "absent", tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "saved"]


def entry(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    made.linkname = "/etc/passwd"
    return made


@pytest.mark.parametrize(
    "extra",
    [
        entry("../outside"),
        entry("files/../../outside"),
        entry("/outside"),
        entry("files/link", tarfile.SYMTYPE),
        entry("files/hard", tarfile.LNKTYPE),
        entry("else"),
        entry(""),
    ],
    ids=lambda made: made.name,
)
def test_a_hostile_archive_writes_nothing(folder: Path, tmp_path: Path, extra: tarfile.TarInfo) -> None:
    save(folder, tmp_path / "saved")
    with tarfile.open(tmp_path / "saved") as good, tarfile.open(tmp_path / "bad", "w:gz") as bad:
        for member in good:
            bad.addfile(member, good.extractfile(member))
        bad.addfile(extra, io.BytesIO())
    with pytest.raises(BackupError, match="no backup holds"):
        unpack_backup(tmp_path / "bad", tmp_path / "new", "home")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "home", "saved"]


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "broken"])
def test_a_damaged_archive_is_said(folder: Path, tmp_path: Path, damage: str) -> None:
    save(folder, tmp_path / "saved")
    whole = (tmp_path / "saved").read_bytes()
    packer = zlib.compressobj(wbits=31)
    broken = packer.compress(gzip.decompress(whole)[:1500]) + packer.flush(zlib.Z_FULL_FLUSH) + b"\xff" * 50
    (tmp_path / "bad").write_bytes({"cut": whole[:-30], "empty": b"", "text": b"text", "broken": broken}[damage])
    with pytest.raises(BackupError, match="cannot be restored"):
        unpack_backup(tmp_path / "bad", tmp_path / "new", "home")
    assert not (tmp_path / "new").exists()
