"""Work that strangers ask for: done once for all who ask, on few threads, and no more at once than is foreseen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from node.gateway.errors import NotFoundError, UnavailableError
from node.gateway.shared_places import OWN_MACHINE, SharedPlaces
from node.gateway.single_flight import SingleFlight

pytestmark = pytest.mark.fast

HERE, THERE = "203.0.113.7", "203.0.113.8"


class Work:
    """Documents that are made when the test says so. ``begun``: their names, in order."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.begun: list[str] = []
        self.threads: set[str] = set()

    def make(self, name: str) -> str:
        self.begun.append(name)
        self.threads.add(threading.current_thread().name.rpartition("_")[0])
        assert self.go_on.wait(60)
        return f"document {name}"


class Asking:
    """Asks for ``work``'s documents."""

    def __init__(self, flight: SingleFlight, work: Work) -> None:
        self.flight, self.work = flight, work

    async def ask(self, name: str, address: str = HERE) -> asyncio.Task[str]:
        """Once it has been asked."""
        asked = asyncio.create_task(self.flight.made(name, address, lambda: self.work.make(name)))
        await asyncio.sleep(0)
        return asked

    async def until_begun(self, many: int) -> None:
        """Until so many are being made."""
        while len(self.work.begun) < many:
            await asyncio.sleep(0.001)


@asynccontextmanager
async def asking(most: int = 64, each: int = 16) -> AsyncIterator[Asking]:
    flight, work = flying(most, each), Work()
    try:
        yield Asking(flight, work)
    finally:
        work.go_on.set()
        await asyncio.to_thread(flight.close)


def flying(most: int = 64, each: int = 16) -> SingleFlight:
    return SingleFlight("nexus-documents", 2, SharedPlaces(most, each, "documents", 1.0))


def test_many_who_ask_for_one_document_have_it_made_once() -> None:
    async def work() -> None:
        async with asking(most=1, each=1) as one:
            asked = [await one.ask("a", address) for address in (HERE, THERE, HERE, OWN_MACHINE)]
            one.work.go_on.set()
            assert await asyncio.gather(*asked) == ["document a"] * 4
            assert one.work.begun == ["a"]
            assert one.work.threads == {"nexus-documents"}, "no thread that others share"
            assert await (await one.ask("a")) == "document a"
            assert one.work.begun == ["a", "a"], "it may be another now"

    asyncio.run(work())


def test_what_is_asked_beyond_the_bound_is_refused_and_says_when_to_come_again() -> None:
    async def work() -> None:
        async with asking(most=4, each=3) as one:
            held = [await one.ask(name) for name in "abc"]
            with pytest.raises(UnavailableError, match="your address") as own:
                await (await one.ask("d"))
            held.append(await one.ask("d", THERE))
            with pytest.raises(UnavailableError, match="the gateway has 4") as all_held:
                await (await one.ask("e", THERE))
            assert own.value.retry_after == all_held.value.retry_after == 1.0
            assert len(one.work.begun) <= 2, "two threads"
            one.work.go_on.set()
            assert await asyncio.gather(*held) == [f"document {name}" for name in "abcd"]
            assert await (await one.ask("e")) == "document e"

    asyncio.run(work())


def test_who_leaves_takes_along_what_had_not_begun_and_keeps_no_place() -> None:
    async def work() -> None:
        async with asking(most=3, each=3) as one:
            under_way = [await one.ask(name) for name in "ab"]
            await one.until_begun(2)
            waiting, shared = await one.ask("c"), under_way[0]
            other = await one.ask("a", THERE)
            for task in (waiting, shared):
                task.cancel()
            await asyncio.gather(waiting, shared, return_exceptions=True)
            last = await one.ask("d")  # in the place of c
            with pytest.raises(UnavailableError):
                await (await one.ask("e"))  # a and b are being made, whoever has left
            one.work.go_on.set()
            assert await asyncio.gather(other, under_way[1], last) == ["document a", "document b", "document d"]
            assert sorted(one.work.begun) == ["a", "b", "d"]

    asyncio.run(work())


def test_what_all_have_left_ends_by_itself() -> None:
    async def work() -> None:
        async with asking(most=1, each=1) as one:
            gone = await one.ask("a")
            await one.until_begun(1)
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            joined = await one.ask("a", THERE)  # it is under way still
            one.work.go_on.set()
            assert await joined == "document a"
            assert await (await one.ask("b")) == "document b"

    asyncio.run(work())


def test_a_failure_is_everybodys_and_holds_no_place() -> None:
    def fail() -> str:
        raise NotFoundError("no such thing", advice="Look elsewhere.")

    async def work() -> None:
        async with asking(most=1, each=1) as one:
            asked = [asyncio.create_task(one.flight.made("a", HERE, fail)) for _ in range(2)]
            found = await asyncio.gather(*asked, return_exceptions=True)
            assert [type(error) for error in found] == [NotFoundError] * 2
            one.work.go_on.set()
            assert await (await one.ask("a")) == "document a"

    asyncio.run(work())


def test_what_is_closed_makes_nothing() -> None:
    async def work() -> None:
        flight = flying()
        flight.close()
        with pytest.raises(UnavailableError):
            await flight.made("a", HERE, lambda: 1)

    asyncio.run(work())
