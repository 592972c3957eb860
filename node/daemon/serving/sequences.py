"""Orders in memory: the engine's cache and the growing roots of rows in and out.

A sequence can always be rebuilt from the rows on disk, by one prefill, bit for bit; so memory
holds only the latest ones and a restart needs no more than the rows. Knows no money.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor

from nexus_chain.commitments.tensor import RowTree
from nexus_chain.errors import DataFolderError
from nexus_chain.market.documents import Order
from nexus_chain.program.sampling import Sampling
from node.daemon.errors import BusyError, ModelNotServedError
from node.daemon.ledger.rows import RowStore
from node.daemon.ledger.state import OrderState
from node.daemon.served_model import ServedModel
from node.daemon.serving.scheduler import Scheduler, SegmentEngine
from node.daemon.serving.shared_prompts import NOTHING_SHARED, GivenPrompt, SharedBeginning, longest_beginning

#: How often all of an order is computed again without pay because memory was needed for others.
MOST_REBUILDS = 8

_T = TypeVar("_T")


class ServedSequence:
    """One order's cache and commitments. Used by the thread that holds ``lock``."""

    def __init__(self, known: OrderState, model: ServedModel, engine: SegmentEngine) -> None:
        self.digest = known.digest
        self.order = Order.from_json(known.order)
        # INVARIANT: a node that was given another block would sign what the ordered version does not compute.
        if not model.serves(self.order, known.segment):
            raise ModelNotServedError(
                "this node took the order for another model version or layer range than it serves now",
                advice="Continue on another node.",
            )
        sampling = Sampling(self.order.sampling, self.order.sampling_seed)
        self.lock = threading.Lock()
        self.length = 0
        self.prompt_length = known.prompt_length
        self.state: Any = engine.open(known.prompt_length, sampling, known.limit)
        self._is_last = model.is_last
        self._rows_in = _GrowingRoot(RowTree(model.input_width, self.order.salt))
        self._rows_out = _GrowingRoot(RowTree(None if model.is_last else model.width, self.order.salt))
        self._outputs: list[Tensor] = []
        self.prompt: GivenPrompt | None = None
        """What others may begin with; there once the prompt's first rows are computed."""
        if model.is_last:
            self._rows_out.append(_tokens(known.prompt))

    def record(self, rows: Tensor, outputs: Tensor) -> None:
        """Take over what the engine made of ``rows``."""
        if not self.length:
            given = min(len(rows), self.prompt_length)
            self.prompt = GivenPrompt(
                self.order.session, self.state, rows[:given], outputs[: 0 if self._is_last else given]
            )
        self._rows_in.append(rows)
        self._rows_out.append(outputs)
        self._outputs.append(outputs)
        self.length += len(rows)

    def can_rewind(self, length: int) -> bool:
        """Whether positions from ``length`` on can be dropped: not after a root over them was asked for."""
        return length >= self._rows_in.promised and self._count_out(length) >= self._rows_out.promised

    def rewind(self, length: int, engine: SegmentEngine) -> None:
        """Drop positions from ``length`` on."""
        engine.rewind(self.state, length)
        surplus = self.length - length  # of rows in, and of what they gave: a prompt is never cut
        _cut(self._outputs, surplus)
        self._rows_in.cut(surplus)
        self._rows_out.cut(surplus)
        self.length = length

    def _count_out(self, length: int) -> int:
        """Rows out of ``length`` positions, at the prompt's end or after it; prompt and sampled tokens in the last."""
        return length + 1 if self._is_last else length

    def hash(self) -> None:
        """Hash what was recorded since."""
        self._rows_in.hash()
        self._rows_out.hash()

    def roots(self, to: int) -> tuple[bytes, bytes]:
        """Roots of the rows in and out for positions [0, to); out of the last segment come the prompt and all sampled
        tokens, to + 1."""
        return self._rows_in.root(to), self._rows_out.root(self._count_out(to))

    def first_output(self, start: int) -> int:
        """Position of the first row or token that positions from ``start`` on give."""
        return max(start, self.prompt_length - 1) + 1 if self._is_last else start

    def outputs(self, start: int, stop: int) -> Tensor:
        """What positions [start, stop) gave, once more."""
        self._outputs = _joined(self._outputs)
        if not self._is_last:
            return self._outputs[0][start:stop]
        skipped = self.prompt_length - 1
        return self._outputs[0][max(0, start - skipped) : max(0, stop - skipped)]


class _GrowingRoot:
    """A row tree that hashes appended rows when there is time, and the rest when a root is asked for."""

    def __init__(self, tree: RowTree) -> None:
        self._tree = tree
        self._pending: list[Tensor] = []
        self.promised = 0
        """Rows that roots were asked for: they cannot be taken back."""

    def append(self, rows: Tensor) -> None:
        self._pending.append(rows)

    def cut(self, surplus: int) -> None:
        """Drop the last ``surplus`` rows, which are not ``promised``."""
        hashed = surplus - _cut(self._pending, surplus)
        if hashed:
            self._tree.cut(len(self._tree) - hashed)

    def hash(self) -> None:
        for rows in _joined(self._pending):
            self._tree.append(rows)
        self._pending.clear()

    def root(self, to: int) -> bytes:
        self.hash()
        self.promised = max(self.promised, to)
        return self._tree.root(to)


def _cut(pieces: list[Tensor], surplus: int) -> int:
    """Drop the last ``surplus`` rows, or as many as there are; how many were dropped."""
    left = surplus
    while left and pieces:
        last = pieces.pop()
        count = last.shape[0]
        if count > left:
            pieces.append(last[:-left])
            return surplus
        left -= count
    return surplus - left


