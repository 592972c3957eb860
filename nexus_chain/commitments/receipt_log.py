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

from pymerkle import ConsistencyProof, InclusionProof, InvalidProof, SqliteTree, verify_consistency, verify_inclusion

from nexus_chain.commitments.errors import ProofError, ReceiptLogError
from nexus_chain.commitments.merkle import leaf_hash

_ALGORITHM = "sha256"
_ASK_AGAIN = "Do not rely on this log; keep the signed receipt itself, which is enough for a dispute"


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

    def inclusion(self, index: int, size: int | None = None) -> InclusionProof:
        """Proof that receipt ``index`` is in the log of ``size`` receipts."""
        size = len(self) if size is None else size
        self._check(0 <= index < size <= len(self), f"no receipt {index} in a log of {size}")
        return self._tree.prove_inclusion(index + 1, size)

    def consistency(self, old: int, new: int | None = None) -> ConsistencyProof:
        """Proof that the log of ``old`` receipts was only appended to."""
        new = len(self) if new is None else new
        self._check(0 < old <= new <= len(self), f"no consistency proof from {old} to {new} receipts")
        return self._tree.prove_consistency(old, new)

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


def check_inclusion(receipt: bytes, index: int, size: int, root: bytes, proof: InclusionProof) -> None:
    """Raise ProofError unless ``proof`` shows ``receipt`` at ``index`` under a log's ``root`` of ``size``."""
    try:
        verify_inclusion(leaf_hash(receipt), root, proof, index=index + 1, size=size, algorithm=_ALGORITHM)
    except InvalidProof as error:
        raise ProofError(f"receipt {index} is not proven to be in the log ({error})", advice=_ASK_AGAIN) from error


def check_consistency(old_root: bytes, old_size: int, new_root: bytes, new_size: int, proof: ConsistencyProof) -> None:
    """Raise ProofError unless ``proof`` shows that the old log is a prefix of the new one."""
    try:
        verify_consistency(old_root, new_root, proof, prior_size=old_size, later_size=new_size, algorithm=_ALGORITHM)
    except InvalidProof as error:
        raise ProofError(f"the log was rewritten after {old_size} receipts ({error})", advice=_ASK_AGAIN) from error
