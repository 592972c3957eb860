"""The engine that serves: a segment of a program over batches of sequences, prefill and decode alike.

It reads the op list and nothing else about the model. Results are integers, so they do not depend on how rows are
batched, chunked or split into segments. Speed alone decides that.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from nexus_chain.engine.backends import Backend, Chosen
from nexus_chain.engine.cache import Batch, SegmentState, open_state
from nexus_chain.engine.errors import (
    ContextExceededError,
    InvalidRowsError,
    KernelUnavailableError,
    StateMismatchError,
)
from nexus_chain.engine.native_executor import KernelWeights, NativeExecutor
from nexus_chain.engine.products import exact_product
from nexus_chain.engine.torch_executor import TorchExecutor
from nexus_chain.program import Op, Program
from nexus_chain.program.model import check_weight_ranges, check_weights
from nexus_chain.program.op_kinds import KINDS
from nexus_chain.program.sampling import Sampling

CHUNK_ROWS = 512  # rows run together: bounds the activations held, and costs no speed

log = logging.getLogger(__name__)


class Engine:
    """Layers ``[layer_start, layer_end)`` of a program.

    ``weights`` holds at least ``program.weights_of(layer_start, layer_end)`` and is used in place
    (memory-mapped tensors stay so). Not safe for two threads at once.
    """

    def __init__(
        self,
        program: Program,
        weights: Mapping[str, Tensor],
        layer_start: int = 0,
        layer_end: int | None = None,
        threads: int | None = None,
        backend: Backend = "auto",
    ) -> None:
        """``threads`` defaults to torch's; ``backend`` "auto" takes the compiled kernels where they work.

        "cuda" copies the weights to the GPU and keeps caches there; rows still come and go in main memory.
        Raises :class:`KernelUnavailableError` for a ``backend`` that this machine does not have, and
        :class:`TensorMismatchError` if a weight is missing, of another type or shape, or out of range.
        """
        end = program.shape.layers if layer_end is None else layer_end
        specs = program.weights_of(layer_start, end)
        self.program = program
        self.ops: tuple[Op, ...] = program.segment(layer_start, end)
        self.is_first = layer_start == 0
        self.is_last = end == program.shape.layers
        self.backend: Chosen = choose_backend(backend)
        self.device = "cuda" if self.backend == "cuda" else "cpu"
        self._weights = {spec.name: weights[spec.name] for spec in specs if spec.name in weights}
        check_weights(specs, self._weights)
        check_weight_ranges(specs, self._weights)
        if self.device != "cpu":
            self._weights = {name: tensor.to(self.device) for name, tensor in self._weights.items()}
        self.threads: int = threads or torch.get_num_threads()
        self._kernel_weights: KernelWeights | None = None
        if self.backend == "native":
            self._kernel_weights = KernelWeights(self.ops, self._weights)
        self._source = program.tensors[program.input_of(layer_start, end)]
        self._output = program.output_of(layer_start, end)
        self._executor = self._build([self._output])

    def open(self, prompt_length: int, sampling: Sampling, capacity: int) -> SegmentState:
        """State of a new sequence with room for ``capacity`` positions, ``prompt_length`` of them given."""
        context = self.program.shape.context
        if not 1 <= prompt_length <= capacity <= context:
            raise ContextExceededError(
                f"A prompt of {prompt_length} tokens in {capacity} positions does not fit a context of {context}",
                advice="Shorten the prompt or ask for fewer tokens.",
            )
        return open_state(self.ops, prompt_length, sampling, capacity, self.device)

    def forward(self, batch: Sequence[tuple[SegmentState, Tensor]]) -> list[Tensor]:
        """Feed rows to sequences; one output per entry, in order.

        Rows are tokens i32[t] in the first segment and the residual i32[t, width] elsewhere. An encoder's sequence
        enters in one call. Outputs are the residual i32[t, width]. In the last segment they are tokens i32[n], one for
        each position that was fed and is not before the end of the prompt. Nothing changes if it raises
        :class:`InvalidRowsError`, :class:`StateMismatchError` or :class:`ContextExceededError`.
        """
        self._check(batch)
        pieces: list[list[Tensor]] = [[] for _ in batch]
        for chunk in _chunks([len(rows) for _, rows in batch], whole=self.program.is_encoder):
            parts = [(batch[number][0], stop - start) for number, start, stop in chunk]
            described = Batch(parts, self.is_last, self.device)
            rows = torch.cat([batch[number][1][start:stop] for number, start, stop in chunk])
            output = self._run(self._executor, rows, described)[self._output]
            counts = [part.sampled if self.is_last else part.count for part in described.sequences]
            for (number, _, _), piece in zip(chunk, torch.split(output, counts), strict=True):
                pieces[number].append(piece)
            described.advance()
        return [self._joined(found) for found in pieces]

    def rewind(self, state: SegmentState, length: int) -> None:
        """Let a sequence go on at position ``length``, as if nothing after it had been fed."""
        if not 0 <= length <= state.length:
            raise StateMismatchError(
                f"A sequence of {state.length} positions cannot go back to {length}", advice="Open a new sequence."
            )
        state.length = length

    def begin_as(self, state: SegmentState, other: SegmentState, length: int) -> None:
        """Let a new sequence begin with the first ``length`` positions of another, which was fed the same rows there.

        It is then as if they had been fed here: what a position keeps depends on nothing after it. Raises
        :class:`StateMismatchError` for a sequence that is not new, and where not all positions are given ones or
        ``other`` has too few.
        """
        given = min(other.length, state.prompt_length - 1)
        if self.program.is_encoder or state.length or not 0 <= length <= given or state.capacity < length:
            raise StateMismatchError(
                f"A sequence cannot begin with {length} positions of another", advice="Feed it all of its rows."
            )
        for mine, theirs in zip(state.caches, other.caches, strict=True):
            mine.begin_as(theirs, length)
        state.length = length

    def evaluate(
        self, rows: Tensor, prompt_length: int, sampling: Sampling, names: Collection[str]
    ) -> dict[str, Tensor]:
        """The tensors ``names`` of one whole sequence run in one go, its own buffers for each."""
        state = self.open(prompt_length, sampling, max(len(rows), prompt_length))
        self._check([(state, rows)])
        described = Batch([(state, len(rows))], self.is_last, self.device)
        return self._run(self._build(names), rows, described)

    def _run(self, executor: NativeExecutor | TorchExecutor, rows: Tensor, batch: Batch) -> dict[str, Tensor]:
        found = executor.run(rows.to(self.device), batch)
        return {name: tensor.cpu() for name, tensor in found.items()}

    def logits(self, tokens: Tensor) -> Tensor:
        """i32[T, vocab] in Q12 after each of the tokens i32[T]; for engines that hold all layers."""
        sampled = next((op for op in self.ops if op.kind == "sample_blocks"), None)
        if sampled is None or not self.is_first:
            raise InvalidRowsError(
                "Logits of tokens need all layers in one engine", advice="Open the engine without a layer range."
            )
        source = sampled.inputs[0]
        return self.evaluate(tokens, 1, Sampling(), [source])[source][:, : sampled.params["vocab"]]

    def release_buffers(self) -> None:
        """Give back the memory that batches left behind: for engines that take turns."""
        if isinstance(self._executor, NativeExecutor):
            self._executor.release()

    def _build(self, keep: Collection[str]) -> NativeExecutor | TorchExecutor:
        if self._kernel_weights is not None:
            return NativeExecutor(self.ops, self._source, self._kernel_weights, keep, self.threads)
        return TorchExecutor(self.ops, self._weights, keep, exact_product(self.device))

    def _joined(self, pieces: list[Tensor]) -> Tensor:
        if pieces:
            return torch.cat(pieces)
        return torch.empty((0,) if self.is_last else (0, self.program.shape.width), dtype=torch.int32)

    def _check(self, batch: Sequence[tuple[SegmentState, Tensor]]) -> None:
        if len({id(state) for state, _ in batch}) != len(batch):
            raise StateMismatchError("A sequence appears twice in one batch", advice="Join its rows first.")
        depth = sum(KINDS[op.kind].cached for op in self.ops)
        for state, rows in batch:
            if len(state.caches) != depth:
                raise StateMismatchError("This state belongs to another engine", advice="Use the one that opened it.")
            wanted = self._source.resolve(len(rows) if rows.ndim else 0, 0)
            if rows.dtype != torch.int32 or tuple(rows.shape) != wanted:
                raise InvalidRowsError(
                    f"This segment takes i32 {list(wanted)}, not {rows.dtype} {list(rows.shape)}",
                    advice="Feed tokens to the first segment and its predecessor's rows to any other.",
                )
            if self.program.is_encoder and state.length:
                raise InvalidRowsError.second_entry(state.length)
            if state.length + len(rows) > state.capacity:
                raise ContextExceededError(
                    f"{len(rows)} rows after {state.length} exceed the {state.capacity} positions opened",
                    advice="Open the sequence with a larger capacity.",
                )


def choose_backend(wanted: Backend) -> Chosen:
    """The compiled kernels if they build and pass their self-test, else torch (unless insisted on)."""
    from nexus_chain.engine.self_test import check_kernels  # builds executors itself

    if wanted == "torch":
        return "torch"
    if wanted == "cuda":
        if not torch.cuda.is_available():
            raise KernelUnavailableError(
                "torch sees no CUDA device here", advice="Use the CPU, or install a CUDA build of torch and its driver."
            )
        return "cuda"
    try:
        check_kernels()
    except KernelUnavailableError as reason:
        if wanted == "native":
            raise
        log.warning("The engine falls back to torch: %s", reason)
        return "torch"
    return "native"


def _chunks(lengths: Sequence[int], *, whole: bool) -> list[list[tuple[int, int, int]]]:
    """Split sequences into groups of at most CHUNK_ROWS rows: lists of (sequence, first row, last row).

    ``whole`` sequences stay in one group, which may be larger for the sake of one of them.
    """
    groups: list[list[tuple[int, int, int]]] = []
    room = 0
    for number, length in enumerate(lengths):
        start = 0
        while start < length:
            if room == 0 or (whole and length > room):
                groups.append([])
                room = max(CHUNK_ROWS, length) if whole else CHUNK_ROWS
            stop = min(length, start + room)
            groups[-1].append((number, start, stop))
            room -= stop - start
            start = stop
    return groups
