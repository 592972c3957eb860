"""What a node keeps on disk: log, rows, TLS key, settings, lock."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nexus_chain.chain.wallet import Wallet
from node import configuration
from node.configuration import NodeConfiguration
from node.data_folder import exclusive, is_busy
from node.errors import ConfigurationError, DataFolderBusyError, DataFolderError, WriteAheadLogError
from node.identity import receipt_key_of
from node.rows import RowStore
from node.state import SessionForgotten
from node.tls import TlsIdentity, spki_hash
from node.write_ahead_log import WriteAheadLog

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


# --------------------------------------------------------------------------- rows


@pytest.mark.parametrize("width", [None, 1, 7])
def test_rows_are_read_as_they_were_written(tmp_path: Path, width: int | None) -> None:
    store = RowStore(tmp_path, width)
    rows = torch.randint(-(2**31), 2**31 - 1, (9,) if width is None else (9, width), dtype=torch.int32)
    store.append(ORDER, rows[:4])
    store.append(ORDER, rows[4:])
    store.sync(ORDER)
    assert store.length(ORDER) == 9
    assert torch.equal(store.read(ORDER, 2, 8), rows[2:8])
    assert torch.equal(RowStore(tmp_path, width).read(ORDER, 0, 9), rows)


def test_row_left_half_written_by_a_crash_is_cut_off(tmp_path: Path) -> None:
    store = RowStore(tmp_path, 4)
    store.append(ORDER, torch.ones(3, 4, dtype=torch.int32))
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes() + b"torn")
    assert store.trim(ORDER) == 3
    store.append(ORDER, torch.zeros(1, 4, dtype=torch.int32))
    assert store.read(ORDER, 2, 4).tolist() == [[1] * 4, [0] * 4]


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
    [("nonsense = 1", "no setting"), ("price = 'x'", "not a int"), ("price", "TOML")],
)
def test_bad_file_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "node.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=told):
        configuration.load(tmp_path, {}, environment={})


def test_missing_and_malformed_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="TOML file"):
        configuration.load(tmp_path, {}, tmp_path / "other.toml", environment={})
    found = NodeConfiguration(tmp_path, listen="7070", model_version="0x12")
    for read in ("listen_address", "version_id", "block_path"):
        with pytest.raises(ConfigurationError) as error:
            getattr(found, read)
        assert error.value.advice


# --------------------------------------------------------------------------- lock


def test_folder_is_for_one_daemon(tmp_path: Path) -> None:
    hold = "import sys, pathlib, node.data_folder as d\nwith d.exclusive(pathlib.Path(sys.argv[1])): "
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
