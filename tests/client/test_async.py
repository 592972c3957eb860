"""Answers in an event loop: pieces in order, as many threads as allowed, slow readers hold none, cancelled is ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from nexus_chain.client.answer import Answer
from nexus_chain.client.answer_threads import AnswerThreads, AsyncAnswer
from nexus_chain.client.errors import NoSpareError
from nexus_chain.client.purse import AnswerSpending


class ToyAnswer:
    """``count`` pieces, each when ``gate`` has one for it; records what it lived through."""

    def __init__(self, count: int = 10, gate: threading.Semaphore | None = None, fails_at: int | None = None) -> None:
        self.count, self.gate, self.fails_at = count, gate, fails_at
        self.begun, self.stepped, self.ended = threading.Event(), 0, threading.Event()
        self.stopped = threading.Event()
        self.threads: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        self.begun.set()
        try:
            for number in range(self.count):
                if self.gate is not None:
                    self.gate.acquire()
                if self.stopped.is_set():
                    return
                if number == self.fails_at:
                    raise NoSpareError("nobody left", advice="Ask again.")
                self.threads.add(threading.current_thread().name)
                self.stepped += 1
                yield f"{number} "
        finally:
            self.ended.set()

    def cancel(self) -> None:
        self.stopped.set()
        if self.gate is not None:
            self.gate.release()

    @property
    def spending(self) -> tuple[AnswerSpending, ...]:
        return ()

    @property
    def failed_proof(self) -> None:
        return None

    def result(self) -> Answer:
        assert self.ended.is_set()
        return cast(Answer, f"{self.stepped} pieces")


@pytest.fixture
def threads() -> Iterator[AnswerThreads]:
    made = AnswerThreads(4, ahead=8)
    yield made
    made.close()


async def settle() -> None:
    """Let other tasks and threads come to where they wait."""
    for _ in range(20):
        await asyncio.sleep(0.005)


def test_pieces_come_in_order_and_the_result_at_the_end(threads: AnswerThreads) -> None:
    async def read() -> tuple[str, Any, Any]:
        answer = threads.answer(ToyAnswer(50))
        text = "".join([piece async for piece in answer])
        return text, await answer.result(), await threads.answer(ToyAnswer(3))

    text, result, whole = asyncio.run(read())
    assert text == "".join(f"{number} " for number in range(50))
    assert (result, whole) == ("50 pieces", "3 pieces")


def test_a_failure_comes_after_the_pieces_before_it(threads: AnswerThreads) -> None:
    async def read() -> list[str]:
        pieces = threads.answer(ToyAnswer(9, fails_at=2)).__aiter__()
        read = [await anext(pieces), await anext(pieces)]
        with pytest.raises(NoSpareError):
            await anext(pieces)
        return read

    assert asyncio.run(read()) == ["0 ", "1 "]


def test_no_more_threads_than_allowed_and_those_who_wait_take_turns(threads: AnswerThreads) -> None:
    async def read() -> list[ToyAnswer]:
        gate = threading.Semaphore(0)
        answers = [ToyAnswer(1, gate) for _ in range(12)]
        tasks = [asyncio.ensure_future(threads.answer(one)._whole()) for one in answers]
        await settle()
        assert [one.begun.is_set() for one in answers] == [True] * 4 + [False] * 8
        gate.release(12)
        await asyncio.gather(*tasks)
        return answers

    answers = asyncio.run(read())
    assert len({name for one in answers for name in one.threads}) <= 4
    assert all(one.stepped == 1 for one in answers)


def test_a_slow_reader_holds_no_thread_and_no_more_than_its_pieces() -> None:
    threads = AnswerThreads(1, ahead=8)

    async def read() -> None:
        slow, quick = ToyAnswer(100), ToyAnswer(100)
        reading = threads.answer(slow)
        pieces = reading.__aiter__()
        assert await anext(pieces) == "0 "
        await settle()
        assert slow.stepped <= 9  # one was read, and eight wait at most
        assert str(await threads.answer(quick)) == "100 pieces"  # over the only thread
        rest = [piece async for piece in pieces]
        assert len(rest) == 99

    asyncio.run(read())
    threads.close()


def test_an_answer_under_way_goes_before_new_ones() -> None:
    threads = AnswerThreads(1, ahead=2)

    async def read() -> None:
        gate = threading.Semaphore(0)
        begun, blocking, new = ToyAnswer(6), ToyAnswer(1, gate), ToyAnswer(1)
        pieces = threads.answer(begun).__aiter__()
        await anext(pieces)
        await settle()
        waiting = [asyncio.ensure_future(threads.answer(one)._whole()) for one in (blocking, new)]
        await settle()
        assert blocking.begun.is_set()
        await anext(pieces)  # makes room; it has to wait for the thread
        await settle()
        assert begun.stepped == 3
        gate.release()
        await waiting[0]
        await settle()
        assert begun.stepped > 3
        assert [piece async for piece in pieces] == ["2 ", "3 ", "4 ", "5 "]
        await waiting[1]

    asyncio.run(read())
    threads.close()


@pytest.mark.parametrize("pieces", [0, 3])
def test_a_cancelled_task_ends_its_answer(threads: AnswerThreads, pieces: int) -> None:
    async def read() -> tuple[ToyAnswer, AsyncAnswer]:
        gate = threading.Semaphore(pieces)
        toy = ToyAnswer(50, gate)
        answer = threads.answer(toy)
        task = asyncio.ensure_future(answer._whole())
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return toy, answer

    toy, _ = asyncio.run(read())
    assert toy.ended.is_set()
    assert toy.stepped == pieces


def test_one_that_is_cancelled_before_its_turn_never_begins() -> None:
    threads = AnswerThreads(1)

    async def read() -> ToyAnswer:
        gate = threading.Semaphore(0)
        first, second = ToyAnswer(1, gate), ToyAnswer(1)
        tasks = [asyncio.ensure_future(threads.answer(one)._whole()) for one in (first, second)]
        await settle()
        tasks[1].cancel()
        await settle()
        gate.release()
        await tasks[0]
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]
        return second

    assert not asyncio.run(read()).begun.is_set()
    threads.close()


def test_a_reader_who_leaves_ends_its_answer(threads: AnswerThreads) -> None:
    async def read() -> ToyAnswer:
        toy = ToyAnswer(1_000)
        async for piece in threads.answer(toy):
            if piece == "4 ":
                break
        while not toy.ended.is_set():
            await asyncio.sleep(0.001)
        return toy

    toy = asyncio.run(read())
    assert toy.stopped.is_set()
    assert toy.stepped < 20


def test_one_after_the_other_in_several_event_loops(threads: AnswerThreads) -> None:
    async def read() -> Any:
        return await threads.answer(ToyAnswer(5))

    assert [asyncio.run(read()) for _ in range(3)] == ["5 pieces"] * 3
