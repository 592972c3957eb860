"""A write-ahead log: every event that changed a program's state, in order, in one SQLite file.

``append`` returns once the disk has the events for good, unless the caller allows a power cut to take the latest.
The state changes after that. Applying the events again gives the state that was lost. The log writes events down by
their class's name and knows nothing of what they mean.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

from nexus_chain.errors import WriteAheadLogError

_SCHEMA = "CREATE TABLE IF NOT EXISTS event (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL)"

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


def encode(event: Any) -> str:
    """An event's fields as JSON; bytes as 0x hex."""
    values = {entry.name: getattr(event, entry.name) for entry in fields(event)}
    shown = {name: "0x" + value.hex() if isinstance(value, bytes) else value for name, value in values.items()}
    return json.dumps(shown, separators=(",", ":"))


def decode(kind: str, body: str, kinds: Mapping[str, type[Any]]) -> Any:
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
