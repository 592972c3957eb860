"""What a node keeps on disk: log, rows, TLS key, settings, lock."""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nexus_chain.chain.wallet import Wallet
from nexus_chain.errors import DataFolderBusyError, DataFolderError, SettingsError, WriteAheadLogError
from nexus_chain.folder_lock import exclusive, is_busy
from node.daemon import configuration
from node.daemon.configuration import NodeConfiguration
from node.daemon.errors import ConfigurationError
from node.daemon.identity import receipt_key_of
from node.daemon.ledger import rows as rows_module
from node.daemon.ledger.events import SessionForgotten
from node.daemon.ledger.rows import RowStore
from node.daemon.ledger.write_ahead_log import WriteAheadLog
from node.daemon.tls import TlsIdentity, spki_hash

ORDER = bytes([5]) * 32
ROOT = Path(__file__).resolve().parents[2]


# ---------------------------------------------------------------------------- log


def test_log_keeps_order_across_openings(tmp_path: Path) -> None:
    events = [SessionForgotten(bytes([n])) for n in range(5)]
    for event in events:
        log = WriteAheadLog(tmp_path / "log")
        log.append(event)
        log.close()
    assert list(WriteAheadLog(tmp_path / "log").events()) == events


@pytest.mark.parametrize(("kind", "body"), [("Unknown", "{}"), ("SessionForgotten", "{}"), ("SessionForgotten", "[")])
def test_log_with_an_unreadable_event_says_which(tmp_path: Path, kind: str, body: str) -> None:
    log = WriteAheadLog(tmp_path / "log")
    log.append(SessionForgotten(b"a"))
    with sqlite3.connect(tmp_path / "log") as database:
        database.execute("INSERT INTO event (kind, body) VALUES (?, ?)", (kind, body))
    with pytest.raises(WriteAheadLogError, match="event 2"):
        list(log.events())


def test_log_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"not a database" * 100)
    with pytest.raises(WriteAheadLogError, match="backup"):
        WriteAheadLog(tmp_path / "log")


def test_log_with_room_does_not_grow_with_an_event(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path / "log")
    log.make_room()
    beside = tmp_path / "log-wal"
    size = beside.stat().st_size
    assert size > 4_000_000
    for n in range(5):
        log.append(SessionForgotten(bytes([n])))
        assert beside.stat().st_size == size
    log.close()
    again = WriteAheadLog(tmp_path / "log")
    again.make_room()
    assert list(again.events()) == [SessionForgotten(bytes([n])) for n in range(5)]
    assert (tmp_path / "log").stat().st_size < 2 * size


# --------------------------------------------------------------------------- rows


def test_rows_are_synced_once_for_each_time_they_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, synced, sync = RowStore(tmp_path, None), [], os.fdatasync

    def counted(descriptor: int) -> None:
        sync(descriptor)
        synced.append(descriptor)

    monkeypatch.setattr(os, "fdatasync", counted)
    store.append(ORDER, torch.tensor([1, 2, 3], dtype=torch.int32))
    for changed, count in ((None, 1), (lambda: store.truncate(ORDER, 2), 2), (store.close, 2)):
        if changed:
            changed()
        store.sync(ORDER)
        store.sync(ORDER)
        assert len(synced) == count
    store.append(ORDER, torch.tensor([4], dtype=torch.int32))
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (_ for _ in ()).throw(OSError("no")))
    for _ in range(2):  # what failed was not done
        with pytest.raises(DataFolderError, match="not on the disk"):
            store.sync(ORDER)
        monkeypatch.setattr(os, "fdatasync", counted)  # the system tells of a loss once
    assert len(synced) == 2
    # Where no file could be opened, nothing was lost.
    other = bytes([6]) * 32
    store.append(other, torch.tensor([1], dtype=torch.int32))
    with monkeypatch.context() as patch:
        patch.setattr(os, "dup", lambda descriptor: (_ for _ in ()).throw(OSError(errno.EMFILE, "too many files")))
        with pytest.raises(DataFolderError, match="too many"):
            store.sync(other)
    store.sync(other)
    assert len(synced) == 3
    # After a restart nobody knows what a power cut would leave.
    RowStore(tmp_path, None).sync(ORDER)
    assert len(synced) == 4


