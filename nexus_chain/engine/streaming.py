"""An engine for shards larger than the memory they may take: one layer after the other, from disk.

Every layer is an engine of its own, so the bits are those of any other split. While a layer runs, a background thread
fetches the weights of the next layer and gives back those of the layer before. :mod:`stream_plan` says which. A whole
batch goes through a layer before the next layer is read, so that its sequences share the disk's work. Knows pages only
through :class:`WeightPages`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from nexus_chain.engine.backends import Backend
from nexus_chain.engine.cache import SegmentState
from nexus_chain.engine.engine import Engine
from nexus_chain.engine.errors import StateMismatchError
from nexus_chain.engine.stream_plan import StreamPlan, plan_streaming
from nexus_chain.program import Program
from nexus_chain.program.sampling import Sampling


class WeightPages(Protocol):
    """The memory behind weights that lie in a file.

    ``margin``: bytes by which the pages in memory may exceed the weights that were asked for.
    """

    @property
    def margin(self) -> int:
        """Does not change."""

    def prefetch(self, names: Collection[str]) -> None:
        """Bring weights into memory; returns when they are there."""

    def release(self, names: Collection[str]) -> None:
        """Give their memory back."""

    def check_unchanged(self) -> None:
        """Raise when the file is no longer the one that was verified."""


@dataclass(eq=False)
class StreamedState:
    """One sequence: the state of each layer that it has reached."""

    prompt_length: int
    sampling: Sampling
    capacity: int
    layers: list[SegmentState] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Positions consumed."""
        return self.layers[0].length

    @property
    def nbytes(self) -> int:
        """Bytes of keys and values held."""
        return sum(layer.nbytes for layer in self.layers)


class StreamedEngine:
    """Layers ``[layer_start, layer_end)`` of a program in at most ``limit`` bytes of weights.

    ``weights`` are looked up when their layer first runs, and stay valid while their pages come and go.
    Activations and the sequences' caches come on top of the limit. Not safe for two threads at once.
    """

    def __init__(
        self,
        program: Program,
        weights: Mapping[str, Tensor],
        pages: WeightPages,
        limit: int,
        layer_start: int = 0,
        layer_end: int | None = None,
        *,
        resident: Collection[str] = (),
        threads: int | None = None,
        backend: Backend = "auto",
    ) -> None:
        """``resident``: names of weights that stay in memory. Other arguments are those of :class:`Engine`.

        Raises :class:`MemoryLimitError` when ``limit`` is too small and :class:`UnknownWeightError`.
        """
        end = program.shape.layers if layer_end is None else layer_end
        self.plan: StreamPlan = plan_streaming(program, layer_start, end, limit, resident, pages.margin)
        self._program, self._weights, self._pages = program, weights, pages
        self.threads: int = threads or torch.get_num_threads()
        self._first, self._backend = layer_start, backend
        self._engines: dict[int, Engine] = {}
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="tile-stream")
        self._fetched: dict[int, Future[None]] = {}

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.plan.streamed)

    def open(self, prompt_length: int, sampling: Sampling, capacity: int) -> StreamedState:
        """As :meth:`Engine.open`; the caches of later layers are allocated when the sequence reaches them."""
        first = self._engine(0).open(prompt_length, sampling, capacity)
        return StreamedState(prompt_length, sampling, capacity, [first])

    def forward(self, batch: Sequence[tuple[StreamedState, Tensor]]) -> list[Tensor]:
        """As :meth:`Engine.forward`. Whatever else it raises leaves the batch's sequences unusable."""
        self._check([state for state, _ in batch])
        states, rows = [state for state, _ in batch], [rows for _, rows in batch]
        try:
            for layer in range(self.depth):
                rows = self._run(layer, states, rows)
        except BaseException:
            self._forget_fetched()
            raise
        return rows

    def rewind(self, state: StreamedState, length: int) -> None:
        """As :meth:`Engine.rewind`."""
        for layer, own in enumerate(state.layers):
            self._engine(layer).rewind(own, length)

    def begin_as(self, state: StreamedState, other: StreamedState, length: int) -> None:
        """As :meth:`Engine.begin_as`."""
        for layer, theirs in enumerate(other.layers):
            engine = self._engine(layer)
            if len(state.layers) == layer:
                state.layers.append(engine.open(state.prompt_length, state.sampling, state.capacity))
            engine.begin_as(state.layers[layer], theirs, length)

    def _run(self, layer: int, states: Sequence[StreamedState], rows: Sequence[Tensor]) -> list[Tensor]:
        self._pages.check_unchanged()
        self._fetch(layer).result()
        if self.plan.depth > 1 and self.depth > 1:
            self._fetch((layer + 1) % self.depth)
        engine = self._engine(layer)
        for state in states:
            if len(state.layers) == layer:
                state.layers.append(engine.open(state.prompt_length, state.sampling, state.capacity))
        found = engine.forward([(state.layers[layer], part) for state, part in zip(states, rows, strict=True)])
        engine.release_buffers()
        self._give_back(layer)
        return found

    def _engine(self, layer: int) -> Engine:
        """The layer's engine; its weights are looked up, and thereby verified, before it exists."""
        if layer not in self._engines:
            number = self._first + layer
            self._engines[layer] = Engine(
                self._program, self._weights, number, number + 1, threads=self.threads, backend=self._backend
            )
        return self._engines[layer]

    def _fetch(self, layer: int) -> Future[None]:
        if layer not in self._fetched:
            self._fetched[layer] = self._worker.submit(self._pages.prefetch, self.plan.streamed[layer])
        return self._fetched[layer]

    def _give_back(self, layer: int) -> None:
        """Release a layer behind the fetch under way: the worker does one thing after the other."""
        self._fetched.pop(layer, None)
        self._worker.submit(self._pages.release, (*self.plan.streamed[layer], *self.plan.gathered[layer]))

    def _forget_fetched(self) -> None:
        for layer in list(self._fetched):
            self._give_back(layer)

    def _check(self, states: Sequence[StreamedState]) -> None:
        for state in states:
            lengths = {layer.length for layer in state.layers}
            whole = len(state.layers) == self.depth or lengths == {0}
            if len(lengths) != 1 or not whole or len(state.layers) > self.depth:
                raise StateMismatchError(
                    "This state belongs to another engine, or a batch with it was interrupted",
                    advice="Open the sequence again and feed all of its rows.",
                )
