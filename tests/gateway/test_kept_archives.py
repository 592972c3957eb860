"""Archives on disk: made once, within a bound of bytes, and nothing left of those that failed or were killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_chain.folder_lock import exclusive
from node.gateway.auditing.kept_archives import KeptArchive, KeptArchives
from node.gateway.errors import UnavailableError

pytestmark = pytest.mark.fast

LARGEST, MOST = 100, 250


class Writing:
    """Writes archives of the size that a CID begins with. ``made``: CIDs, in order."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def write(self, cid: str, path: Path) -> None:
        self.made.append(cid)
        path.with_name("half").write_bytes(b"half")
        if cid.startswith("broken"):
            raise OSError("no space left on device")
        path.write_bytes(bytes(int(cid.partition("-")[0])))
        path.with_name("half").unlink()


@pytest.fixture
def writing() -> Writing:
    return Writing()


@pytest.fixture
def archives(tmp_path: Path, writing: Writing) -> Iterator[KeptArchives]:
    made = KeptArchives(tmp_path / "archives", writing.write, LARGEST, MOST)
    yield made
    made.close()


def files(tmp_path: Path) -> list[int]:
    """Sizes of all that lies there, but for locks."""
    found = [path for path in (tmp_path / "archives").rglob("*") if path.is_file() and path.name != ".lock"]
    return sorted(path.stat().st_size for path in found)


def held(archives: KeptArchives, cid: str) -> KeptArchive:
    archives.make(cid)
    found = archives.held(cid)
    assert found is not None
    return found


def test_an_archive_is_made_once(archives: KeptArchives, writing: Writing) -> None:
    assert archives.held("10-a") is None
    first, second = held(archives, "10-a"), held(archives, "10-a")
    assert first is second
    assert (first.path.read_bytes(), first.size, writing.made) == (bytes(10), 10, ["10-a"])


def test_the_least_wanted_go_for_new_ones(archives: KeptArchives, writing: Writing, tmp_path: Path) -> None:
    for cid in ("80-a", "80-b"):
        archives.let_go(held(archives, cid))
    archives.let_go(held(archives, "80-a"))  # wanted again
    archives.let_go(held(archives, "80-c"))
    assert archives.held("80-b") is None
    assert files(tmp_path) == [80, 80]
    archives.let_go(held(archives, "80-a"))
    assert writing.made == ["80-a", "80-b", "80-c"]


def test_what_is_being_sent_stays_and_the_disk_is_never_fuller_than_the_bound(
    archives: KeptArchives, writing: Writing, tmp_path: Path
) -> None:
    first, _ = held(archives, "90-a"), held(archives, "90-b")
    with pytest.raises(UnavailableError, match="room for archives"):
        archives.make("5-c")
    assert first.path.is_file()
    assert writing.made == ["90-a", "90-b"]
    archives.let_go(first)
    archives.let_go(held(archives, "90-c"))
    assert not first.path.exists()
    assert files(tmp_path) == [90, 90]


def test_nothing_is_left_of_one_that_failed(archives: KeptArchives, writing: Writing, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no space"):
        archives.make("broken")
    assert files(tmp_path) == []
    assert archives.held("broken") is None
    with pytest.raises(OSError, match="no space"):
        archives.make("broken")
    assert archives.held("broken") is None
    assert held(archives, "10-a").size == 10


def test_what_killed_processes_left_is_removed_and_nothing_of_a_living_one(tmp_path: Path, writing: Writing) -> None:
    root = tmp_path / "archives"
    for name in ("killed", "living"):
        (root / name).mkdir(parents=True)
        (root / name / "0.car").write_bytes(bytes(7))
    with exclusive(root / "living"):
        archives = KeptArchives(root, writing.write, LARGEST, MOST)
        archives.make("10-a")
        assert files(tmp_path) == [7, 10]
        assert not (root / "killed").exists()
        archives.close()
        assert files(tmp_path) == [7]
