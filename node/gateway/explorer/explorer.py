"""The explorer: one follower of the chain, documents made of what it keeps, and a feed of what is new."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nexus_chain.chain.clock import ChainClock
from nexus_chain.errors import NexusError
from node.gateway.event_stream import event as written
from node.gateway.explorer.archive import ChainArchive
from node.gateway.explorer.chain_events import KeptEvent
from node.gateway.explorer.context import ViewContext
from node.gateway.explorer.feed import EventFeed, told_event
from node.gateway.explorer.follower import ChainFollower, ChainNews
from node.gateway.explorer.games import GameReader
from node.gateway.explorer.pages import place_of
from node.gateway.explorer.records import RecordReader
from node.gateway.shared_places import OWN_MACHINE, SharedPlaces
from node.gateway.single_flight import SingleFlight

log = logging.getLogger(__name__)

CHAIN_LOOK_SECONDS = 2.0
"""How often the chain is looked at."""
STATE_SECONDS = 10.0
"""How often listeners are told that nothing is new."""
SIGHTING_SECONDS = 60.0
KEPT_HOURS = 7 * 24
"""Hours over which a node's uptime is told."""
_BEHIND_SECONDS = 0.1
_UNFORESEEN = "the chain could not be read: see the gateway's log"
_MOST_TOLD = 200
_MOST_DOCUMENTS = 512
_MOST_DOCUMENT_BYTES = 64 << 20
_CACHE_SECONDS = 1.0
_LISTENING_TRIES = 3
_DOCUMENT_THREADS = 2
DOCUMENTS_AT_ONCE = 64
"""Documents that are made, or wait for a thread."""
DOCUMENTS_OF_ADDRESS = 16
LONG_AT_ONCE = 128
"""Documents of more than SMALL_BYTES that are being sent: each is in memory."""
LONG_OF_ADDRESS = 16
#: An event's id, and of which reading of the chain it is.
_LAST_EVENT = re.compile(r"(?P<id>[0-9]+-[0-9]+)(?:-(?P<reading>[0-9a-f]{8}))?\Z")


@dataclass(frozen=True)
class Readers:
    """What reads the chain; see each."""

    follower: ChainFollower
    games: GameReader
    records: RecordReader
    clock: ChainClock


