"""The explorer: one follower of the chain, documents made of what it keeps, and a feed of what is new."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from nexus_chain.chain.clock import ChainClock
from nexus_chain.errors import NexusError
from node.gateway.event_stream import event as written
from node.gateway.explorer.archive import ChainArchive
from node.gateway.explorer.context import ViewContext
from node.gateway.explorer.feed import EventFeed, told_event
from node.gateway.explorer.follower import ChainFollower, ChainNews
from node.gateway.explorer.games import GameReader
from node.gateway.explorer.pages import place_of
from node.gateway.explorer.records import RecordReader

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
_CACHE_SECONDS = 1.0


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
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nexus-explorer")
        self._chain_block = 0
        self._read_up_to: bytes | None = None  # hash of the block
        self._has_untold = False
        # Beside the archive: its lock may be held for seconds, and who asks for this may be the event loop.
        self._head = self._archive.head()
        self._read_at: float | None = None
        self._problem: str | None = "the chain was not read yet"
        self._documents: dict[object, tuple[float, dict[str, Any] | None]] = {}
        self._revision = 0
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
        self, key: object, make: Callable[[ViewContext], dict[str, Any] | None]
    ) -> dict[str, Any] | None:
        """What ``make`` makes, for as long as nothing new is known; None where it makes none. ``key``: names it."""
        kept = self._documents.get(key)
        if kept is None or time.monotonic() - kept[0] > _CACHE_SECONDS:
            revision = self._revision
            kept = time.monotonic(), await asyncio.to_thread(make, self._context)
            if len(self._documents) >= _MOST_DOCUMENTS:
                self._documents.clear()
            if revision == self._revision:  # else it may be of before what is known now
                self._documents[key] = kept
        return None if kept[1] is None else {**kept[1], "as_of": self.state()}

    def missed(self, last: str | None) -> list[bytes]:
        """What a listener is told first, who has seen events up to the id ``last``. Raises InvalidRequestError.

        Reads the archive, so it is no work for the event loop.
        """
        found = [written(self.state(), "state")]
        if last is None:
            return found
        place = place_of(last, "last-event-id")
        later = list(self._archive.events(after=place, limit=_MOST_TOLD + 1))
        known = next(self._archive.events(after=(place[0], place[1] - 1), before=(place[0], place[1] + 1)), None)
        if known is None or len(later) > _MOST_TOLD:
            return [*found, written(self.state(), "reset")]
        return found + [f"id: {one.id}\n".encode() + written(told_event(one), "event") for one in later]

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
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._archive.close()

    def look(self) -> ChainNews:
        """One look at the chain, in the calling thread. Raises ChainError."""
        return self._look()[0]

    def _look(self) -> tuple[ChainNews, bool]:
        """What the chain says now, and whether anything is known that was not."""
        news = self._readers.follower.look()
        self._head = news.head
        self._readers.clock.note(news.chain.timestamp)
        moved = news.replaced or news.head.hash != self._read_up_to
        try:
            self._readers.records.read_versions()
            if moved:
                self._read_games(news)
            certified = not news.is_behind and self._readers.records.read_certificates()
        except BaseException:
            # The events are kept, and will be news to nobody: what depends on them has to be looked for anew.
            self._readers.games.forget()
            self._has_untold = True
            raise
        self._read_up_to, self._chain_block = news.head.hash, news.chain.number
        self._read_at, self._problem = time.time(), None
        if moved or certified:
            self._revision += 1
            self._documents.clear()
        self._sight()
        return news, moved or certified

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
        if news.replaced or self._has_untold or len(news.events) > _MOST_TOLD or news.is_behind:
            self._has_untold = False
            self.feed.tell("reset", self.state())
            return
        for event in news.events:
            self.feed.tell("event", told_event(event), event.id)
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
