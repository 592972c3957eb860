"""The explorer's file: every kept event of one deployment, and what was read about it.

A cache of the chain: a file that is damaged, or another deployment's, is made anew. Events are ordered by block and by
their place in it. The newest blocks may be replaced: ``cut`` takes out all that came after a block. Sums that would
take a reading of all events are kept beside them, and follow every ``add`` and ``cut``.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypedDict, Unpack

from nexus_chain.chain.rpc_answers import BlockHead
from nexus_chain.errors import DataFolderError
from node.gateway.explorer.chain_events import MARKET, KeptEvent
from node.gateway.explorer.settled_sums import SUMMED, SettledSums

#: Heads that are remembered: a re-organisation that is deeper has everything read again.
KEPT_HEADS = 256
ALL = ""
"""The node name under which the sums over all nodes stand."""

_SCHEMA = """
CREATE TABLE identity (text TEXT NOT NULL);
CREATE TABLE event (
  block INTEGER NOT NULL, log INTEGER NOT NULL, time INTEGER NOT NULL, contract TEXT NOT NULL, name TEXT NOT NULL,
  tx TEXT NOT NULL, arguments TEXT NOT NULL, session TEXT, node TEXT, version TEXT, game INTEGER, receipt TEXT,
  PRIMARY KEY (block, log));
CREATE INDEX event_name ON event (contract, name, block, log);
CREATE INDEX event_session ON event (session, block, log) WHERE session IS NOT NULL;
CREATE INDEX event_node ON event (node, contract, name, block, log) WHERE node IS NOT NULL;
CREATE INDEX event_version ON event (version, block, log) WHERE version IS NOT NULL;
CREATE INDEX event_game ON event (game, block, log) WHERE game IS NOT NULL;
CREATE INDEX event_receipt ON event (receipt, block, log) WHERE receipt IS NOT NULL;
CREATE TABLE head (block INTEGER PRIMARY KEY, hash BLOB NOT NULL, time INTEGER NOT NULL);
CREATE TABLE settled (node TEXT PRIMARY KEY, lines INTEGER NOT NULL, forfeited INTEGER NOT NULL,
  to_node TEXT NOT NULL, to_vault TEXT NOT NULL, to_user TEXT NOT NULL, returned TEXT NOT NULL,
  to_publisher TEXT NOT NULL, share_returned TEXT NOT NULL);
CREATE TABLE note (kind TEXT NOT NULL, name TEXT NOT NULL, block INTEGER NOT NULL, document TEXT NOT NULL,
  PRIMARY KEY (kind, name));
CREATE TABLE sighting (node TEXT NOT NULL, hour INTEGER NOT NULL, asked INTEGER NOT NULL, answered INTEGER NOT NULL,
  PRIMARY KEY (node, hour));
