"""A node's append-only receipt log: pymerkle's RFC 9162 tree in an SQLite file.

``append`` returns only after the receipt is on disk, so a killed node forgets nothing that it
handed out. Indices count from zero. What a receipt says is not this file's business: entries
are bytes. The root and size go on-chain; nobody needs the log to dispute a receipt.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Literal

from pymerkle import SqliteTree

from nexus_chain.commitments.errors import ReceiptLogError

_ALGORITHM = "sha256"


class ReceiptLog:
    """The log in the SQLite file ``path``, created where there is none. Threads may share it.

    ``synchronous="NORMAL"`` survives a killed process and may lose its last entries in a power cut: for an
    owner that has them elsewhere and appends them again.
    """

    def __init__(self, path: Path, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._tree = SqliteTree(str(path), _ALGORITHM)
            self._tree.con.execute("PRAGMA journal_mode = WAL")
            # FULL: a commit returns after its fsync.
            self._tree.con.execute(f"PRAGMA synchronous = {synchronous}")
        except (sqlite3.Error, ValueError) as error:
            raise ReceiptLogError(
                f"the receipt log {path} cannot be opened ({error})",
                advice="Move it away and restore it from a backup, or start a new one: receipts stay valid without it",
            ) from error

    def __len__(self) -> int:
        return int(self._tree.get_size())

    def append(self, receipt: bytes) -> int:
        """Append a receipt durably; returns its index."""
        return int(self._tree.append_entry(receipt)) - 1

    def sync(self) -> None:
        """Return when every entry survives a power cut."""
        self._tree.con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def receipt(self, index: int) -> bytes:
        """The receipt at ``index``; ReceiptLogError where there is none."""
        self._check(0 <= index < len(self), f"no receipt {index} in a log of {len(self)}")
        return bytes(self._tree.get_entry(index + 1))

    def root(self, size: int | None = None) -> bytes:
        """Root over the first ``size`` receipts (all by default)."""
        self._check(size is None or 0 <= size <= len(self), f"the log has {len(self)} receipts, not {size}")
        return bytes(self._tree.get_root(size))

    def close(self) -> None:
        """Close the database."""
        self._tree.close()

    def __enter__(self) -> ReceiptLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, possible: bool, problem: str) -> None:
        if not possible:
            raise ReceiptLogError(problem, advice=f"Ask for what the log has: it holds {len(self)} receipts")
