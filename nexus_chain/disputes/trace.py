"""The trace of one sequence in one segment, recomputed a layer at a time.

Only one layer's tensors are in memory at once: a segment of a billion weights over 2 048
positions traces in less than a gigabyte beside the weights. Exactness makes the result equal to
what serving produced chunk by chunk, so a node keeps its input rows and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nexus_chain.commitments.merkle import MerkleTree, leaf_hash
from nexus_chain.commitments.tensor import commit, tensor_tree
from nexus_chain.disputes.errors import TraceInputError
from nexus_chain.disputes.trace_layout import SEQUENCE, TraceLayout
from nexus_chain.engine.backends import Backend
from nexus_chain.engine.engine import Engine
from nexus_chain.program import Program
from nexus_chain.program.sampling import Sampling


@dataclass(frozen=True)
class TracedSequence:
    """What fixes a sequence in a segment.

    ``rows`` are the segment's input, tokens i32[T] or the residual i32[T, width]; ``prompt`` i32[P]
    the given tokens; ``salt`` is the order's.
    """

    rows: Tensor
    prompt: Tensor
    sampling: Sampling
    salt: bytes


class Trace:
    """Tensors of a trace by number, recomputed when asked for; the layer asked for last is kept."""

    def __init__(
        self,
        program: Program,
        weights: Mapping[str, Tensor],
        layers: tuple[int, int],
        sequence: TracedSequence,
        backend: Backend = "auto",
    ) -> None:
        self.layout = TraceLayout(program, *layers, len(sequence.rows), len(sequence.prompt))
        source = self.layout.tensors[0]
        if tuple(sequence.rows.shape) != source.shape or sequence.rows.dtype != torch.int32:
            raise TraceInputError(
                f"{source.name} is i32 {list(source.shape)}, not {sequence.rows.dtype} {list(sequence.rows.shape)}",
                advice="Give the rows that entered this segment.",
            )
        self.sequence = sequence
        self._program, self._weights, self._backend = program, weights, backend
        self._layer: int | None = None
        self._found: dict[str, Tensor] = {}
        self._kept_rows: Callable[[int], Tensor | None] = lambda layer: None

    def start_from(self, rows: Callable[[int], Tensor | None]) -> None:
        """Have layers begin with the rows that ``rows`` knows of theirs, instead of running the layers before."""
        self._kept_rows = rows

    def tensor(self, number: int) -> Tensor:
        """Tensor ``number`` of the trace."""
        spec = self.layout.tensor(number)
        if number == 0:
            return self.sequence.rows
        self._load(self.layout.layer_of(number))
        if spec.name == SEQUENCE:
            return self._answer()
        return self._found[spec.name]

    def named(self, name: str) -> Tensor:
        """Tensor ``name``: an input or an output of any op of the segment."""
        return self.tensor(self.layout.numbers[name])

    def root(self, number: int) -> bytes:
        """Salted root of tensor ``number``."""
        return commit(self.tensor(number), self.sequence.salt)

    def tree(self, number: int) -> MerkleTree:
        """Merkle tree over the leaves of tensor ``number``."""
        return tensor_tree(self.tensor(number))

    def roots(self) -> list[bytes]:
        """Root of every tensor, in order."""
        return [commit(tensor, self.sequence.salt) for tensor in self.stream()]

    def stream(self) -> Iterator[Tensor]:
        """Every tensor, in order; each layer is computed once, from its predecessor's rows, and then let go."""
        yield self.sequence.rows
        for tensors in self._layers():
            yield from tensors.values()
        if self.layout.is_last:
            yield self._answer()

    def _layers(self) -> Iterator[dict[str, Tensor]]:
        rows = self.sequence.rows
        for layer in range(self.layout.start, self.layout.end):
            self._layer, self._found = layer, {}  # frees the layer before this one is computed
            self._found = self._run(layer, rows)
            yield self._found
            if layer + 1 < self.layout.end:
                rows = self._found[self._program.output_of(layer, layer + 1)]

    def _load(self, layer: int) -> None:
        if layer == self._layer:
            return
        self._layer, self._found = None, {}
        self._found = self._run(layer, self._rows_into(layer))
        self._layer = layer

    def _rows_into(self, layer: int) -> Tensor:
        """The residual that enters ``layer``, by running the layers before it."""
        if layer == self.layout.start:
            return self.sequence.rows
        if (kept := self._kept_rows(layer)) is not None:
            return kept
        engine = self._engine(self.layout.start, layer)
        state = engine.open(len(self.sequence.prompt), self.sequence.sampling, self._capacity())
        return engine.forward([(state, self.sequence.rows)])[0]

    def _run(self, layer: int, rows: Tensor) -> dict[str, Tensor]:
        engine = self._engine(layer, layer + 1)
        names = [spec.name for op in engine.ops for spec in op.outputs]
        found = engine.evaluate(rows, len(self.sequence.prompt), self.sequence.sampling, names)
        return {name: found[name] for name in names}

    def _engine(self, start: int, end: int) -> Engine:
        return Engine(self._program, self._weights, start, end, backend=self._backend)

    def _capacity(self) -> int:
        return max(len(self.sequence.rows), len(self.sequence.prompt))

    def _answer(self) -> Tensor:
        """The prompt and the tokens that the last op sampled."""
        sampled = self._found[self.layout.tensors[-2].name]
        return torch.cat([self.sequence.prompt, sampled])[: self.layout.positions + 1]


def trace_root(roots: list[bytes]) -> bytes:
    """The root that a game stores: over the tensor roots as leaves."""
    return trace_tree(roots).root()


def trace_tree(roots: list[bytes]) -> MerkleTree:
    """The tree behind :func:`trace_root`, for openings of single tensor roots."""
    return MerkleTree(map(leaf_hash, roots))