class Explorer:
    """``run`` it in the event loop that serves; ``close`` it in the end. Documents are made on any thread."""

    def __init__(self, archive: ChainArchive, readers: Readers, context: ViewContext) -> None:
        self._archive, self._readers, self._context = archive, readers, context
        self.feed = EventFeed()
        self.sending = SharedPlaces(LONG_AT_ONCE, LONG_OF_ADDRESS, "long documents that are being sent", 1.0)
        places = SharedPlaces(DOCUMENTS_AT_ONCE, DOCUMENTS_OF_ADDRESS, "documents that are being made", 1.0)
        self._making = SingleFlight("nexus-documents", _DOCUMENT_THREADS, places)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nexus-explorer")
        self._chain_block = 0
        self._read_up_to: bytes | None = None  # hash of the block
        self._has_untold = False
        # Beside the archive: its lock may be held for seconds, and who asks for this may be the event loop.
        self._head = self._archive.head()
        self._read_at: float | None = None
        self._problem: str | None = "the chain was not read yet"
        self._documents: dict[object, tuple[float, bytes | None]] = {}
        self._revision = self._tellings = 0
        # Another one after each re-organisation and each start: who comes back with an older one may have seen events
        # that are void, and has to ask for everything again.
        self._reading = secrets.token_hex(4)
        self._told = self._sighted = -float("inf")

    # --------------------------------------------------------------- documents

    def state(self) -> dict[str, Any]:
        """How old what is shown is. Times in Unix seconds; ``behind``: more of the chain is there to be read."""
        head, now = self._head, time.time()
        block = None if head is None else head.number
        return {
            "chain_id": self._context.terms["chain_id"],
            "block": block,
            "block_time": None if head is None else head.timestamp,
            "chain_block": self._chain_block,
            "behind": block is None or block < self._chain_block,
            "age_seconds": None if self._read_at is None else round(max(0.0, now - self._read_at), 1),
            "now": self._context.now(),
            "problem": self._problem,
        }

    async def document(
        self, key: object, make: Callable[[ViewContext], dict[str, Any] | None], address: str = OWN_MACHINE
    ) -> bytes | None:
        """What ``make`` makes, as JSON with ``as_of``, for as long as nothing new is known; None where it makes none.

        ``key``: names it. ``address``: of whoever asks, see ``remote_address``. Raises UnavailableError where too much
        is asked at once.
        """
        kept, as_of = self._documents.get(key), self.state()
        if kept is None or time.monotonic() - kept[0] > _CACHE_SECONDS:
            revision = self._revision
            kept = await self._making.made((revision, key), address, lambda: self._made(make))
            if revision == self._revision:  # else it may be of before what is known now, and says so
                self._keep(key, kept)
                as_of = self.state()
        return None if kept[1] is None else b'%s,"as_of":%s}' % (kept[1], json_bytes(as_of))

    def _made(self, make: Callable[[ViewContext], dict[str, Any] | None]) -> tuple[float, bytes | None]:
        """When it was made, and all of it but its end. Written here, as it may be long, and once for all who ask."""
        now, found = time.monotonic(), make(self._context)
        return now, None if found is None else json_bytes(found)[:-1]

    def _keep(self, key: object, made: tuple[float, bytes | None]) -> None:
        # The oldest go first: whoever asks for much that nobody else wants throws out little that others do.
        self._documents.pop(key, None)
        self._documents[key] = made
        size = sum(len(text or b"") for _, text in self._documents.values())
        while len(self._documents) > _MOST_DOCUMENTS or (size > _MOST_DOCUMENT_BYTES and len(self._documents) > 1):
            _, text = self._documents.pop(next(iter(self._documents)))
            size -= len(text or b"")

    # --------------------------------------------------------------- listening

    async def listen(self, last: str | None, address: str = OWN_MACHINE) -> AsyncIterator[bytes]:
        """What a listener is told who has seen events up to the id ``last``, and from then on.

        Raises InvalidRequestError, UnavailableError.
        """
        seen = None if last is None else _last_event(last)
        for _ in range(_LISTENING_TRIES):
            tellings = self._tellings
            first = await self._making.made(("missed", tellings, seen), address, lambda: self._missed(seen))
            if tellings == self._tellings:  # INVARIANT: nothing is told between what was read and listening
                return self.feed.listen(first, address)
        return self.feed.listen(self._reset(), address)

    def _missed(self, seen: tuple[tuple[int, int], str] | None) -> list[bytes]:
        """What a listener is told first, who has seen events up to a place of a reading."""
        if seen is None:
            return [written(self.state(), "state")]
        place, reading = seen
        later = list(self._archive.events(after=place, limit=_MOST_TOLD + 1))
        known = next(self._archive.events(after=(place[0], place[1] - 1), before=(place[0], place[1] + 1)), None)
        if reading != self._reading or known is None or len(later) > _MOST_TOLD:
            return self._reset()
        told = [f"id: {self._id_of(one)}\n".encode() + written(told_event(one), "event") for one in later]
        return [written(self.state(), "state"), *told]

    def _reset(self) -> list[bytes]:
        return [written(self.state(), "state"), written(self.state(), "reset")]

    def _id_of(self, event: KeptEvent) -> str:
        return f"{event.id}-{self._reading}"

    # --------------------------------------------------------------- following

    async def run(self) -> None:
        """Look at the chain until cancelled. No failure ends it: what is known grows old, and says so."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                news, is_new = await loop.run_in_executor(self._thread, self._look)
                self._tell(news, is_new)
            except NexusError as error:
                self._note_problem(error.message)
            except Exception:
                # INVARIANT: a failure that nobody foresaw ends nothing: it is written down once, and tried again.
                if self._problem != _UNFORESEEN:
                    log.exception("The explorer failed")
                self._note_problem(_UNFORESEEN)
            self._tell_state()
            is_reading = self._problem is None and self.state()["behind"]
            await asyncio.sleep(_BEHIND_SECONDS if is_reading else CHAIN_LOOK_SECONDS)

    def close(self) -> None:
        """End listening, and close the archive once nothing reads any more."""
        self.feed.close()
        self._making.close()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._readers.records.close()
        self._archive.close()

    def look(self) -> ChainNews:
        """One look at the chain, in the calling thread. Raises ChainError."""
        return self._look()[0]

    def _look(self) -> tuple[ChainNews, bool]:
        """What the chain says now, and whether anything is known that was not."""
        news: ChainNews | None = None
        try:
            news = self._readers.follower.look()
            self._readers.clock.note(news.chain.timestamp)
            moved = news.replaced or news.head.hash != self._read_up_to
            self._readers.records.read_versions()
            if moved:
                self._read_games(news)
            certified = not news.is_behind and self._readers.records.read_certificates()
        except BaseException:
            self._has_untold |= news is not None  # what it has found will be news to nobody
            self._note_failure()
            raise
        if moved or certified:
            self._note_change()
        self._head, self._chain_block, self._read_up_to = news.head, news.chain.number, news.head.hash
        self._read_at, self._problem = time.time(), None
        self._sight()
        return news, moved or certified

    def _note_change(self) -> None:
        """Nothing that was made before is shown any more."""
        self._revision += 1
        self._documents.clear()

    def _note_failure(self) -> None:
        """INVARIANT: a look that failed may have kept events, and taken some back. Whatever depends on them is looked
        for anew, and documents say up to which block they are.
        """
        self._readers.games.forget()
        self._read_up_to = None
        self._note_change()
        with suppress(sqlite3.Error):
            self._head = self._archive.head()

    def _read_games(self, news: ChainNews) -> None:
        """Games as they stand at the head; while more is to be read, they would be of another block than the events."""
        if news.replaced or news.is_behind:
            self._readers.games.forget()
        if not news.is_behind:
            self._readers.games.read(news.events, news.head)

    def _sight(self) -> None:
        """Note which nodes answer, now and then."""
        if time.monotonic() - self._sighted < SIGHTING_SECONDS:
            return
        self._sighted = time.monotonic()
        seen = [(node, found.online) for node, found in self._context.measured().items()]
        self._archive.note_sightings(int(time.time() // 3600), seen, KEPT_HOURS)

    def _tell(self, news: ChainNews, is_new: bool) -> None:
        self._tellings += 1
        if news.replaced:
            self._reading = secrets.token_hex(4)
        if news.replaced or self._has_untold or len(news.events) > _MOST_TOLD or news.is_behind:
            self._has_untold = False
            self.feed.tell("reset", self.state())
            return
        for event in news.events:
            self.feed.tell("event", told_event(event), self._id_of(event))
        if is_new:
            self._told = -float("inf")

    def _tell_state(self) -> None:
        if time.monotonic() - self._told >= STATE_SECONDS:
            self._told = time.monotonic()
            self.feed.tell("state", self.state())

    def _note_problem(self, said: str) -> None:
        if self._problem != said:
            log.warning("The explorer cannot read the chain: %s", said)
            self._told = -float("inf")
        self._problem = said


def json_bytes(value: object) -> bytes:
    """A JSON value as it is sent."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _last_event(text: str) -> tuple[tuple[int, int], str]:
    """Place of an event, and the reading that its id is of. Raises InvalidRequestError."""
    found = _LAST_EVENT.match(text)
    return place_of(text if found is None else found["id"], "last-event-id"), (found and found["reading"]) or ""
