"""Pinning through an IPFS daemon that speaks the Kubo RPC API, and reading blocks from one.

Content always lies in the embedded store first. ``Pinner.pin`` offers it to the daemon. When the daemon is down, the
request waits in an SQLite queue. ``retry`` offers it again; ``nexus model pin`` and every later publication call it.
The daemon computes addresses itself. An address that differs from ours is an error and is never taken over.
"""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ipfshttpclient
from ipfshttpclient import exceptions as ipfs

from nexus_chain.content.block_store import BlockStore, fetch_chunks
from nexus_chain.content.cid import Cid
from nexus_chain.content.errors import BlockMissingError, BlockStoreError, IpfsDaemonError, PinMismatchError

_TIMEOUT_SECONDS = 30
_BASE32 = {"cid-base": "base32"}  # js-ipfs answers in base58 otherwise
_AS_WE_DO = {"pin": True, "raw-leaves": True, "cid-version": 1}
_FIND_TIMEOUT = "2s"  # a daemon looks for a missing block for ever unless told otherwise


class KuboDaemon:
    """A daemon at multiaddress ``address``, such as ``/ip4/127.0.0.1/tcp/5001``."""

    def __init__(self, address: str, timeout: float = _TIMEOUT_SECONDS) -> None:
        self.address = address
        try:
            # Client, not connect(): connect() refuses every daemon newer than 0.7 by its version alone.
            self._client: Any = ipfshttpclient.Client(address, timeout=timeout)
        except (ipfs.Error, ValueError) as error:
            raise IpfsDaemonError(
                f"{address!r} is not a daemon's multiaddress ({error})", advice="Write it like /ip4/127.0.0.1/tcp/5001"
            ) from error

    def add(self, chunks: Iterable[bytes]) -> Cid:
        """Add and pin a file, sent piece by piece; returns the CID that the daemon reports."""
        with self._answers("add"):
            return Cid.parse(str(self._client.add_bytes(chunks, opts={**_AS_WE_DO, **_BASE32})))

    def is_pinned(self, cid: Cid) -> bool:
        """Whether the daemon holds a recursive pin of ``cid``."""
        try:
            with self._answers("pin/ls"):
                return str(cid) in self._client.pin.ls(str(cid), type="recursive", opts=dict(_BASE32))["Keys"]
        except BlockMissingError:
            return False

    def get(self, cid: Cid) -> bytes:
        """A block's bytes, unverified; BlockMissingError where the daemon does not find it."""
        with self._answers("block/get"):
            return bytes(self._client.block.get(str(cid), opts={"timeout": _FIND_TIMEOUT}))

    @contextmanager
    def _answers(self, call: str) -> Iterator[None]:
        try:
            with warnings.catch_warnings():
                # The client of 2021 passes a parameter that urllib3 2 calls obsolete; nothing else is silenced.
                warnings.filterwarnings("ignore", "The 'strict' parameter", FutureWarning)
                yield
        except ipfs.StatusError as error:  # it runs, and says no
            raise BlockMissingError(
                f"the IPFS daemon at {self.address} refused {call} ({error})", advice="Ask another source"
            ) from error
        except ipfs.Error as error:
            raise IpfsDaemonError(
                f"the IPFS daemon at {self.address} does not answer {call} ({error})",
                advice="Start it, or check its address; content stays in the embedded store meanwhile",
            ) from error


@dataclass(frozen=True)
class QueuedPin:
    """A file that still has to be pinned: how often that failed, and why the last time."""

    cid: Cid
    attempts: int
    problem: str


class PinQueue:
    """Pins that wait, in the SQLite file ``path``; survives a kill."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._database() as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS pin "
                "(cid TEXT PRIMARY KEY, attempts INTEGER NOT NULL, problem TEXT NOT NULL)"
            )

    def add(self, cid: Cid) -> None:
        """Queue ``cid``, unless it waits already."""
        with self._database() as database:
            database.execute("INSERT OR IGNORE INTO pin VALUES (?, 0, 'not offered yet')", (str(cid),))

    def note_failure(self, cid: Cid, problem: str) -> None:
        """Queue ``cid``, or count one more failed attempt."""
        with self._database() as database:
            database.execute(
                "INSERT INTO pin VALUES (?, 1, ?) ON CONFLICT (cid) DO UPDATE "
                "SET attempts = attempts + 1, problem = excluded.problem",
                (str(cid), problem),
            )

    def remove(self, cid: Cid) -> None:
        """Forget ``cid``: it is pinned."""
        with self._database() as database:
            database.execute("DELETE FROM pin WHERE cid = ?", (str(cid),))

    def waiting(self) -> list[QueuedPin]:
        """What waits, oldest first."""
        with self._database() as database:
            rows = database.execute("SELECT cid, attempts, problem FROM pin ORDER BY rowid").fetchall()
        return [QueuedPin(Cid.parse(cid), attempts, problem) for cid, attempts, problem in rows]

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=10)) as database, database:
                yield database
        except sqlite3.Error as error:
            raise BlockStoreError(
                f"the pin queue {self._path} cannot be used ({error})",
                advice="Move it away; pins can be asked for again",
            ) from error


class Pinner:
    """Pins files of the embedded store to a daemon, now or later."""

    def __init__(self, store: BlockStore, queue: PinQueue, daemon: KuboDaemon) -> None:
        self._store, self._queue, self._daemon = store, queue, daemon

    def pin(self, cid: Cid) -> bool:
        """Pin the file at ``cid``; False when the daemon is down, and then it waits in the queue.

        Raises BlockMissingError when the store lacks the file and PinMismatchError when the daemon
        computes another address (it chunks differently; its pin would not keep our blocks).
        """
        for _ in fetch_chunks(self._store, cid):
            pass  # read once before anything is sent: what the store lacks is not the daemon's fault
        try:
            reported = self._daemon.add(fetch_chunks(self._store, cid))
        except (IpfsDaemonError, BlockMissingError) as error:
            self._queue.note_failure(cid, error.message)
            return False
        if reported != cid:
            self._queue.note_failure(cid, f"the daemon computed {reported}")
            raise PinMismatchError(
                f"the daemon at {self._daemon.address} stored {reported} instead of {cid}",
                advice="Configure its importer for 256 KiB chunks, 174 links and raw leaves (Kubo's default)",
            )
        self._queue.remove(cid)
        return True

    def pin_all(self, cids: Iterable[Cid]) -> bool:
        """Queue ``cids``, then offer all that waits; False when the daemon did not take every one of ``cids``."""
        wanted = list(cids)
        for cid in wanted:  # before the first is offered, so that a kill forgets none
            self._queue.add(cid)
        return set(self.retry()).issuperset(wanted)

    def retry(self) -> list[Cid]:
        """Offer everything that waits again; returns what is pinned now.

        Stops at a daemon that is down. Content that the daemon addresses differently, or that the store has lost, stays
        queued with its problem and does not hold up the rest.
        """
        pinned = []
        for entry in self._queue.waiting():
            try:
                if not self.pin(entry.cid):
                    break
            except PinMismatchError:
                continue
            except BlockMissingError as error:
                self._queue.note_failure(entry.cid, error.message)
                continue
            pinned.append(entry.cid)
        return pinned