def test_length_is_right_after_files_were_closed_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_MOST_OPEN", 2)
    store = RowStore(tmp_path, 2)
    for turn in range(1, 4):
        for n in range(5):
            store.append(bytes([n]) * 32, torch.full((n + 1, 2), turn, dtype=torch.int32))
        assert [store.length(bytes([n]) * 32) for n in range(5)] == [turn * (n + 1) for n in range(5)]
    store.truncate(bytes([4]) * 32, 7)
    store.delete(bytes([3]) * 32)
    assert [store.length(bytes([n]) * 32) for n in (3, 4)] == [0, 7]
    assert store.read(bytes([4]) * 32, 4, 7).tolist() == [[1, 1], [2, 2], [2, 2]]


@pytest.mark.parametrize("width", [None, 1, 7])
def test_rows_are_read_as_they_were_written(tmp_path: Path, width: int | None) -> None:
    store = RowStore(tmp_path, width)
    rows = torch.randint(-(2**31), 2**31 - 1, (9,) if width is None else (9, width), dtype=torch.int32)
    store.append(ORDER, rows[:4])
    store.append(ORDER, rows[4:])
    store.sync(ORDER)
    assert store.length(ORDER) == 9
    assert torch.equal(store.read(ORDER, 2, 8), rows[2:8])
    assert torch.equal(store.read(ORDER, 9, 9), rows[9:])
    assert torch.equal(RowStore(tmp_path, width).read(ORDER, 0, 9), rows)


def test_row_left_half_written_by_a_crash_is_cut_off(tmp_path: Path) -> None:
    store = RowStore(tmp_path, 4)
    store.append(ORDER, torch.ones(3, 4, dtype=torch.int32))
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes() + b"torn")
    assert store.trim(ORDER) == 3
    store.append(ORDER, torch.zeros(1, 4, dtype=torch.int32))
    assert store.read(ORDER, 2, 4).tolist() == [[1] * 4, [0] * 4]


def test_first_row_left_half_written_is_cut_off_too(tmp_path: Path) -> None:
    (tmp_path / (ORDER.hex() + ".rows")).write_bytes(b"torn")
    store = RowStore(tmp_path, 4)
    assert store.trim(ORDER) == 0
    rows = torch.arange(8, dtype=torch.int32).reshape(2, 4)
    store.append(ORDER, rows)
    assert torch.equal(store.read(ORDER, 0, 2), rows)


