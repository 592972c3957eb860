"""Continuous batching: any mix of orders gives what each gives alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

from nexus_chain.engine.engine import Engine
from nexus_chain.program.sampling import Sampling
from node.daemon.errors import StoppingError
from node.daemon.serving.scheduler import Scheduler
from node.daemon.serving.stopwatch import Stopwatch
from tests.support.waiting import WAIT, wait_until
from tests.support.workplace import MODEL


class WatchedEngine:
    """A real engine that notes its batches, and can be held or made to fail."""

    def __init__(self, start: int = 0, end: int = 3, threads: int = 1) -> None:
        self.threads = threads
        self.engine = Engine(MODEL.program, MODEL.weights, start, end, threads=1, backend="torch")
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.raises: BaseException | None = None
        self.tickets: threading.Semaphore | None = None  # batches that may be computed

    def open(self, prompt_length: int, sampling: Any = None, capacity: int = 60) -> Any:
        return self.engine.open(prompt_length, Sampling(), capacity)

    def forward(self, batch: Sequence[tuple[Any, Tensor]]) -> list[Tensor]:
        self.entered.set()
        assert self.gate.wait(WAIT)
        self.batches.append([len(rows) for _, rows in batch])
        assert self.tickets is None or self.tickets.acquire(timeout=WAIT)
        if self.raises is not None:
            raise self.raises
        return self.engine.forward(batch)


def tokens(count: int, seed: int) -> Tensor:
    return torch.randint(0, 640, (count,), generator=torch.Generator().manual_seed(seed), dtype=torch.int32)


def alone(rows: Tensor, prompt: int) -> Tensor:
    engine = WatchedEngine()
    return engine.forward([(engine.open(prompt), rows)])[0]


@pytest.fixture(params=[1, 2], ids=["runs where it is called", "has a thread of its own"])
def engine(request: pytest.FixtureRequest) -> WatchedEngine:
    return WatchedEngine(threads=request.param)


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def compute_together(
    engine: WatchedEngine, scheduler: Scheduler, callers: ThreadPoolExecutor, works: list[tuple[Any, Tensor]]
) -> list[Tensor]:
    """Ask while the engine is held, so that all end up in the same rounds."""
    engine.gate.clear()
    engine.entered.clear()
    first = callers.submit(scheduler.compute, engine.open(1), tokens(1, 0))
    assert engine.entered.wait(WAIT)
    futures = []
    for state, rows in works:
        futures.append(callers.submit(scheduler.compute, state, rows))
        wait_until(lambda: len(scheduler._waiting) > len(futures), pause=0.001)
    engine.gate.set()
    first.result(WAIT)
    return [future.result(WAIT) for future in futures]


def test_waiting_orders_share_a_batch_and_get_what_they_get_alone(
    engine: WatchedEngine, callers: ThreadPoolExecutor
) -> None:
    scheduler = Scheduler(engine, Stopwatch())
    lengths = (1, 4, 9)
    works = [(engine.open(length), tokens(length, length)) for length in lengths]
    for output, length in zip(compute_together(engine, scheduler, callers, works), lengths, strict=True):
        assert torch.equal(output, alone(tokens(length, length), length))
    assert engine.batches == [[1], [1, 4, 9]]
    scheduler.stop()


def test_long_prompt_is_cut_into_slices_and_does_not_hold_up_the_others(
    engine: WatchedEngine, callers: ThreadPoolExecutor
) -> None:
    scheduler = Scheduler(engine, Stopwatch(), batch_rows=8)
    works = [(engine.open(30), tokens(30, 1)), (engine.open(2), tokens(2, 2))]
    long, short = compute_together(engine, scheduler, callers, works)
    assert torch.equal(long, alone(tokens(30, 1), 30))
    assert torch.equal(short, alone(tokens(2, 2), 2))
    assert engine.batches == [[1], [2, 6], [8], [8], [8]]
    scheduler.stop()


def test_whoever_is_through_does_not_wait_for_the_long_prompt_beside_it(
    engine: WatchedEngine, callers: ThreadPoolExecutor
) -> None:
    scheduler = Scheduler(engine, Stopwatch(), batch_rows=8)
    engine.gate.clear()
    long = callers.submit(scheduler.compute, engine.open(40), tokens(40, 1))
    assert engine.entered.wait(WAIT)
    short = callers.submit(scheduler.compute, engine.open(2), tokens(2, 2))
    wait_until(lambda: len(scheduler._waiting) == 2, pause=0.001)
    engine.tickets = threading.Semaphore(2)  # the slice that is computed, and the batch with both
    engine.gate.set()
    assert torch.equal(short.result(WAIT), alone(tokens(2, 2), 2))
    assert not long.done()
    engine.tickets.release(100)
    assert torch.equal(long.result(WAIT), alone(tokens(40, 1), 40))
    scheduler.stop()


def test_what_the_engine_raises_reaches_all_in_the_batch_and_leaves_nothing_behind(
    engine: WatchedEngine, callers: ThreadPoolExecutor
) -> None:
    class Panic(BaseException):
        pass

    scheduler = Scheduler(engine, Stopwatch())
    engine.gate.clear()
    engine.raises = Panic()
    futures = [callers.submit(scheduler.compute, engine.open(2), tokens(2, seed)) for seed in range(3)]
    wait_until(lambda: len(scheduler._waiting) == len(futures), pause=0.001)
    engine.gate.set()
    for future in futures:
        with pytest.raises(Panic):
            future.result(WAIT)
    engine.raises = None
    assert torch.equal(scheduler.compute(engine.open(2), tokens(2, 1)), alone(tokens(2, 1), 2))
    assert engine.batches[-1] == [2]
    scheduler.stop()


def test_residual_rows_of_slices_come_back_in_one_piece() -> None:
    engine = WatchedEngine(0, 1)
    scheduler = Scheduler(engine, Stopwatch(), batch_rows=4)
    rows = scheduler.compute(engine.open(10), tokens(10, 3))
    whole = WatchedEngine(0, 1)
    assert torch.equal(rows, whole.forward([(whole.open(10), tokens(10, 3))])[0])
    scheduler.stop()


def test_rows_that_must_stay_together_do(engine: WatchedEngine, callers: ThreadPoolExecutor) -> None:
    scheduler = Scheduler(engine, Stopwatch(), batch_rows=8, whole=True)
    works = [(engine.open(length), tokens(length, length)) for length in (30, 2, 5)]
    for output, length in zip(compute_together(engine, scheduler, callers, works), (30, 2, 5), strict=True):
        assert torch.equal(output, alone(tokens(length, length), length))
    assert engine.batches == [[1], [2, 5], [30]]
    scheduler.stop()


def test_failing_batch_fails_its_orders_and_not_the_scheduler(
    engine: WatchedEngine, callers: ThreadPoolExecutor
) -> None:
    scheduler = Scheduler(engine, Stopwatch())
    engine.raises = RuntimeError("broken engine")
    futures = [callers.submit(scheduler.compute, engine.open(2), tokens(2, seed)) for seed in range(4)]
    for future in futures:
        with pytest.raises(RuntimeError, match="broken"):
            future.result(WAIT)
    engine.raises = None
    assert torch.equal(scheduler.compute(engine.open(2), tokens(2, 1)), alone(tokens(2, 1), 2))
    scheduler.stop()


def test_one_thread_at_a_time_has_the_engine(engine: WatchedEngine, callers: ThreadPoolExecutor) -> None:
    scheduler = Scheduler(engine, Stopwatch())
    inside: list[int] = []
    forward = engine.engine.forward

    def watched(batch: Sequence[tuple[Any, Tensor]]) -> list[Tensor]:
        inside.append(1)
        assert sum(inside) == 1
        time.sleep(0.002)
        try:
            return forward(batch)
        finally:
            inside.pop()

    engine.engine.forward = watched  # type: ignore[method-assign]
    futures = [callers.submit(scheduler.compute, engine.open(3), tokens(3, seed)) for seed in range(40)]
    for seed, future in enumerate(futures):
        assert torch.equal(future.result(WAIT), alone(tokens(3, seed), 3))
    scheduler.stop()


def test_stopping_finishes_what_was_taken_and_takes_no_more(engine: WatchedEngine, callers: ThreadPoolExecutor) -> None:
    stopwatch = Stopwatch()
    scheduler = Scheduler(engine, stopwatch)
    engine.gate.clear()
    futures = [callers.submit(scheduler.compute, engine.open(3), tokens(3, seed)) for seed in range(3)]
    wait_until(lambda: len(scheduler._waiting) == len(futures), pause=0.001)
    stopping = callers.submit(scheduler.stop)
    engine.gate.set()
    stopping.result(WAIT)
    assert sum(len(future.result(WAIT)) for future in futures) == 3
    assert stopwatch.forward > 0
    with pytest.raises(StoppingError):
        scheduler.compute(engine.open(1), tokens(1, 1))
