"""What a user must not lose: sessions, orders, tokens, receipts, feeds, vouchers.

One SQLite file in write-ahead mode. Every row is written before what it enables happens: a
session before its transaction is sent, a voucher before it is handed out, a token before it is
shown. So a killed client knows what it promised and keeps the evidence for later disputes.
Documents are kept as the canonical JSON that was signed. Knows no network.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_chain.client.errors import ClientStoreError, SessionStateError
from nexus_chain.client.store_schema import (
    AUDITS,
    EVIDENCE,
    SCHEMA,
    SCHEMA_VERSION,
    SESSION_OPERATORS,
    SESSION_SHARES,
)
from nexus_chain.evidence.order_record import OrderRecord
from nexus_chain.market.documents import AuditOrder, Order, Receipt, TokenFeed, Voucher
from nexus_chain.market.publisher_share import locked_with_share
from nexus_chain.routing.reputation import ReputationBook, TrackRecord

OPENING, OPEN, CLOSED, SETTLED = "opening", "open", "closed", "settled"
"""States of a session as this machine knows them; the chain has the last word."""
RECOVERED = "recovered"
"""Open on the chain, but the vouchers that it promised are not known here: it can only be closed."""
RUNNING, DONE, FAILED = "running", "done", "failed"
"""States of an order."""


@dataclass(frozen=True)
class StoredSession:
    """A session this machine opened; ``id`` and ``model_version`` are 32 bytes, ``expiry`` Unix seconds."""

    id: bytes
    chain_id: int
    market: str
    user: str
    signer: str
    model_version: bytes
    expiry: int
    direct: bool | int  # SQLite has no booleans
    state: str = OPENING
    created: float = 0.0


@dataclass(frozen=True)
class StoredLine:
    """One node's line, wei: ``cap`` locked, ``promised`` by vouchers, ``used`` by what the node computed."""

    node: str
    cap: int
    promised: int = 0
    used: int = 0


@dataclass(frozen=True)
class NodeTrack:
    """What this user had from a node, in chunks: ``signed`` since it last failed to, ``verified`` in all.

    ``failed``: not signed, or signed wrongly. ``invalid``: rows that the program refutes.
    """

    signed: int = 0
    verified: int = 0
    failed: int = 0
    invalid: int = 0