def test_rows_are_read_whole_where_the_system_gives_less_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux reads at most 2 GiB at once: a long order of a wide model has more."""
    store = RowStore(tmp_path, 4)
    rows = torch.arange(40, dtype=torch.int32).reshape(10, 4)
    store.append(ORDER, rows)
    preadv = os.preadv
    monkeypatch.setattr(os, "preadv", lambda at, into, offset: preadv(at, [into[0][:7]], offset))
    assert torch.equal(store.read(ORDER, 1, 10), rows[1:])
    with pytest.raises(DataFolderError):
        store.read(ORDER, 1, 11)


def test_a_long_read_does_not_hold_up_other_orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RowStore(tmp_path, None)
    store.append(ORDER, torch.ones(3, dtype=torch.int32))
    entered, gate, preadv = threading.Event(), threading.Event(), os.preadv

    def held(at: int, into: list[memoryview], offset: int) -> int:
        entered.set()
        assert gate.wait(20)
        return preadv(at, into, offset)

    monkeypatch.setattr(os, "preadv", held)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(store.read, ORDER, 0, 3)
        assert entered.wait(10)
        try:
            other = threading.Thread(target=store.append, args=(bytes(32), torch.ones(1, dtype=torch.int32)))
            other.start()
            other.join(5)
            assert not other.is_alive()
            store.delete(ORDER)
        finally:
            gate.set()
        assert reading.result(10).tolist() == [1, 1, 1]


def test_more_orders_than_files_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_MOST_OPEN", 2)
    store = RowStore(tmp_path, None)
    orders = [bytes([n]) * 32 for n in range(5)]
    for turn in range(3):
        for n, order in enumerate(orders):
            store.append(order, torch.tensor([10 * n + turn], dtype=torch.int32))
            assert len(store._files) <= 2
    for n, order in enumerate(orders):
        assert store.read(order, 0, 3).tolist() == [10 * n, 10 * n + 1, 10 * n + 2]
    store.close()
    assert store.length(orders[0]) == 3


def test_missing_rows_are_said_to_be_missing(tmp_path: Path) -> None:
    store = RowStore(tmp_path, 4)
    with pytest.raises(DataFolderError, match="backup"):
        store.read(ORDER, 0, 1)
    store.append(ORDER, torch.ones(3, 4, dtype=torch.int32))
    with pytest.raises(DataFolderError):
        store.read(ORDER, 0, 4)
    store.delete(ORDER)
    store.delete(ORDER)
    assert store.length(ORDER) == 0


def test_rows_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    RowStore(tmp_path, None).append(ORDER, torch.ones(1, dtype=torch.int32))
    assert next(tmp_path.iterdir()).stat().st_mode & 0o077 == 0


# ---------------------------------------------------------------------- TLS, keys


def test_tls_key_is_made_once_and_hashes_to_its_public_key(tmp_path: Path) -> None:
    made = TlsIdentity.open(tmp_path)
    assert TlsIdentity.open(tmp_path) == made
    key = x509.load_pem_x509_certificate(made.certificate).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert made.key_hash == spki_hash(made.certificate) == hashlib.sha256(spki).digest()
    assert (tmp_path / "tls.key").stat().st_mode & 0o077 == 0
    assert "PRIVATE" not in repr(made)


def test_tls_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        TlsIdentity.open(tmp_path / name)
    (tmp_path / "a" / "tls.key").write_bytes((tmp_path / "b" / "tls.key").read_bytes())
    with pytest.raises(DataFolderError, match="another key"):
        TlsIdentity.open(tmp_path / "a")


def test_receipt_key_depends_on_the_wallet_alone() -> None:
    wallet = Wallet(bytes([1]) * 32)
    assert receipt_key_of(wallet).address == receipt_key_of(Wallet(bytes([1]) * 32)).address
    assert receipt_key_of(wallet).address not in (wallet.address, receipt_key_of(Wallet(bytes([2]) * 32)).address)


# ----------------------------------------------------------------------- settings


def test_flags_win_over_variables_over_file_over_defaults(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text('price = 1\norders = 2\nthreads = 3\nlisten = "127.0.0.1:1"\n')
    environment = {"NEXUS_NODE_ORDERS": "20", "NEXUS_NODE_THREADS": "30"}
    found = configuration.load(tmp_path, {"threads": 300, "price": None}, environment=environment)
    assert (found.price, found.orders, found.threads, found.listen) == (1, 20, 300, "127.0.0.1:1")
    assert found.chain_id == 31337


def test_saved_settings_are_read_back(tmp_path: Path) -> None:
    saved = NodeConfiguration(tmp_path, price=7, block=Path('/a b/"c".safetensors'), drain=1.5)
    saved.save()
    assert configuration.load(tmp_path, {}, environment={}) == saved


@pytest.mark.parametrize(
    ("text", "told"),
    [("nonsense = 1", "no setting"), ("price = 'x'", "not a whole number"), ("price", "TOML")],
)
def test_bad_file_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "node.toml").write_text(text)
    with pytest.raises(SettingsError, match=told):
        configuration.load(tmp_path, {}, environment={})


def test_missing_and_malformed_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TOML file"):
        configuration.load(tmp_path, {}, tmp_path / "other.toml", environment={})
    found = NodeConfiguration(tmp_path, listen="7070", model_version="0x12")
    for read in ("listen_address", "version_id", "block_path"):
        with pytest.raises(ConfigurationError) as error:
            getattr(found, read)
        assert error.value.advice


# --------------------------------------------------------------------------- lock


def test_folder_is_for_one_daemon(tmp_path: Path) -> None:
    hold = "import sys, pathlib, nexus_chain.folder_lock as d\nwith d.exclusive(pathlib.Path(sys.argv[1])): "
    hold += "print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert is_busy(tmp_path)
        with pytest.raises(DataFolderBusyError), exclusive(tmp_path):
            pass
        holder.kill()
        holder.wait()
    assert not is_busy(tmp_path)


def test_generated_wire_modules_are_current() -> None:
    done = subprocess.run([sys.executable, "scripts/generate_proto.py", "--check"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr
