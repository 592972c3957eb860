"""The write-ahead log of a serving node: its events, and how those of one session are forgotten."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nexus_chain.event_log import EventLog
from node.daemon.ledger.events import (
    Event,
    OrderReceived,
    PredecessorKept,
    ReceiptForgotten,
    ReceiptSigned,
    SessionForgotten,
    SessionObserved,
    VoucherReceived,
)

_FORGET_SESSION = "DELETE FROM event WHERE json_extract(body, '$.session') = ?"
_FORGET_PREDECESSORS = "DELETE FROM event WHERE kind = 'PredecessorKept' AND json_extract(body, '$.order') = ?"
_FORGET_RECEIPTS = (
    "UPDATE event SET kind = 'ReceiptForgotten', body = '{}' "
    "WHERE kind = 'ReceiptSigned' AND json_extract(body, '$.order') = ?"
)
#: Kinds of event that are logged; the others are found out again after a restart.
LOGGED_EVENTS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        SessionObserved,
        OrderReceived,
        VoucherReceived,
        PredecessorKept,
        ReceiptSigned,
        SessionForgotten,
        ReceiptForgotten,
    )
}


class WriteAheadLog(EventLog[Event]):
    """The events of a serving node."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, LOGGED_EVENTS)

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