class ClientStore:
    """The client's database at ``path``; created when missing. Raises ClientStoreError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            path.chmod(0o600)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        with self._write() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in filter(str.strip, SCHEMA.split(";")):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise ClientStoreError(
                    f"{self._path} has format {version}, this program reads {SCHEMA_VERSION}",
                    advice="Use the program version that wrote it, or another --home.",
                )
            db.execute(SESSION_OPERATORS)
            db.execute(SESSION_SHARES)
            for statement in filter(str.strip, EVIDENCE.split(";")):
                db.execute(statement)
            db.execute(AUDITS)
        # NORMAL survives a killed process; a power cut may cost the last rows, and then the nodes
        # hold newer vouchers than we remember, which cumulative lines make harmless.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")

    def _unusable(self, error: Exception) -> ClientStoreError:
        return ClientStoreError(
            f"{self._path} cannot be used: {error}",
            advice="Check the disk and the file's owner; if it is damaged, run `nexus session recover`.",
        )

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One transaction; all or nothing. Threads take turns."""
        with self._lock:
            try:
                if self._db.in_transaction:  # of a write that a keypress cut off before its end
                    self._db.execute("ROLLBACK")
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._unusable(error) from error

    def _read(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        with self._lock:
            try:
                return self._db.execute(query, parameters).fetchall()
            except sqlite3.Error as error:
                raise self._unusable(error) from error

    def _named(self, query: str) -> list[dict[str, Any]]:
        with self._lock:
            cursor = self._db.execute(query)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def close(self) -> None:
        """Close the file; the object is of no use afterwards."""
        self._db.close()

    # ---------------------------------------------------------------- sessions

    def add_session(self, record: StoredSession, lines: Sequence[StoredLine], share: int = 0) -> None:
        """Remember a session before its transaction is sent. ``share``: its publisher's, basis points."""
        row = (
            record.id, record.chain_id, record.market, record.user, record.signer,
            record.model_version, record.expiry, int(record.direct), record.state, record.created or time.time(),
        )  # fmt: skip
        with self._write() as db:
            db.execute("INSERT INTO sessions VALUES (?,?,?,?,?,?,?,?,?,?)", row)
            for line in lines:
                db.execute(
                    "INSERT INTO lines (session, node, cap) VALUES (?,?,?)", (record.id, line.node, str(line.cap))
                )
            if share:
                db.execute(_SET_SHARE, (record.id, share))

    def add_recovered(self, record: StoredSession, lines: Sequence[StoredLine], share: int = 0) -> None:
        """Remember a session that the chain has, with what its lines promise and have used at most."""
        self.add_session(record, lines, share)
        with self._write() as db:
            db.executemany(
                "UPDATE lines SET promised = ?, used = ? WHERE session = ? AND node = ?",
                [(str(line.promised), str(line.used), record.id, line.node) for line in lines],
            )

    def name_operators(self, session: bytes, operators: Sequence[str]) -> None:
        """Remember the only nodes that may ever take part in a session."""
        with self._write() as db:
            db.executemany("INSERT OR IGNORE INTO operators VALUES (?,?)", [(session, node) for node in operators])

    def operators(self, session: bytes) -> tuple[str, ...]:
        """The only nodes that may take part in a session; empty: anybody."""
        rows = self._read("SELECT node FROM operators WHERE session = ? ORDER BY node", session)
        return tuple(str(node) for (node,) in rows)

    def set_share(self, session: bytes, basis_points: int) -> None:
        """Remember the publisher's share that a session was opened with."""
        with self._write() as db:
            db.execute(_SET_SHARE, (session, basis_points))

    def share(self, session: bytes) -> int:
        """Basis points that its publisher gets beside what nodes earn in a session; 0: nothing."""
        rows = self._read("SELECT basis_points FROM shares WHERE session = ?", session)
        return int(str(rows[0][0])) if rows else 0

    def locked(self, session: bytes) -> int:
        """Wei that a session locks: the caps of its lines, and the publisher's share of each."""
        return locked_with_share((line.cap for line in self.lines(session).values()), self.share(session))

    def set_session_state(self, session: bytes, state: str) -> None:
        """Move a session to ``state``."""
        with self._write() as db:
            db.execute("UPDATE sessions SET state = ? WHERE id = ?", (state, session))

    def sessions(self) -> list[StoredSession]:
        """All sessions, oldest first."""
        return [StoredSession(**row) for row in self._named("SELECT * FROM sessions ORDER BY created, id")]

    def session(self, session: bytes) -> StoredSession:
        """One session. Raises SessionStateError when this machine did not open it."""
        for record in self.sessions():
            if record.id == session:
                return record
        raise SessionStateError(
            f"session 0x{session.hex()} was not opened on this machine",
            advice="Run `nexus session list`, or use the NEXUS_HOME that opened it.",
        )

    def lines(self, session: bytes) -> dict[str, StoredLine]:
        """The session's lines by node address."""
        rows = self._read("SELECT node, cap, promised, used FROM lines WHERE session = ?", session)
        return {str(node): StoredLine(str(node), *(int(str(wei)) for wei in amounts)) for node, *amounts in rows}

    def set_cap(self, session: bytes, node: str, cap: int) -> None:
        """A node's cap after opening or allotting; makes the line when it is new."""
        with self._write() as db:
            db.execute(
                "INSERT INTO lines (session, node, cap) VALUES (?,?,?) "
                "ON CONFLICT (session, node) DO UPDATE SET cap = excluded.cap",
                (session, node, str(cap)),
            )

    def set_used(self, session: bytes, node: str, used: int) -> None:
        """What the node may bill by now in this session, wei."""
        with self._write() as db:
            db.execute("UPDATE lines SET used = ? WHERE session = ? AND node = ?", (str(used), session, node))

    def add_voucher(self, voucher: Voucher, signature: bytes) -> None:
        """Remember a voucher before anybody else sees it, and what it promises; the last one again changes nothing."""
        with self._write() as db:
            last = db.execute(
                "SELECT number, json FROM vouchers WHERE session = ? ORDER BY number DESC LIMIT 1",
                (voucher.session,),
            ).fetchone() or (0, "")
            if last[1] == voucher.to_json():
                return
            db.execute(
                "INSERT INTO vouchers VALUES (?,?,?,?)", (voucher.session, last[0] + 1, voucher.to_json(), signature)
            )
            for line in voucher.lines:
                db.execute(
                    "UPDATE lines SET promised = ? WHERE session = ? AND node = ?",
                    (str(line.cumulative), voucher.session, line.node),
                )

    def last_voucher(self, session: bytes) -> tuple[Voucher, bytes] | None:
        """The highest voucher signed, or None."""
        rows = self._read(
            "SELECT json, signature FROM vouchers WHERE session = ? ORDER BY number DESC LIMIT 1", session
        )
        return (Voucher.from_json(str(rows[0][0])), _blob(rows[0][1])) if rows else None

    # ------------------------------------------------------------------ orders

    def add_order(self, digest: bytes, order: Order, signature: bytes, prompt: Sequence[int]) -> None:
        """Remember a signed order with its prompt before any node sees it."""
        with self._write() as db:
            db.execute(
                "INSERT INTO orders VALUES (?,?,?,?,?,?,?)",
                (digest, order.session, order.to_json(), signature, len(prompt), RUNNING, time.time()),
            )
            db.executemany("INSERT INTO tokens VALUES (?,?,?)", [(digest, i, t) for i, t in enumerate(prompt)])

    def add_tokens(self, digest: bytes, position: int, tokens: Sequence[int]) -> None:
        """Remember sampled tokens from a position on, before they are shown; those that are known stay."""
        with self._write() as db:
            rows = [(digest, position + offset, token) for offset, token in enumerate(tokens)]
            db.executemany("INSERT OR IGNORE INTO tokens VALUES (?,?,?)", rows)

    def add_receipt(self, receipt: Receipt, signature: bytes) -> None:
        """Remember a checked receipt, and that its node used what it bills; the same one again changes nothing."""
        key = (receipt.order_digest, receipt.node, receipt.segment, receipt.to_position)
        line = "session = (SELECT session FROM orders WHERE digest = ?) AND node = ?"
        with self._write() as db:
            row = (*key, receipt.to_json(), signature)
            if not db.execute("INSERT OR IGNORE INTO receipts VALUES (?,?,?,?,?,?)", row).rowcount:
                return
            db.execute(
                "INSERT INTO tracks (node, signed, verified) VALUES (?,1,1) ON CONFLICT (node) "
                "DO UPDATE SET signed = signed + 1, verified = verified + 1",
                (receipt.node,),
            )
            for (used,) in db.execute(f"SELECT used FROM lines WHERE {line}", key[:2]).fetchall():
                db.execute(f"UPDATE lines SET used = ? WHERE {line}", (str(int(used) + receipt.price), *key[:2]))

    def add_feed(self, feed: TokenFeed, signature: bytes) -> None:
        """Remember a token feed that a node was shown."""
        with self._write() as db:
            db.execute(
                "INSERT OR IGNORE INTO feeds VALUES (?,?,?,?)",
                (feed.order_digest, feed.to_position, feed.to_json(), signature),
            )

    def add_disputed(self, receipt: Receipt, signature: bytes) -> None:
        """Keep a receipt that its node signed and that does not say what happened: evidence, not a bill."""
        with self._write() as db:
            row = (receipt.order_digest, receipt.to_json(), signature)
            db.execute("INSERT OR IGNORE INTO disputed VALUES (?,?,?)", row)

    def add_disagreement(self, digest: bytes, segment: int, position: int, rows: Mapping[str, bytes]) -> None:
        """Keep the rows (int32 little endian) that nodes gave for one position of a segment, which differ."""
        with self._write() as db:
            values = [(digest, segment, position, node, row) for node, row in rows.items()]
            db.executemany("INSERT OR IGNORE INTO disagreements VALUES (?,?,?,?,?)", values)

    def disagreements(self, digest: bytes) -> list[tuple[int, int, str, bytes]]:
        """(segment, position, node, row) of what nodes gave differently for an order."""
        query = "SELECT segment, position, node, row FROM disagreements WHERE order_digest = ? ORDER BY 1, 2, 3"
        return [(int(str(s)), int(str(p)), str(n), _blob(r)) for s, p, n, r in self._read(query, digest)]

    def cut(self, digest: bytes, position: int, receipts: Sequence[Receipt]) -> None:
        """Forget an order's tokens from ``position`` on, which were not shown, and the feeds that cover them.

        ``receipts`` that cover them are evidence from now on, and stay billed.
        """
        with self._write() as db:
            db.execute("DELETE FROM tokens WHERE order_digest = ? AND position >= ?", (digest, position))
            db.execute("DELETE FROM feeds WHERE order_digest = ? AND to_position >= ?", (digest, position))
            for receipt in receipts:
                key = (digest, receipt.node, receipt.segment, receipt.to_position)
                where = "WHERE order_digest = ? AND node = ? AND segment = ? AND to_position = ?"
                db.execute(
                    f"INSERT OR IGNORE INTO disputed SELECT order_digest, json, signature FROM receipts {where}", key
                )
                db.execute(f"DELETE FROM receipts {where}", key)

    # ------------------------------------------------------------------- nodes

    def track(self, node: str) -> NodeTrack:
        """What this user had from a node so far."""
        rows = self._read("SELECT signed, verified, failed, invalid FROM tracks WHERE node = ?", node)
        return NodeTrack(*(int(str(count)) for count in rows[0])) if rows else NodeTrack()

    def tracks(self) -> dict[str, NodeTrack]:
        """The same of all nodes that this user met."""
        rows = self._read("SELECT node, signed, verified, failed, invalid FROM tracks")
        return {str(node): NodeTrack(*(int(str(count)) for count in counts)) for node, *counts in rows}

    def book(self) -> ReputationBook:
        """The same for routing."""
        tracks = self.tracks().items()
        return ReputationBook({node: TrackRecord(one.verified, one.failed, one.invalid) for node, one in tracks})

    def count_failure(self, node: str, *, chunks: int = 1, invalid: bool = False) -> None:
        """A node brought ``chunks`` to nothing, or, ``invalid``, gave rows that the program refutes."""
        column = "invalid" if invalid else "failed"
        with self._write() as db:
            db.execute(
                f"INSERT INTO tracks (node, {column}) VALUES (?,?) "
                f"ON CONFLICT (node) DO UPDATE SET signed = 0, {column} = {column} + ?",
                (node, chunks, chunks),
            )

    # ------------------------------------------------------------------ audits

    def add_audit(self, audit: AuditOrder, signature: bytes) -> None:
        """Remember a signed audit order before its node sees it."""
        with self._write() as db:
            row = (audit.order_digest, audit.to_json(), signature)
            db.execute("INSERT OR IGNORE INTO audits VALUES (?,?,?)", row)

    def finish_order(self, digest: bytes, state: str) -> None:
        """Move an order to DONE or FAILED."""
        with self._write() as db:
            db.execute("UPDATE orders SET state = ? WHERE digest = ?", (state, digest))

    def order_digests(self, session: bytes | None = None, state: str | None = None) -> list[bytes]:
        """Digests of all orders, or of one session's, or of those in one state; oldest first."""
        given = {"session": session, "state": state}
        wanted = {column: value for column, value in given.items() if value is not None}
        where = " AND ".join(f"{column} = ?" for column in wanted) or "TRUE"
        rows = self._read(f"SELECT digest FROM orders WHERE {where} ORDER BY created", *wanted.values())
        return [_blob(row[0]) for row in rows]

    def order(self, digest: bytes) -> OrderRecord:
        """One order with everything that belongs to it. Raises SessionStateError when unknown."""
        rows = self._read("SELECT json, signature, prompt_length, state, created FROM orders WHERE digest = ?", digest)
        if not rows:
            raise SessionStateError(
                f"order 0x{digest.hex()} was not placed from this machine",
                advice="Give an answer file, or use the NEXUS_HOME that asked.",
            )
        json, signature, prompt_length, state, created = rows[0]
        tokens = self._read("SELECT token FROM tokens WHERE order_digest = ? ORDER BY position", digest)
        receipts = self._read(
            "SELECT json, signature FROM receipts WHERE order_digest = ? ORDER BY to_position, segment, rowid", digest
        )
        disputed = self._read("SELECT json, signature FROM disputed WHERE order_digest = ? ORDER BY json", digest)
        audits = self._read("SELECT json, signature FROM audits WHERE order_digest = ?", digest)
        feeds = self._read("SELECT json, signature FROM feeds WHERE order_digest = ? ORDER BY to_position", digest)
        return OrderRecord(
            digest,
            Order.from_json(str(json)),
            _blob(signature),
            int(str(prompt_length)),
            str(state),
            float(str(created)),
            tuple(int(str(row[0])) for row in tokens),
            tuple((Receipt.from_json(str(j)), _blob(s)) for j, s in receipts),
            tuple((TokenFeed.from_json(str(j)), _blob(s)) for j, s in feeds),
            tuple((Receipt.from_json(str(j)), _blob(s)) for j, s in disputed),
            audits=tuple((AuditOrder.from_json(str(j)), _blob(s)) for j, s in audits),
        )


_SET_SHARE = "INSERT OR REPLACE INTO shares VALUES (?,?)"


def _blob(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise ClientStoreError(
            "the client database holds a malformed row",
            advice="Restore it from a backup, or run `nexus session recover`.",
        )
    return value