"""
_FORMAT = "nexus.explorer.v2"
_COLUMNS = "block, log, time, contract, name, tx, arguments, session, node, version, game, receipt"


class WantedEvents(TypedDict, total=False):
    """Values that events have to have."""

    contract: str
    name: str
    session: str
    node: str
    version: str
    game: int
    receipt: str


class ChainArchive:
    """The file at ``path`` for the deployment ``identity``. Any thread may use it. ``close`` it in the end."""

    def __init__(self, path: Path, identity: str) -> None:
        """Raises DataFolderError where the file can be neither used nor made."""
        self._lock = threading.RLock()
        self._identity = f"{_FORMAT} {identity}"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._db = self._opened(path)
        except sqlite3.Error:
            for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
                with suppress(FileNotFoundError):
                    name.unlink()
            try:
                self._db = self._opened(path)
            except sqlite3.Error as error:
                raise DataFolderError(
                    f"{path} cannot be used ({error})", advice="Free some space, or move the file away."
                ) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _opened(self, path: Path) -> sqlite3.Connection:
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            # A power cut may cost the last blocks: they are read again.
            database.execute("PRAGMA synchronous = NORMAL")
            known = database.execute("SELECT name FROM sqlite_master WHERE name = 'identity'").fetchone()
            found = known and database.execute("SELECT text FROM identity").fetchone()
            if known and found != (self._identity,):
                raise sqlite3.DatabaseError("it is another deployment's")
            if not known:
                with _transaction(database):
                    for statement in filter(str.strip, _SCHEMA.split(";")):
                        database.execute(statement)
                    database.execute("INSERT INTO identity VALUES (?)", (self._identity,))
        except BaseException:
            database.close()
            raise
        return database

    # ------------------------------------------------------------------ writing

    def add(self, events: Sequence[KeptEvent], head: BlockHead) -> None:
        """Take in all events up to and with block ``head``, whole or not at all."""
        rows = [
            (
                one.block, one.log_index, one.time, one.contract, one.name, one.transaction,
                json.dumps(one.arguments, separators=(",", ":")), one.session, one.node, one.version, one.game,
                one.receipt,
            )
            for one in events
        ]  # fmt: skip
        with self._lock, _transaction(self._db):
            known = self.head()
            if known is not None and known.number >= head.number:
                return  # another gateway of this home has read it
            self._db.executemany(f"INSERT INTO event ({_COLUMNS}) VALUES ({','.join('?' * 12)})", rows)
            self._count(events, 1)
            self._db.execute("INSERT OR REPLACE INTO head VALUES (?, ?, ?)", (head.number, head.hash, head.timestamp))
            self._db.execute("DELETE FROM head WHERE block <= ?", (self._oldest_head(),))

    def cut(self, block: int) -> None:
        """Forget everything after ``block``; -1: everything."""
        with self._lock, _transaction(self._db):
            for name in SUMMED:
                self._count(list(self.events(after=(block, 1 << 62), contract=MARKET, name=name)), -1)
            for table in ("event", "head", "note"):
                self._db.execute(f"DELETE FROM {table} WHERE block > ?", (block,))

    def note(self, kind: str, name: str, block: int, document: dict[str, Any]) -> None:
        """Keep what was read about ``name`` after ``block``; ``cut`` below that block forgets it."""
        with self._lock:
            text = json.dumps(document, separators=(",", ":"))
            self._db.execute("INSERT OR REPLACE INTO note VALUES (?, ?, ?, ?)", (kind, name, block, text))

    def note_sightings(self, hour: int, seen: Iterable[tuple[str, bool]], keep_hours: int) -> None:
        """Count nodes (address, whether it answered) that were asked in ``hour``; older hours are forgotten."""
        with self._lock, _transaction(self._db):
            self._db.executemany(
                "INSERT INTO sighting VALUES (?, ?, 1, ?) ON CONFLICT (node, hour) DO UPDATE "
                "SET asked = asked + 1, answered = answered + excluded.answered",
                [(node, hour, int(answered)) for node, answered in seen],
            )
            self._db.execute("DELETE FROM sighting WHERE hour <= ?", (hour - keep_hours,))

    def _oldest_head(self) -> int:
        found = self._db.execute("SELECT block FROM head ORDER BY block DESC LIMIT 1 OFFSET ?", (KEPT_HEADS,))
        return int((found.fetchone() or (-1,))[0])

    def _count(self, events: Sequence[KeptEvent], sign: int) -> None:
        for event in events:
            if event.contract != MARKET or event.name not in SUMMED:
                continue
            for node in (ALL, str(event.node)):
                sums = self.settled(node).after(event.name, event.arguments, sign)
                lines = (sums.to_node, sums.to_vault, sums.to_user, sums.returned)
                wei = map(str, (*lines, sums.to_publisher, sums.share_returned))
                row = (node, sums.lines, sums.forfeited, *wei)
                self._db.execute("INSERT OR REPLACE INTO settled VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    # ------------------------------------------------------------------ reading

    def heads(self) -> list[BlockHead]:
        """Heads that were read up to, newest first."""
        with self._lock:
            rows = self._db.execute("SELECT block, hash, time FROM head ORDER BY block DESC").fetchall()
        return [BlockHead(block, hash, time) for block, hash, time in rows]

    def head(self) -> BlockHead | None:
        """The block up to which everything is here; None before the first."""
        with self._lock:
            row = self._db.execute("SELECT block, hash, time FROM head ORDER BY block DESC LIMIT 1").fetchone()
        return BlockHead(*row) if row else None

    def events(
        self,
        *,
        after: tuple[int, int] | None = None,
        before: tuple[int, int] | None = None,
        newest_first: bool = False,
        limit: int = -1,
        **wanted: Unpack[WantedEvents],
    ) -> Iterator[KeptEvent]:
        """Events in order. ``after``, ``before``: (block, log index), neither of them included.

        ``limit`` -1: all.
        """
        conditions, values = [f"{name} = ?" for name in wanted], list[Any](wanted.values())
        for sign, place in ((">", after), ("<", before)):
            if place is not None:
                conditions.append(f"(block, log) {sign} (?, ?)")
                values += place
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        way = "DESC" if newest_first else "ASC"
        query = f"SELECT {_COLUMNS} FROM event{where} ORDER BY block {way}, log {way} LIMIT ?"
        with self._lock:
            rows = self._db.execute(query, (*values, limit)).fetchall()
        return (_event(row) for row in rows)

    def latest(self, **wanted: Unpack[WantedEvents]) -> KeptEvent | None:
        """The newest event, as of ``events``; None where there is none."""
        return next(self.events(newest_first=True, limit=1, **wanted), None)

    def count(self, contract: str, name: str) -> int:
        """How many events there are of that name."""
        with self._lock:
            query = "SELECT COUNT(*) FROM event WHERE contract = ? AND name = ?"
            return int(self._db.execute(query, (contract, name)).fetchone()[0])

    def noted(self, kind: str, name: str) -> dict[str, Any] | None:
        """What was noted; None where nothing was."""
        with self._lock:
            row = self._db.execute("SELECT document FROM note WHERE kind = ? AND name = ?", (kind, name)).fetchone()
        return json.loads(row[0]) if row else None

    def settled(self, node: str = ALL) -> SettledSums:
        """Sums over the settled lines of a node, or of all."""
        with self._lock:
            row = self._db.execute("SELECT * FROM settled WHERE node = ?", (node,)).fetchone()
        return SettledSums(*map(int, row[1:])) if row else SettledSums()

    def sightings(self, node: str) -> tuple[int, int]:
        """How often a node was asked in the hours that are kept, and how often it answered."""
        with self._lock:
            query = "SELECT COALESCE(SUM(asked), 0), COALESCE(SUM(answered), 0) FROM sighting WHERE node = ?"
            asked, answered = self._db.execute(query, (node,)).fetchone()
        return int(asked), int(answered)


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _event(row: Sequence[Any]) -> KeptEvent:
    block, log, time, contract, name, tx, arguments, *names = row
    return KeptEvent(block, log, time, contract, name, tx, json.loads(arguments), *names)