def _joined(pieces: list[Tensor]) -> list[Tensor]:
    """All of them as one tensor, or none."""
    return [torch.cat(pieces)] if len(pieces) > 1 else pieces


class SequenceCache:
    """The sequences in memory: at most ``most``, the least recently used go first."""

    def __init__(
        self,
        model: ServedModel,
        engine: SegmentEngine,
        scheduler: Scheduler,
        rows: RowStore,
        most: int,
    ) -> None:
        self._model, self._engine, self._scheduler, self._rows = model, engine, scheduler, rows
        self._most = most
        self._live: OrderedDict[bytes, ServedSequence] = OrderedDict()
        self._rebuilt: dict[bytes, int] = {}  # positions computed again, by order
        self._lock = threading.Lock()

    @contextmanager
    def use(self, known: OrderState) -> Iterator[ServedSequence]:
        """The sequence of an order, for this thread alone; rebuilt from its rows where needed.

        Raises BusyError when every place is taken by an order at work, or this order was rebuilt too often,
        DataFolderError when rows that were receipted are gone, ModelNotServedError.
        """
        sequence = self._locked(known)
        try:
            kept = self._rows.length(known.digest)
            if kept < known.closed:
                raise DataFolderError(
                    f"{known.closed - kept} receipted rows of order 0x{known.digest.hex()} are missing",
                    advice="Restore the folder from a backup.",
                )
            if sequence.length < kept:
                self._count_rebuild(known.digest, kept - sequence.length, kept)
                self.compute(sequence, self._rows.read(known.digest, sequence.length, kept))
            yield sequence
        finally:
            sequence.lock.release()

    def compute(self, sequence: ServedSequence, rows: Tensor) -> Tensor:
        """Feed ``rows`` to the engine and note the result; outputs i32[t, width] or tokens i32[n]."""

        def computed() -> Tensor:
            found = self._beginning(sequence, rows)
            outputs = self._scheduler.compute(sequence.state, rows[found.length :])
            if len(found.outputs):
                outputs = torch.cat([found.outputs, outputs])
            sequence.record(rows, outputs)
            return outputs

        return self._whole(sequence, computed)

    def _beginning(self, sequence: ServedSequence, rows: Tensor) -> SharedBeginning:
        """The longest beginning of a new sequence that another of its session has in memory; the sequence has it then.

        Only of its session: how soon an answer comes tells nothing about other sessions. It does tell those who share
        one, as a gateway's callers do, whether somebody asked with the same beginning lately: see docs/gateway.md.
        """
        if sequence.length or self._model.encoder:
            return NOTHING_SHARED
        with self._lock:
            prompts = [one.prompt for one in reversed(self._live.values()) if one is not sequence]
        found = longest_beginning(sequence.order.session, rows[: sequence.prompt_length - 1], prompts)
        if found.prompt is not None:
            self._engine.begin_as(sequence.state, found.prompt.state, found.length)
        return found

    def roots(self, sequence: ServedSequence, to: int) -> tuple[bytes, bytes]:
        """See ``ServedSequence.roots``."""
        return self._whole(sequence, lambda: sequence.roots(to))

    def hash_ahead(self, order: bytes) -> None:
        """Hash what an order has computed since, before its roots are asked for; nothing if it is not in memory."""
        with self._lock:
            sequence = self._live.get(order)
        if sequence is not None and sequence.lock.acquire(blocking=False):
            try:
                self._whole(sequence, sequence.hash)
            finally:
                sequence.lock.release()

    def _whole(self, sequence: ServedSequence, work: Callable[[], _T]) -> _T:
        """INVARIANT: cache and roots are at one position, or the sequence is dropped: the next use rebuilds it."""
        try:
            return work()
        except BaseException:
            with self._lock:
                if self._live.get(sequence.digest) is sequence:
                    del self._live[sequence.digest]
            raise

    def rewind(self, sequence: ServedSequence, length: int) -> None:
        """Drop positions from ``length`` on of a sequence that ``can_rewind``."""
        self._whole(sequence, lambda: sequence.rewind(length, self._engine))

    def forget(self, order: bytes) -> None:
        """Drop a sequence for good."""
        with self._lock:
            self._live.pop(order, None)
        self._rebuilt.pop(order, None)

    def _count_rebuild(self, order: bytes, positions: int, kept: int) -> None:
        # INVARIANT: nobody pays for rebuilding, so a client that cycles through many orders gets only so much of it.
        rebuilt = self._rebuilt.get(order, 0) + positions
        if rebuilt > MOST_REBUILDS * kept:
            raise BusyError("this node has too little room to keep the order in memory", advice="Use another node.")
        self._rebuilt[order] = rebuilt

    def _locked(self, known: OrderState) -> ServedSequence:
        """The order's sequence, locked; a new one where it is not in memory."""
        while True:
            with self._lock:
                sequence = self._live.get(known.digest)
                if sequence is None:
                    self._make_room()
                    sequence = self._live[known.digest] = ServedSequence(known, self._model, self._engine)
                self._live.move_to_end(known.digest)
            sequence.lock.acquire()
            # Whoever held the lock may have dropped the sequence, or it made room for another.
            if self._live.get(known.digest) is sequence:
                return sequence
            sequence.lock.release()

    def _make_room(self) -> None:
        if len(self._live) < self._most:
            return
        for order, sequence in self._live.items():
            if not sequence.lock.locked():
                del self._live[order]
                return
        raise BusyError(
            f"this node is at work on {self._most} orders, as many as it takes",
            advice="Use another node, or try later.",
        )


def _tokens(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.int32)
