"""The embedded store: whole blocks or none, verified on every read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus_chain.content.block_store import BlockStore, FirstOf, copy_file, fetch_file
from nexus_chain.content.cid import Cid
from nexus_chain.content.errors import BlockMissingError, BlockStoreError, BlockTamperedError
from tests.support.waiting import wait_until

BIG = bytes(range(256)) * 3000  # three chunks


@pytest.fixture
def store(tmp_path: Path) -> BlockStore:
    return BlockStore(tmp_path / "blocks")


def file_of(root: Path, cid: Cid) -> Path:
    (found,) = root.rglob(str(cid))
    return found


@given(st.lists(st.binary(max_size=600), max_size=5))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_added_comes_back(store: BlockStore, contents: list[bytes]) -> None:
    cids = [store.add_bytes(data) for data in contents]
    assert [fetch_file(store, str(cid)) for cid in cids] == contents


def test_file_on_disk_is_added_like_bytes(store: BlockStore, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(BIG)
    cid = store.add_path(tmp_path / "big")
    assert cid == store.add_bytes(BIG)
    assert str(cid).startswith("bafybei")
    assert fetch_file(store, cid) == BIG


def test_damaged_block_is_noticed_and_repaired_by_adding_again(store: BlockStore, tmp_path: Path) -> None:
    cid = store.add_bytes(b"content")
    path = file_of(tmp_path, cid)
    for damage in (b"", b"conten", b"CONTENT"):
        path.write_bytes(damage)
        with pytest.raises(BlockTamperedError):
            store.get(cid)
        store.add_bytes(b"content")
        assert store.get(cid) == b"content"


def test_block_under_a_wrong_address_is_refused(store: BlockStore) -> None:
    with pytest.raises(BlockTamperedError):
        store.put(Cid.of(b"one"), b"two")
    with pytest.raises(BlockMissingError):
        store.get(Cid.of(b"one"))


def test_missing_block_is_reported_with_advice(store: BlockStore) -> None:
    with pytest.raises(BlockMissingError, match="Fetch it from"):
        store.get(Cid.of(b"never added"))


def test_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BlockStoreError, match="Choose a folder"):
        BlockStore(tmp_path / "file" / "blocks")


def test_first_source_with_good_bytes_wins(store: BlockStore, tmp_path: Path) -> None:
    empty, damaged = BlockStore(tmp_path / "empty"), BlockStore(tmp_path / "damaged")
    cid = store.add_bytes(b"content")
    damaged.add_bytes(b"content")
    file_of(tmp_path / "damaged", cid).write_bytes(b"CONTENT")
    assert FirstOf([empty, damaged, store]).get(cid) == b"content"
    with pytest.raises(BlockMissingError, match="no source has"):
        FirstOf([empty, damaged]).get(cid)


def test_copying_brings_every_block(store: BlockStore, tmp_path: Path) -> None:
    cid, other = store.add_bytes(BIG), BlockStore(tmp_path / "other")
    copy_file(store, cid, other)
    assert fetch_file(other, cid) == BIG


def block_names(root: Path) -> list[str]:
    """Names of the block files; folders may start with the same letter."""
    return [path.name for path in root.rglob("b*") if path.is_file()]


def test_kill_while_writing_leaves_no_partial_block(tmp_path: Path) -> None:
    root = tmp_path / "blocks"
    program = (
        "import sys, os\nfrom pathlib import Path\nfrom nexus_chain.content.block_store import BlockStore\n"
        "store = BlockStore(Path(sys.argv[1]))\n"
        "while True:\n    store.add_bytes(os.urandom(300_000))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(root)])
    wait_until(lambda: len(block_names(root)) >= 30)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    store, names = BlockStore(root), block_names(root)
    assert len(names) >= 30
    for name in names:
        store.get(Cid.parse(name))
