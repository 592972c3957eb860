"""Continuous batching: whoever has the engine runs it for all orders.

Whatever is waiting goes into the next batch. The shortest pieces come first: an order that decodes has one row. Slices
of prompts fill what is left of the row budget, so that a long prompt never holds up the others. Programs are exact, so
batches and slices change no result. Only an encoder's prompts cannot be sliced. Knows no orders.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from node.daemon.errors import StoppingError
from node.daemon.serving.stopwatch import Stopwatch

#: Rows per batch: enough to use the processor well, few enough that a decoding order waits little.
BATCH_ROWS = 512


class SegmentEngine(Protocol):
    """What a node needs of an executor; the state of a sequence is the executor's own business."""

    @property
    def threads(self) -> int:
        """Threads that compute one batch."""

    def open(self, prompt_length: int, sampling: Any, capacity: int) -> Any:
        """A new sequence of at most ``capacity`` positions."""

    def forward(self, batch: Sequence[tuple[Any, Tensor]]) -> list[Tensor]:
        """Rows of several sequences in, their outputs out."""

    def rewind(self, state: Any, length: int) -> None:
        """Let a sequence go on at an earlier position."""

    def begin_as(self, state: Any, other: Any, length: int) -> None:
        """Let a new sequence begin with positions of another that was fed the same rows there.

        Called while another thread computes: it touches nothing but the new sequence, and reads positions that stay.
        """


@dataclass(eq=False)
class _Work:
    """Rows of one sequence on their way through the engine; ``over`` once all are through, or it failed."""

    state: Any
    rows: Tensor
    done: int = 0
    outputs: list[Tensor] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def left(self) -> int:
        return len(self.rows) - self.done

    @property
    def over(self) -> bool:
        return self.error is not None or not self.left

    def result(self) -> Tensor:
        """All outputs; raises what the engine raised."""
        if self.error is not None:
            raise self.error
        return self.outputs[0] if len(self.outputs) == 1 else torch.cat(self.outputs)


class Scheduler:
    """Lends the engine to one thread at a time, which computes for all that wait until its own rows are through.

    A sequence must have at most one ``compute`` in progress.
    """

    def __init__(
        self, engine: SegmentEngine, stopwatch: Stopwatch, batch_rows: int = BATCH_ROWS, *, whole: bool = False
    ) -> None:
        """``whole``: the rows of a ``compute`` go through the engine together, however many they are."""
        self._engine, self._stopwatch, self._batch_rows, self._whole = engine, stopwatch, batch_rows, whole
        self._changed = threading.Condition()
        self._waiting: list[_Work] = []
        self._lent = False  # some thread has the engine
        self._stopping = False
        # An engine of several threads has them wait for whoever calls it: always the same one, then, or every
        # connection would get threads of its own. One of one thread runs where it is called: no hand-over.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine") if engine.threads > 1 else None

    def compute(self, state: Any, rows: Tensor) -> Tensor:
        """Feed ``rows`` to a sequence; their outputs. Raises StoppingError, and what the engine raises."""
        work = _Work(state, rows)
        with self._changed:
            if self._stopping:
                raise StoppingError("the node is shutting down", advice="Continue on another node.")
            self._waiting.append(work)
            if self._thread is not None:
                self._thread.submit(self._finish, work)
                self._changed.wait_for(lambda: work.over)
        self._finish(work)
        return work.result()

    def stop(self) -> None:
        """Take no more, and wait until what was taken is through."""
        with self._changed:
            self._stopping, left = True, list(self._waiting)
        if self._thread is not None:
            self._thread.shutdown()
        for work in left:
            self._finish(work)

    def _finish(self, work: _Work) -> None:
        """Return when ``work`` is over, which somebody else may have seen to, or else this thread does."""
        with self._changed:
            # INVARIANT: who is through goes on at once, however much is left to do for whoever has the engine.
            self._changed.wait_for(lambda: work.over or not self._lent)
            if work.over:
                return
            self._lent = True
        try:
            while not work.over:
                self._compute_batch(self._next_batch())
        finally:
            with self._changed:
                self._lent = False
                self._changed.notify_all()

    def _compute_batch(self, batch: Sequence[tuple[_Work, Tensor]]) -> None:
        try:
            with self._stopwatch.measure("forward"):
                outputs = self._engine.forward([(work.state, rows) for work, rows in batch])
            for (work, rows), output in zip(batch, outputs, strict=True):
                work.outputs.append(output)
                work.done += len(rows)
        except BaseException as error:  # noqa: BLE001 (whatever the engine raises belongs to these orders)
            # A batch that failed may have moved any of its sequences: all have to be rebuilt.
            for work, _ in batch:
                work.error = error
        with self._changed:
            self._waiting = [work for work in self._waiting if not work.over]
            self._changed.notify_all()

    def _next_batch(self) -> list[tuple[_Work, Tensor]]:
        """Slices within the row budget, shortest first."""
        with self._changed:
            waiting = sorted(self._waiting, key=lambda work: work.left)
        batch: list[tuple[_Work, Tensor]] = []
        budget = self._batch_rows
        for work in waiting:
            if self._whole and batch and work.left > budget:
                break
            rows = work.rows if self._whole else work.rows[work.done : work.done + budget]
            batch.append((work, rows))
            budget -= len(rows)
            if budget <= 0:
                break
        return batch
