"""The Kubo calls of this project against a real IPFS daemon; not part of the default test run.

Name a daemon's API and run the file (its name keeps the default run from collecting it):

    NEXUS_TEST_KUBO=/ip4/127.0.0.1/tcp/5001 python -m pytest tests/external/kubo_daemon.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nexus_chain.content.block_store import BlockStore, fetch_file
from nexus_chain.content.cid import Cid
from nexus_chain.content.errors import BlockMissingError
from nexus_chain.content.kubo import KuboDaemon, Pinner, PinQueue

VECTORS = [json.loads(line) for line in (Path(__file__).parents[1] / "vectors" / "cid.jsonl").read_text().splitlines()]
DEFAULT_CHUNKS = [vector for vector in VECTORS if vector["chunk_bytes"] == 262144 and "pattern" in vector]


@pytest.fixture(scope="module")
def daemon() -> KuboDaemon:
    address = os.environ.get("NEXUS_TEST_KUBO")
    assert address, "set NEXUS_TEST_KUBO to the multiaddress of a daemon's API"
    return KuboDaemon(address, timeout=120)


@pytest.mark.parametrize("vector", DEFAULT_CHUNKS, ids=lambda v: str(v["size"]))
def test_daemon_computes_pins_and_returns_the_same_file(
    daemon: KuboDaemon, tmp_path: Path, vector: dict[str, object]
) -> None:
    size = int(str(vector["size"]))
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    store, queue = BlockStore(tmp_path / "blocks"), PinQueue(tmp_path / "pins.sqlite")
    cid = store.add_bytes(data)
    assert str(cid) == vector["cid"]
    assert Pinner(store, queue, daemon).pin(cid)
    assert queue.waiting() == []
    assert daemon.is_pinned(cid)
    assert fetch_file(daemon, cid) == data


def test_daemon_does_not_hang_on_a_block_that_nobody_has(daemon: KuboDaemon) -> None:
    absent = Cid.of(b"nobody ever added these bytes to any daemon")
    with pytest.raises(BlockMissingError):
        daemon.get(absent)
    assert not daemon.is_pinned(absent)
