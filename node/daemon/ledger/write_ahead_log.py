"""The write-ahead log: every event that changed the state, in order, in one SQLite file.

Appending returns after the disk has it for good, except where a power cut may take the latest events; the
state changes after that.
Replaying the log through ``state.transition`` gives the state that was lost. It knows how to
write an event down, not what one means.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

from node.daemon.errors import WriteAheadLogError
from node.daemon.ledger import state
from node.daemon.ledger.state import Event

_SCHEMA = "CREATE TABLE IF NOT EXISTS event (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL)"
_FORGET_SESSION = "DELETE FROM event WHERE json_extract(body, '$.session') = ?"
_FORGET_PREDECESSORS = "DELETE FROM event WHERE kind = 'PredecessorKept' AND json_extract(body, '$.order') = ?"
_FORGET_RECEIPTS = (
    "UPDATE event SET kind = 'ReceiptForgotten', body = '{}' "
    "WHERE kind = 'ReceiptSigned' AND json_extract(body, '$.order') = ?"
)
#: Kinds of event that are logged; the others are found out again after a restart.
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        state.SessionObserved,
        state.OrderReceived,
        state.VoucherReceived,
        state.PredecessorKept,
        state.ReceiptSigned,
        state.SessionForgotten,
        state.ReceiptForgotten,
    )
}


EventT = TypeVar("EventT")


class EventLog(Generic[EventT]):
    """Events of the given ``kinds`` (by class name) in the file ``path``. Not thread-safe: its owner holds a lock."""

    def __init__(self, path: Path, kinds: Mapping[str, type[Any]]) -> None:
        self._path, self._kinds = path, kinds
        try:
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._synced = True
            # Prompts are private: what is forgotten is overwritten, not just marked free.
            self._database.execute("PRAGMA secure_delete=ON")
            self._database.execute(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error

    def append(self, *events: EventT, durable: bool = True) -> None:
        """Write ``events`` down, all or none of them.

        They survive the process once this returns, and a power cut when they are ``durable`` or a later event was.
        """
        rows = [(type(event).__name__, encode(event)) for event in events]
        try:
            self._sync_every_commit(durable)
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany("INSERT INTO event (kind, body) VALUES (?, ?)", rows)
        except sqlite3.DatabaseError as error:
            raise self._unwritable(error) from error

    def _sync_every_commit(self, wanted: bool) -> None:
        """In WAL mode a commit that is synced takes those before it along."""
        if wanted != self._synced:
            self._database.execute(f"PRAGMA synchronous={'FULL' if wanted else 'NORMAL'}")
            self._synced = wanted

    def events(self) -> Iterator[EventT]:
        """Every event in the order of writing. Raises WriteAheadLogError for one it cannot read."""
        try:
            for number, kind, body in self._database.execute("SELECT number, kind, body FROM event ORDER BY number"):
                yield self._decoded(number, kind, body)
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error

    def close(self) -> None:
        """Fold the log into one file and close it."""
        self._database.close()

    def _decoded(self, number: int, kind: str, body: str) -> EventT:
        try:
            found: EventT = decode(kind, body, self._kinds)
            return found
        except (KeyError, ValueError, TypeError) as error:
            raise self._damaged(f"event {number} is not a {kind}") from error

    def _unwritable(self, error: sqlite3.DatabaseError) -> WriteAheadLogError:
        return WriteAheadLogError(
            f"{self._path} could not be written ({error})", advice="Free space on the disk, then start again."
        )

    def _damaged(self, what: str) -> WriteAheadLogError:
        return WriteAheadLogError(f"{self._path} is damaged ({what})", advice="Restore the data folder from a backup.")


class WriteAheadLog(EventLog[Event]):
    """The events of a serving node."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _KINDS)

    def make_room(self) -> None:
        """Write SQLite's log, the file beside the database, once at the length at which it starts anew.

        A commit that makes a file longer waits for its length as well: a third of what a receipt waits for the disk.
        """
        try:
            pages, size = (
                self._database.execute(f"PRAGMA {setting}").fetchone()[0]
                for setting in ("wal_autocheckpoint", "page_size")
            )
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.execute("CREATE TABLE room (bytes BLOB)")
                self._database.execute("INSERT INTO room VALUES (zeroblob(?))", (pages * size,))
                self._database.execute("DROP TABLE room")
            self._database.execute("PRAGMA wal_checkpoint(RESTART)")
        except sqlite3.DatabaseError as error:
            raise self._unwritable(error) from error

    def forget(self, session: bytes, orders: Sequence[bytes]) -> None:
        """Delete what was written about a session and its orders, prompts included; receipts leave their places."""
        names = [("0x" + order.hex(),) for order in orders]
        try:
            self._sync_every_commit(True)
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.execute(_FORGET_SESSION, ("0x" + session.hex(),))
                self._database.executemany(_FORGET_PREDECESSORS, names)
                self._database.executemany(_FORGET_RECEIPTS, names)
            # The log beside the database holds old pages until it is folded in.
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.DatabaseError as error:
            raise self._unwritable(error) from error


def encode(event: Any) -> str:
    """An event's fields as JSON; bytes as 0x hex."""
    values = {entry.name: getattr(event, entry.name) for entry in fields(event)}
    shown = {name: "0x" + value.hex() if isinstance(value, bytes) else value for name, value in values.items()}
    return json.dumps(shown, separators=(",", ":"))


def decode(kind: str, body: str, kinds: Mapping[str, type[Any]] = _KINDS) -> Any:
    """Inverse of ``encode``; KeyError, ValueError or TypeError for anything else."""
    event_type = kinds[kind]
    data = json.loads(body)
    values = {}
    for entry in fields(event_type):
        if entry.name not in data and entry.default is not MISSING:
            continue  # a field that the program did not know when it wrote this
        value = data.pop(entry.name)
        values[entry.name] = bytes.fromhex(value.removeprefix("0x")) if entry.type == "bytes" else value
    if data:
        raise ValueError(f"unknown fields {sorted(data)}")
    return event_type(**values)
