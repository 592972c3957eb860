"""What was sent: every transaction of a wallet, on disk before it leaves this machine.

One SQLite file, ``transactions.sqlite`` in a user's home or a node's data folder. An *intent* is what somebody wanted
(a call with its value); its *attempts* are the signed transactions that would do it, of which one is mined at most or
all have one nonce. So a lost answer loses nothing: the next command finds the intent and goes on with it.
Knows no RPC server.

    intents:  number, chain, wallet, purpose, key, note, state, block, created
    attempts: hash, intent, nonce, raw, fields (JSON), created
    blocks:   intent, seen (when its block was)
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_chain.chain.errors import JournalError

SENT, MINED, TOLD, FAILED, LOST = "sent", "mined", "told", "failed", "lost"
"""Sent: may be mined. Mined: and nobody was told yet. Told: a command said so. Failed: reverted or refused.
Lost: something else took its nonce."""
TRUSTED_SECONDS = 120.0
"""How long a mined nonce is believed against a server that knows less."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS intents (
  number INTEGER PRIMARY KEY AUTOINCREMENT, chain TEXT NOT NULL, wallet TEXT NOT NULL, purpose TEXT NOT NULL,
  key TEXT NOT NULL, note TEXT NOT NULL, state TEXT NOT NULL, block INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL);
