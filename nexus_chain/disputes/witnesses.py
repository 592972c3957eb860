"""Builds the witness of one disputed element from a trace that agrees with the node up to there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, lru_cache

from torch import Tensor

from nexus_chain.commitments.merkle import MerkleTree, leaf_hash
from nexus_chain.commitments.tensor import RowLayout, commit, dtype_name, tensor_bytes, tensor_tree
from nexus_chain.commitments.weights import descriptor_tree, tensor_roots, weights_tree
from nexus_chain.disputes.operators import NEEDED, attention
from nexus_chain.disputes.step import Cells, Needed, Step, cell
from nexus_chain.disputes.trace import Trace, trace_tree
from nexus_chain.disputes.trace_layout import SEQUENCE, TraceLayout, TraceTensor
from nexus_chain.disputes.witness_abi import (
    Claim,
    Descriptors,
    Opening,
    ScorePart,
    ScoreWitness,
    Subject,
    Witness,
)
from nexus_chain.program import Program
from nexus_chain.program.dtypes import DTYPE_BYTES

NOTHING = Opening()


class PublishedModel:
    """Openings of a model version's program and weights; hashes each weight at most once."""

    def __init__(
        self, program: Program, weights: Mapping[str, Tensor], roots: tuple[tuple[str, bytes], ...] | None = None
    ) -> None:
        """``roots`` are all weights' (name, root), where they are known already (a shard holds only some)."""
        self.program, self.weights = program, weights
        self._given = roots
        self._tree_of = lru_cache(maxsize=8)(self._weight_tree)

    @cached_property
    def _descriptors(self) -> list[bytes]:
        return self.program.descriptors()

    @cached_property
    def _program_tree(self) -> MerkleTree:
        return descriptor_tree(self._descriptors)

    @cached_property
    def _weights_tree(self) -> MerkleTree:
        return weights_tree(self._given or tensor_roots(self.program, self.weights))

    @property
    def program_root(self) -> bytes:
        return self._program_tree.root()

    @property
    def weights_root(self) -> bytes:
        return self._weights_tree.root()

    def descriptors(self, first: int, count: int = 1) -> Descriptors:
        """Descriptors [first, first + count) with their proof."""
        proof = self._program_tree.range_proof(first, first + count)
        data = tuple(self._descriptors[first : first + count])
        return Descriptors(first, len(self._descriptors), data, tuple(proof))

    def boundary(self, layout: TraceLayout) -> tuple[Descriptors, Descriptors]:
        """Descriptors on both sides of a segment's two ends."""
        first, last = layout.ops[0][0], layout.ops[-1][0]
        start = self.descriptors(first - 1, 2) if layout.start else Descriptors()
        return start, self.descriptors(last, 1 if layout.is_last else 2)

    def open(self, name: str, cells: Cells) -> Opening:
        """Cells of one weight."""
        number = list(self.program.weight_specs).index(name)
        membership = tuple(self._weights_tree.inclusion(number))
        opened = open_cells(self.weights[name], self._tree_of(name), cells)
        return replace(opened, membership=membership, name=name.encode(), weights=len(self.program.weights))

    def _weight_tree(self, name: str) -> MerkleTree:
        return tensor_tree(self.weights[name])


def open_cells(tensor: Tensor, tree: MerkleTree, cells: Cells) -> Opening:
    """The leaves that hold ``cells`` of ``tensor``, with their range proof."""
    start, stop = (at * tensor.element_size() for at in cells)
    size = RowLayout.of(dtype_name(tensor), tuple(tensor.shape)).leaf_bytes
    first, last = start // size, -(-stop // size)
    data = bytes(tensor_bytes(tensor)[first * size : last * size])
    return Opening(first, data, tuple(tree.range_proof(first, last)))


