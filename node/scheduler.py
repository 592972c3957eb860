"""Continuous batching: one thread runs the engine for all orders.

Whatever is waiting goes into the next batch: the shortest pieces first (orders that decode have
one row), then slices of prompts in what is left of the row budget, so that a long prompt never
holds up the others. Programs are exact, so batches and slices change no result; only an encoder's
prompts cannot be sliced. Knows no orders.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from node.errors import StoppingError
from node.stopwatch import Stopwatch

#: Rows per batch: enough to use the processor well, few enough that a decoding order waits little.
BATCH_ROWS = 512


class SegmentEngine(Protocol):
    """What a node needs of an executor; the state of a sequence is the executor's own business."""

    def open(self, prompt_length: int, sampling: Any, capacity: int) -> Any:
        """A new sequence of at most ``capacity`` positions."""

    def forward(self, batch: Sequence[tuple[Any, Tensor]]) -> list[Tensor]:
        """Rows of several sequences in, their outputs out."""

    def rewind(self, state: Any, length: int) -> None:
        """Let a sequence go on at an earlier position."""


@dataclass(eq=False)
class _Work:
    """Rows of one sequence on their way through the engine."""

    state: Any
    rows: Tensor
    future: Future[Tensor]
    done: int = 0
    outputs: list[Tensor] = field(default_factory=list)

    @property
    def left(self) -> int:
        return len(self.rows) - self.done


class Scheduler:
    """Owns the engine thread. A sequence must have at most one ``submit`` in progress."""

    def __init__(
        self, engine: SegmentEngine, stopwatch: Stopwatch, batch_rows: int = BATCH_ROWS, *, whole: bool = False
    ) -> None:
        """``whole``: the rows of a ``submit`` go through the engine together, however many they are."""
        self._engine, self._stopwatch, self._batch_rows, self._whole = engine, stopwatch, batch_rows, whole
        self._waiting: list[_Work] = []
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def submit(self, state: Any, rows: Tensor) -> Future[Tensor]:
        """Feed ``rows`` to a sequence; the future holds their outputs, or the engine's exception."""
        work = _Work(state, rows, Future())
        with self._wake:
            if self._stopping:
                raise StoppingError("the node is shutting down", advice="Continue on another node.")
            self._waiting.append(work)
            self._wake.notify()
        return work.future

    def stop(self) -> None:
        """Finish what was submitted, then end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                outputs = self._forward([(work.state, rows) for work, rows in batch])
            except Exception as error:  # noqa: BLE001 (whatever the engine raises belongs to these orders)
                self._fail(batch, error)
            else:
                self._deliver(batch, outputs)

    def _forward(self, batch: Sequence[tuple[Any, Tensor]]) -> list[Tensor]:
        with self._stopwatch.measure("forward"):
            return self._engine.forward(batch)

    def _next_batch(self) -> list[tuple[_Work, Tensor]]:
        """Slices within the row budget, shortest first; empty when the scheduler has stopped."""
        with self._wake:
            while not self._waiting and not self._stopping:
                self._wake.wait()
            batch: list[tuple[_Work, Tensor]] = []
            budget = self._batch_rows
            for work in sorted(self._waiting, key=lambda work: work.left):
                if self._whole and batch and work.left > budget:
                    break
                rows = work.rows if self._whole else work.rows[work.done : work.done + budget]
                batch.append((work, rows))
                budget -= len(rows)
                if budget <= 0:
                    break
            return batch

    def _deliver(self, batch: list[tuple[_Work, Tensor]], outputs: list[Tensor]) -> None:
        finished = []
        for (work, rows), output in zip(batch, outputs, strict=True):
            work.done += len(rows)
            work.outputs.append(output)
            if not work.left:
                finished.append(work)
        self._retire(finished)
        for work in finished:
            work.future.set_result(work.outputs[0] if len(work.outputs) == 1 else torch.cat(work.outputs))

    def _fail(self, batch: list[tuple[_Work, Tensor]], error: Exception) -> None:
        """A batch that failed may have moved any of its sequences: all have to be rebuilt."""
        works = [work for work, _ in batch]
        self._retire(works)
        for work in works:
            work.future.set_exception(error)

    def _retire(self, works: list[_Work]) -> None:
        with self._wake:
            self._waiting = [work for work in self._waiting if work not in works]
