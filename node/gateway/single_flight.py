"""Work that strangers ask for: on few threads of its own, each piece once however many ask for it at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

from node.gateway.errors import UnavailableError
from node.gateway.shared_places import SharedPlace, SharedPlaces

_Made = TypeVar("_Made")

_AGAIN_SECONDS = 1.0


@dataclass(eq=False)
class _Making:
    """A piece that is being made, or waits for a thread; ``askers`` wait for it."""

    work: Future[Any]
    made: asyncio.Future[Any]
    place: SharedPlace
    askers: int = 0


class SingleFlight:
    """Belongs to one event loop; ``close`` it in the end."""

    def __init__(self, name: str, threads: int, places: SharedPlaces) -> None:
        """``name``: of the threads. ``places``: one is held while a piece waits or is made."""
        # Of its own: what strangers ask for takes no thread from answers, nor from what others ask for.
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._places = places
        self._under_way: dict[Hashable, _Making] = {}
        self._is_closed = False

    async def made(self, key: Hashable, holder: str, make: Callable[[], _Made]) -> _Made:
        """What ``make`` makes on a thread; those who ask with the same ``key`` meanwhile share it.

        ``holder``: who asks, as of ``SharedPlaces``. Raises UnavailableError, and what ``make`` raises.
        """
        making = self._under_way.get(key) or self._begin(key, holder, make)
        making.askers += 1
        try:
            return cast(_Made, await asyncio.shield(making.made))
        finally:
            making.askers -= 1
            if not making.askers and making.work.cancel():  # nobody wants it any more, and it had not begun
                self._end(key, making)

    def close(self) -> None:
        """Begin nothing more, and wait for what has begun."""
        self._is_closed = True
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _begin(self, key: Hashable, holder: str, make: Callable[[], Any]) -> _Making:
        if self._is_closed:
            raise UnavailableError("the gateway is stopping", advice="Ask again.", retry_after=_AGAIN_SECONDS)
        place = self._places.take(holder)
        loop = asyncio.get_running_loop()
        making = _Making(self._threads.submit(make), loop.create_future(), place)
        self._under_way[key] = making
        making.work.add_done_callback(partial(self._done, loop, key, making))
        return making

    def _done(self, loop: asyncio.AbstractEventLoop, key: Hashable, making: _Making, work: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(self._end, key, making)

    def _end(self, key: Hashable, making: _Making) -> None:
        """INVARIANT: a place is held as long as its piece waits or is made, whoever has left meanwhile."""
        making.place.give_back()
        if self._under_way.get(key) is making:
            del self._under_way[key]
        if making.made.done():
            return
        if making.work.cancelled():
            making.made.cancel()
        elif (error := making.work.exception()) is not None:
            making.made.set_exception(error)
            making.made.exception()  # seen, also where all who asked have left
        else:
            making.made.set_result(making.work.result())