class WitnessBuilder:
    """Witnesses of elements of ``trace``, a node's trace as far as the disputed tensor's inputs go.

    ``roots`` are the tensor roots that the node posted.
    """

    def __init__(self, model: PublishedModel, trace: Trace, roots: list[bytes]) -> None:
        self.model, self.trace, self.layout = model, trace, trace.layout
        self.roots = roots
        self._roots_tree = trace_tree(roots)

    def subject(self) -> Subject:
        """The segment under dispute, as the step verifier sees it."""
        layout, sequence = self.layout, self.trace.sequence
        first_number = list(layout.program.tensors).index(layout.tensors[0].name)
        return Subject(
            self.model.program_root,
            self.model.weights_root,
            sequence.salt,
            self._roots_tree.root(),
            commit(sequence.prompt, sequence.salt),
            sequence.sampling.seed,
            sequence.sampling.beta,
            len(layout.tensors),
            first_number,
            layout.positions,
            layout.prompt_length,
            layout.start,
            layout.end,
            layout.program.shape.layers,
        )

    def claim(self, number: int, leaf: int, data: bytes) -> Claim:
        """The node's leaf ``leaf`` of tensor ``number``, published as ``data``."""
        return Claim(number, leaf, self.roots[number], leaf_hash(data))

    def witness(self, number: int, leaf: int, data: bytes, element: int) -> Witness:
        """Witness of element ``element`` of the published leaf ``data``; for every kind but attention."""
        spec = self.layout.tensor(number)
        if spec.name == SEQUENCE:
            return Witness(data, element, openings=(self._sequence_source(leaf, element),))
        if number == 0:  # no op made it: only its length can be wrong
            return Witness(data, element, self.descriptor(number))
        step = self.step(number, leaf, element)
        return Witness(data, element, self.descriptor(number), self._openings(step, NEEDED[step.op.kind](step)))

    def score_row(self, number: int, leaf: int, element: int) -> attention.ScoreRow:
        """The right score row behind an element of an attention's output."""
        return attention.score_row(self.step(number, leaf, element), self.model.weights)

    def score_root(self, number: int, leaf: int, element: int, posted: tuple[bytes, bytes]) -> bytes:
        """Root of a score row (records, scores) posted for an element, as the game stores it and the node signs it."""
        step = self.step(number, leaf, element)
        return score_tree(*posted, attention.block_ranges(*attention.span(step), step.op.params["block"])).root()

    def score_witness(
        self,
        claimed: tuple[int, int, bytes, int],
        posted: tuple[bytes, bytes],
        wrong: tuple[ScorePart, int],
    ) -> ScoreWitness:
        """``claimed`` is (number, leaf, leaf bytes, element), ``posted`` the node's (records, scores)."""
        number, leaf, data, element = claimed
        step, (part, at), (records, scores) = self.step(number, leaf, element), wrong, posted
        first, last = attention.span(step)
        ranges = attention.block_ranges(first, last, step.op.params["block"])
        tree = score_tree(records, scores, ranges)
        block = at
        if part == ScorePart.SCORE:
            block = next(number for number, (a, b) in enumerate(ranges) if a <= at < b)
        elif part == ScorePart.SUM:
            block = 0
        start, stop = ranges[block]
        needed = {
            ScorePart.SCORE: lambda: attention.needed_for_score(step, at),
            ScorePart.BLOCK: lambda: attention.needed_for_block(step, at),
            ScorePart.SUM: lambda: attention.needed_for_sum(step),
        }[part]()
        no_scores, no_records = part == ScorePart.SUM, part == ScorePart.SCORE
        return ScoreWitness(
            part,
            at,
            data if part == ScorePart.SUM else b"",  # the other statements do not speak of the element
            b"" if no_records else records,
            () if no_records else tuple(tree.inclusion(0)),
            b"" if no_scores else scores[4 * start : 4 * stop],
            () if no_scores else tuple(tree.inclusion(1 + block)),
            self.descriptor(number),
            self._openings(step, needed),
        )

    def descriptor(self, number: int) -> Descriptors:
        """Descriptor of the op that puts out tensor ``number``; of a reader for a later segment's input."""
        spec = self.layout.tensor(number)
        if spec.op_index is not None:
            return self.model.descriptors(spec.op_index)
        if number == 0 and self.layout.start:
            return self.model.descriptors(self.layout.ops[0][0])
        return Descriptors()

    def step(self, number: int, leaf: int, element: int) -> Step:
        """The disputed element by its place in the whole tensor."""
        spec = self.layout.tensor(number)
        return Step(self.layout, spec, self._before(spec, leaf) + element, self.trace.named)

    def _openings(self, step: Step, needed: Needed) -> tuple[Opening, ...]:
        inputs = zip(step.op.inputs, needed.inputs, strict=True)
        names = step.op.weights if needed.chosen is None else needed.chosen
        weights = zip(names, needed.weights, strict=True)
        return (
            *(NOTHING if cells is None else self._open(self.layout.numbers[name], cells) for name, cells in inputs),
            *(NOTHING if cells is None else self.model.open(name, cells) for name, cells in weights),
        )

    def _open(self, number: int, cells: Cells) -> Opening:
        membership = tuple(self._roots_tree.inclusion(number))
        return replace(open_cells(self.trace.tensor(number), self.trace.tree(number), cells), membership=membership)

    def _sequence_source(self, leaf: int, element: int) -> Opening:
        """The prompt, or the sampled tokens, where element ``element`` of the sequence comes from."""
        at, prompt = self._before(self.layout.tensors[-1], leaf) + element, self.trace.sequence.prompt
        if at < len(prompt):
            return open_cells(prompt, tensor_tree(prompt), cell(at))
        return self._open(self.layout.tensors[-2].number, cell(at - len(prompt)))

    @staticmethod
    def _before(spec: TraceTensor, leaf: int) -> int:
        """Elements in the leaves before ``leaf``."""
        return leaf * RowLayout.of(spec.dtype, spec.shape).leaf_bytes // DTYPE_BYTES[spec.dtype]


def score_tree(records: bytes, scores: bytes, ranges: list[tuple[int, int]]) -> MerkleTree:
    """Tree over a posted score row: the records, then each block's scores."""
    return MerkleTree(map(leaf_hash, [records, *(scores[4 * start : 4 * stop] for start, stop in ranges)]))