CREATE INDEX IF NOT EXISTS intents_state ON intents (chain, wallet, state);
CREATE TABLE IF NOT EXISTS attempts (
  hash TEXT PRIMARY KEY, intent INTEGER NOT NULL REFERENCES intents(number), nonce INTEGER NOT NULL, raw BLOB NOT NULL,
  fields TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS blocks (intent INTEGER PRIMARY KEY REFERENCES intents(number), seen REAL NOT NULL);
"""


#: A chain's name is its id and first block's hash, which a server may not know: then the id has to do.
_SAME_CHAIN = "(chain = ? OR chain GLOB ?)"


def _same(chain: str) -> tuple[str, str]:
    """What ``_SAME_CHAIN`` asks for."""
    number, _, genesis = chain.partition(":")
    return chain, f"{number}:" if genesis else f"{number}:*"


@dataclass(frozen=True)
class Attempt:
    """One signed transaction. ``fields`` are what was signed, for another with a higher fee."""

    hash: str
    nonce: int
    raw: bytes
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Intent:
    """What somebody wanted. ``key``: the same for the same wish; ``note``: the sender's own. Newest attempt last."""

    number: int
    purpose: str
    key: str
    note: str
    state: str
    block: int
    created: float
    attempts: tuple[Attempt, ...]

    @property
    def hash(self) -> str:
        """The newest attempt's hash."""
        return self.attempts[-1].hash if self.attempts else "0x"


class TransactionJournal:
    """The journal at ``path``; None keeps it in memory, for a program that ends with its transactions."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._memory: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._turns: dict[str, threading.RLock] = {}
        self.own_claims = _Claims(None)
        if path is None:
            self._memory = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
            self._memory.executescript(_SCHEMA)

    # ----------------------------------------------------------------- writing

    def add(self, chain: str, wallet: str, purpose: str, key: str, note: str) -> int:
        """A new intent's number."""
        with self._database() as db:
            cursor = db.execute(
                "INSERT INTO intents (chain, wallet, purpose, key, note, state, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (chain, wallet, purpose, key, note, SENT, time.time()),
            )
            return int(cursor.lastrowid or 0)

    def add_attempt(self, number: int, attempt: Attempt) -> None:
        """A signed transaction of the intent, which is on disk when this returns.

        INVARIANT: it belongs to the newest intent that it was sent for. A refused transaction that is wanted again is
        the same, byte by byte; an intent without it would find its nonce used, and pay once more.
        """
        row = (attempt.hash, number, attempt.nonce, attempt.raw, json.dumps(dict(attempt.fields)), time.time())
        with self._database() as db:
            db.execute("INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?, ?)", row)

    def set_state(self, number: int, state: str, block: int = 0) -> None:
        """``block``: where it was mined."""
        with self._database() as db:
            db.execute("UPDATE intents SET state = ?, block = max(block, ?) WHERE number = ?", (state, block, number))
            if block:
                db.execute("INSERT OR REPLACE INTO blocks VALUES (?, ?)", (number, time.time()))

    # ----------------------------------------------------------------- reading

    def intent(self, number: int) -> Intent:
        return self._intents("number = ?", number)[0]

    def unfinished(self, chain: str, wallet: str) -> list[Intent]:
        """Intents that may be mined, or are and nobody was told; oldest first."""
        return self._intents(f"{_SAME_CHAIN} AND wallet = ? AND state IN (?, ?)", *_same(chain), wallet, SENT, MINED)

    def latest_block(self, chain: str, wallet: str) -> int:
        """The highest block that was seen of late to hold something; 0 where none was."""
        recent = self._intents(
            f"{_SAME_CHAIN} AND wallet = ? AND state IN (?, ?, ?) AND block > 0"
            " AND coalesce((SELECT seen FROM blocks WHERE intent = number), created) > ?",
            *(*_same(chain), wallet, MINED, TOLD, FAILED, time.time() - TRUSTED_SECONDS),
        )
        return max((intent.block for intent in recent), default=0)

    def last_told(self, chain: str, wallet: str, purpose: str) -> int:
        """Number of the newest intent of a purpose whose end was told; -1 where there is none."""
        with self._database() as db:
            row = db.execute(
                f"SELECT max(number) FROM intents WHERE {_SAME_CHAIN} AND wallet = ? AND purpose = ? AND state = ?",
                (*_same(chain), wallet, purpose, TOLD),
            ).fetchone()
        return -1 if row[0] is None else int(row[0])

    def _intents(self, condition: str, *values: Any) -> list[Intent]:
        with self._database() as db:
            rows = db.execute(
                "SELECT number, purpose, key, note, state, block, created FROM intents "
                f"WHERE {condition} ORDER BY number",
                values,
            ).fetchall()
            found = [(*row, self._attempts(db, row[0])) for row in rows]
        return [Intent(*fields) for fields in found]

    def _attempts(self, db: sqlite3.Connection, number: int) -> tuple[Attempt, ...]:
        found = db.execute(
            "SELECT hash, nonce, raw, fields FROM attempts WHERE intent = ? ORDER BY rowid", (number,)
        ).fetchall()
        return tuple(Attempt(name, nonce, bytes(raw), json.loads(fields)) for name, nonce, raw, fields in found)

    # ------------------------------------------------------------ whose turn it is

    @contextmanager
    def turn(self, chain: str, wallet: str) -> Iterator[None]:
        """One at a time, of all threads and processes, gives this wallet's next nonce away."""
        name = f"{chain.split(':')[0]}-{wallet}"
        with self._lock:
            lock = self._turns.setdefault(name, threading.RLock())
        with lock:
            if self.path is None:
                yield
                return
            descriptor = self._opened(self.path.with_name(f".{self.path.stem}-{name}.lock"))
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    @contextmanager
    def held(self, number: int) -> Iterator[None]:
        """While a live command waits for the intent, no other takes it for a lost one."""
        claims = _claims_of(self)
        claims.take(number)
        try:
            yield
        finally:
            claims.give_back(number)

    def is_held(self, number: int) -> bool:
        """Whether a live command, here or in another process, waits for the intent."""
        return _claims_of(self).is_taken(number)

    # ------------------------------------------------------------------- file

    def _opened(self, path: Path) -> int:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from error

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """One transaction; on disk when the block ends."""
        if self._memory is not None:
            with self._lock:
                yield self._memory
            return
        path = self.path or Path()
        os.close(self._opened(path))
        try:
            db = sqlite3.connect(path, timeout=30, isolation_level="IMMEDIATE")
            try:
                db.execute("PRAGMA synchronous = FULL")
                db.executescript(_SCHEMA)
                with db:
                    yield db
            finally:
                db.close()
        except (sqlite3.Error, ValueError) as error:  # a damaged row may still be one
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> JournalError:
        return JournalError(
            f"the record of sent transactions {self.path} cannot be used: {error}",
            advice="Check the disk and the file's owner. If it is damaged, look at the wallet's latest transactions, "
            "then move the file away.",
        )


class _Claims:
    """Which intents live commands wait for: a set for this process, byte locks of one file for the others."""

    def __init__(self, path: Path | None) -> None:
        self._taken: set[int] = set()
        self._lock = threading.Lock()
        self._descriptor = None if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self, number: int) -> None:
        with self._lock:
            self._taken.add(number)
            if self._descriptor is not None:
                with suppress(OSError):
                    fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)

    def give_back(self, number: int) -> None:
        with self._lock:
            self._taken.discard(number)
            if self._descriptor is not None:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, number)

    def is_taken(self, number: int) -> bool:
        with self._lock:
            if number in self._taken:
                return True
            if self._descriptor is None:
                return False
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except OSError:
                return True
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, number)
            return False


_claims: dict[tuple[str, int], _Claims] = {}
_claims_lock = threading.Lock()


def _claims_of(journal: TransactionJournal) -> _Claims:
    """One object a file and process: closing any descriptor of a file gives all of a process's byte locks back."""
    if journal.path is None:
        return journal.own_claims
    file = journal.path.absolute().with_name(f".{journal.path.stem}.held")
    key = str(file), os.getpid()
    with _claims_lock:
        if key not in _claims:
            _claims[key] = _Claims(file)
        return _claims[key]
