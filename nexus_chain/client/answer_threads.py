"""Answers for an event loop: a bounded number of threads does the work, and nobody else waits in one.

An answer is worked on in bursts. A burst holds a thread until the answer ends or its reader is ``ahead`` pieces
behind, and goes on when the reader has caught up with half of them: a slow reader holds no thread. Where all threads
are at work, answers that have begun go before those that have not.

Knows no session: an answer is whatever can be iterated, cancelled from another thread, and gives a result.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

from nexus_chain.client.answer import Answer
from nexus_chain.client.purse import AnswerSpending
from nexus_chain.evidence.proof import InferenceProof

ANSWERS_AT_ONCE = 32
"""Answers at work at once."""
AHEAD = 64
"""Pieces of text that are kept for a reader who is slower than the nodes."""


class StoppableAnswer(Protocol):
    """One answer, as ``Session.start`` and ``SessionPool.ask`` give it."""

    def __iter__(self) -> Iterator[str]:
        """Pieces of text; steps may be taken by different threads, one after the other."""

    def cancel(self) -> None:
        """End at the next step, from any thread."""

    def result(self) -> Answer:
        """The answer, once the iteration has ended."""

    @property
    def spending(self) -> Sequence[AnswerSpending]:
        """What it took of its sessions' money; final once the iteration has ended, however it did."""

    @property
    def failed_proof(self) -> InferenceProof | None:
        """What nodes signed of it, where it failed and any did."""


class AnswerThreads:
    """The threads. ``close`` them in the end; event loops may come and go before."""

    def __init__(self, threads: int = ANSWERS_AT_ONCE, ahead: int = AHEAD) -> None:
        """At most ``threads`` answers are worked on at once; ``ahead`` pieces are kept for a slow reader."""
        self.ahead = max(1, ahead)
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="nexus-answer")
        self._lock = threading.Condition()
        self._begun: deque[Callable[[], None]] = deque()
        self._new: deque[Callable[[], None]] = deque()
        self._busy = 0

    def answer(self, answer: StoppableAnswer) -> AsyncAnswer:
        """``answer`` for the event loop that runs now. Nothing is done before it is iterated or awaited."""
        return AsyncAnswer(answer, self, asyncio.get_running_loop())

    def submit(self, burst: Callable[[], None], *, begun: bool) -> None:
        """Work on an answer as soon as a thread is free."""
        with self._lock:
            (self._begun if begun else self._new).append(burst)
            self._dispatch()

    def close(self) -> None:
        """Wait for what is under way, and take nothing else."""
        with self._lock:
            self._lock.wait_for(lambda: not (self._busy or self._begun or self._new))
        self._executor.shutdown(wait=True)

    def _dispatch(self) -> None:
        """Give free threads something to do. With the lock held."""
        while self._busy < self._threads and (self._begun or self._new):
            burst = (self._begun or self._new).popleft()
            self._busy += 1
            self._executor.submit(self._run, burst)

    def _run(self, burst: Callable[[], None]) -> None:
        try:
            burst()
        finally:
            with self._lock:
                self._busy -= 1
                self._dispatch()
                self._lock.notify_all()


class AsyncAnswer:
    """One answer: ``async for`` its text, or ``await`` it whole. When the task is cancelled, so is the answer."""

    def __init__(self, answer: StoppableAnswer, threads: AnswerThreads, loop: asyncio.AbstractEventLoop) -> None:
        self._answer, self._threads, self._loop = answer, threads, loop
        self._steps: Iterator[str] | None = None
        self._pieces: deque[str] = deque()  # touched by the loop's thread alone, as the next three
        self._arrived, self._ended = asyncio.Event(), asyncio.Event()
        self._failure: BaseException | None = None
        self._lock = threading.Lock()
        self._room, self._at_work, self._cancelled = threads.ahead, False, False
        self.tokens = 0
        """Tokens that came, those that gave no text yet included. The loop's thread counts them."""

    async def __aiter__(self) -> AsyncIterator[str]:
        """Pieces of text. A reader who leaves early ends the answer; what was computed is receipted and kept."""
        self._go_on()
        try:
            while (piece := await self._next()) is not None:
                yield piece
        finally:
            if not self._ended.is_set():
                await self.aclose()
        if self._failure is not None:
            raise self._failure

    def __await__(self) -> Generator[object, None, Answer]:
        """The finished answer."""
        return self._whole().__await__()

    async def result(self) -> Answer:
        """The answer, once it has ended; of one that was cancelled, as far as it came."""
        await self._ended.wait()
        return self._answer.result()

    @property
    def spending(self) -> Sequence[AnswerSpending]:
        """What it took of its sessions' money; final once it has ended, also where it failed."""
        return self._answer.spending

    @property
    def failed_proof(self) -> InferenceProof | None:
        """What nodes signed of it, where it failed and any did; once it has ended."""
        return self._answer.failed_proof

    def cancel(self) -> None:
        """End the answer at its next step. Any thread may."""
        with self._lock:
            self._cancelled = True
        self._answer.cancel()
        self._go_on()

    async def aclose(self) -> None:
        """Cancel it, and wait until it has ended."""
        self.cancel()
        await self._ended.wait()

    async def _whole(self) -> Answer:
        async for _ in self:
            pass
        return self._answer.result()

    async def _next(self) -> str | None:
        """The next piece; None at the end."""
        while not self._pieces and not self._ended.is_set():
            self._arrived.clear()
            await self._arrived.wait()
        if not self._pieces:
            return None
        piece = self._pieces.popleft()
        self._make_room()
        return piece

    def _make_room(self) -> None:
        with self._lock:
            self._room += 1
            enough = 2 * self._room >= self._threads.ahead
        if enough:
            self._go_on()

    def _go_on(self) -> None:
        """Have the answer worked on, unless it is."""
        with self._lock:
            if self._at_work or self._ended.is_set():
                return
            self._at_work = True
            begun = self._steps is not None
        self._threads.submit(self._burst, begun=begun)

    def _burst(self) -> None:
        """Steps of the answer, in one of the threads, while its reader keeps up."""
        try:
            self._steps = self._steps or iter(() if self._cancelled else self._answer)
            while self._may_step():
                piece = next(self._steps)
                self._tell(partial(self._take, piece))
        except StopIteration:
            self._tell(partial(self._end, None))
        except BaseException as error:  # noqa: BLE001 (the reader is told, whatever it is)
            self._tell(partial(self._end, error))

    def _may_step(self) -> bool:
        """Whether to take one more step; where not, the answer waits for its reader."""
        with self._lock:
            self._at_work = self._cancelled or self._room > 0
            self._room -= 1 if self._at_work else 0
            return self._at_work

    def _tell(self, news: Callable[[], None]) -> None:
        """Let the loop's thread know; nobody is left to be told where the loop is closed."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(news)

    def _take(self, piece: str) -> None:
        self.tokens += 1
        if piece and not self._cancelled:
            self._pieces.append(piece)
            self._arrived.set()
        else:
            with self._lock:
                self._room += 1  # it takes no place

    def _end(self, failure: BaseException | None) -> None:
        self._failure = None if self._cancelled else failure
        self._ended.set()
        self._arrived.set()
