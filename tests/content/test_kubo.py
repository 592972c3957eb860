"""Pinning over HTTP to a server process that speaks the Kubo calls used here; and to none."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_chain.content.block_store import BlockStore, fetch_file
from nexus_chain.content.cid import Cid
from nexus_chain.content.errors import BlockMissingError, IpfsDaemonError, PinMismatchError
from nexus_chain.content.kubo import KuboDaemon, Pinner, PinQueue
from tests.support.kubo_rpc_server import start

BIG = bytes(range(256)) * 3000
NOBODY = "/ip4/127.0.0.1/tcp/9"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    process, address = start(tmp_path_factory.mktemp("kubo") / "port")
    yield address
    process.terminate()
    process.wait()


@pytest.fixture
def store(tmp_path: Path) -> BlockStore:
    return BlockStore(tmp_path / "blocks")


@pytest.fixture
def queue(tmp_path: Path) -> PinQueue:
    return PinQueue(tmp_path / "pins.sqlite")


@pytest.mark.parametrize("data", [b"small", BIG], ids=["one block", "several blocks"])
def test_pinned_file_can_be_fetched_from_the_daemon(
    address: str, store: BlockStore, queue: PinQueue, data: bytes
) -> None:
    daemon, cid = KuboDaemon(address), store.add_bytes(data)
    assert Pinner(store, queue, daemon).pin(cid)
    assert daemon.is_pinned(cid)
    assert fetch_file(daemon, cid) == data
    assert queue.waiting() == []


def test_pinning_holds_a_few_blocks_of_a_file_at_a_time(address: str, store: BlockStore, queue: PinQueue) -> None:
    data = bytes(24 << 20)  # one block over and over: shards of real models are larger than memory
    cid = store.add_bytes(data)
    tracemalloc.start()
    try:
        assert Pinner(store, queue, KuboDaemon(address)).pin(cid)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert fetch_file(KuboDaemon(address), cid) == data


def test_daemon_without_the_block_says_so(address: str) -> None:
    daemon = KuboDaemon(address)
    with pytest.raises(BlockMissingError, match="Ask another source"):
        daemon.get(Cid.of(b"nobody has this"))
    assert not daemon.is_pinned(Cid.of(b"nobody has this"))


def test_daemon_down_keeps_content_and_pin_is_retried(address: str, store: BlockStore, tmp_path: Path) -> None:
    path = tmp_path / "pins.sqlite"
    first, second = store.add_bytes(b"first"), store.add_bytes(b"second")
    down = Pinner(store, PinQueue(path), KuboDaemon(NOBODY))
    assert not down.pin(first)
    assert not down.pin(second)
    assert down.retry() == []
    assert [(pin.cid, pin.attempts) for pin in PinQueue(path).waiting()] == [(first, 2), (second, 1)]
    assert "does not answer" in PinQueue(path).waiting()[0].problem
    assert fetch_file(store, first) == b"first"

    up = Pinner(store, PinQueue(path), KuboDaemon(address))
    assert up.retry() == [first, second]
    assert PinQueue(path).waiting() == []


def test_daemon_down_is_an_error_with_advice_when_read(store: BlockStore) -> None:
    with pytest.raises(IpfsDaemonError, match="content stays in the embedded store"):
        KuboDaemon(NOBODY).get(Cid.of(b"x"))


def test_address_that_is_none_is_refused() -> None:
    with pytest.raises(IpfsDaemonError, match="Write it like"):
        KuboDaemon("http//nonsense")


def test_daemon_that_computes_another_cid_is_not_believed(store: BlockStore, queue: PinQueue, tmp_path: Path) -> None:
    process, address = start(tmp_path / "port", "1024")
    try:
        cid = store.add_bytes(BIG)
        with pytest.raises(PinMismatchError, match="256 KiB chunks"):
            Pinner(store, queue, KuboDaemon(address)).pin(cid)
        assert [pin.cid for pin in queue.waiting()] == [cid]
    finally:
        process.terminate()
        process.wait()


def test_one_bad_file_does_not_hold_up_the_others(address: str, store: BlockStore, queue: PinQueue) -> None:
    lost, kept = Cid.of(b"absent"), store.add_bytes(b"kept")
    assert not Pinner(store, queue, KuboDaemon(NOBODY)).pin_all([kept])
    assert not Pinner(store, queue, KuboDaemon(address)).pin_all([lost])
    assert KuboDaemon(address).is_pinned(kept)
    assert [(pin.cid, pin.attempts) for pin in queue.waiting()] == [(lost, 1)]
    again = store.add_bytes(b"again")
    assert Pinner(store, queue, KuboDaemon(address)).pin_all([again, kept])
    assert [pin.cid for pin in queue.waiting()] == [lost]


def test_files_that_the_daemon_addresses_otherwise_all_stay_queued(
    store: BlockStore, queue: PinQueue, tmp_path: Path
) -> None:
    process, address = start(tmp_path / "port", "1024")
    try:
        big, small = store.add_bytes(BIG), store.add_bytes(b"one block")
        assert not Pinner(store, queue, KuboDaemon(address)).pin_all([big, small])
        (waiting,) = queue.waiting()
        assert (waiting.cid, waiting.attempts) == (big, 1)
        assert "the daemon computed" in waiting.problem
    finally:
        process.terminate()
        process.wait()


def test_pin_of_what_the_store_lacks_is_refused(address: str, store: BlockStore, queue: PinQueue) -> None:
    with pytest.raises(BlockMissingError):
        Pinner(store, queue, KuboDaemon(address)).pin(Cid.of(b"absent"))
