"""The receipt log: proofs, persistence, and a process killed right after an append returned."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_chain.commitments.errors import ReceiptLogError
from nexus_chain.commitments.merkle import MerkleTree, leaf_hash
from nexus_chain.commitments.receipt_log import ReceiptLog

RECEIPTS = [f"receipt {i}".encode() for i in range(9)]


@pytest.fixture
def log(tmp_path: Path) -> ReceiptLog:
    log = ReceiptLog(tmp_path / "node" / "receipts.sqlite")
    for receipt in RECEIPTS:
        log.append(receipt)
    return log


def test_indices_count_from_zero_and_roots_are_rfc_roots(log: ReceiptLog) -> None:
    assert log.append(b"one more") == 9
    assert len(log) == 10
    assert log.receipt(3) == RECEIPTS[3]
    tree = MerkleTree(map(leaf_hash, [*RECEIPTS, b"one more"]))
    assert [log.root(size) for size in range(11)] == [tree.root(size) for size in range(11)]
    assert log.root() == tree.root()


def test_closed_log_opens_with_everything(log: ReceiptLog, tmp_path: Path) -> None:
    root = log.root()
    log.close()
    with ReceiptLog(tmp_path / "node" / "receipts.sqlite") as again:
        assert (again.root(), len(again)) == (root, 9)


def test_killed_process_loses_no_appended_receipt(tmp_path: Path) -> None:
    path = tmp_path / "receipts.sqlite"
    program = (
        "import sys\nfrom pathlib import Path\nfrom nexus_chain.commitments.receipt_log import ReceiptLog\n"
        "log = ReceiptLog(Path(sys.argv[1]))\ni = 0\n"
        "while True:\n    log.append(b'receipt %d' % i)\n    print(i, flush=True)\n    i += 1\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    promised = -1
    while promised < 20:
        promised = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    rest = process.stdout.read().split("\n")
    process.stdout.close()
    promised = max([promised, *(int(line) for line in rest[:-1])])
    with ReceiptLog(path) as log:
        assert len(log) > promised
        assert log.receipt(promised) == b"receipt %d" % promised


def test_what_the_log_lacks_is_refused(log: ReceiptLog) -> None:
    attempts = [
        lambda: log.receipt(9),
        lambda: log.receipt(-1),
        lambda: log.root(10),
    ]
    for attempt in attempts:
        with pytest.raises(ReceiptLogError, match="holds 9 receipts"):
            attempt()


def test_damaged_file_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "receipts.sqlite"
    path.write_bytes(b"this is not a database, and long enough to be sure of that" * 20)
    with pytest.raises(ReceiptLogError, match="restore it from a backup"):
        ReceiptLog(path)


def test_entries_cannot_be_changed_through_sql(log: ReceiptLog, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "node" / "receipts.sqlite")
    for statement in ("DELETE FROM leaf", "UPDATE leaf SET entry = x'00'"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)
    connection.close()
