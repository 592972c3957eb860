"""A trace whose tensors are all in memory: small ones, and those that somebody else computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from nexus_chain.commitments.merkle import MerkleTree
from nexus_chain.commitments.tensor import commit, tensor_tree
from nexus_chain.disputes.trace import Trace, TracedSequence
from nexus_chain.disputes.trace_layout import TraceLayout


class StoredTrace(Trace):
    """Given tensors, in the layout's order; each is hashed once."""

    def __init__(self, layout: TraceLayout, tensors: list[Tensor], sequence: TracedSequence) -> None:
        self.layout, self.sequence, self.tensors = layout, sequence, list(tensors)
        self._roots: dict[int, bytes] = {}
        self._trees: dict[int, MerkleTree] = {}

    @classmethod
    def of(cls, trace: Trace) -> StoredTrace:
        """Every tensor of a (small) trace, computed now."""
        return cls(trace.layout, list(trace.stream()), trace.sequence)

    def stream(self) -> Iterator[Tensor]:
        return iter(self.tensors)

    def tensor(self, number: int) -> Tensor:
        return self.tensors[self.layout.tensor(number).number]

    def root(self, number: int) -> bytes:
        if number not in self._roots:
            self._roots[number] = commit(self.tensor(number), self.sequence.salt)
        return self._roots[number]

    def tree(self, number: int) -> MerkleTree:
        if number not in self._trees:
            self._trees[number] = tensor_tree(self.tensor(number))
        return self._trees[number]

    def roots(self) -> list[bytes]:
        return [self.root(number) for number in range(len(self.tensors))]

    def replaced(self, changes: Mapping[int, Tensor]) -> StoredTrace:
        """The same trace with some tensors exchanged; the others keep their hashes."""
        tensors = [changes.get(number, tensor) for number, tensor in enumerate(self.tensors)]
        made = StoredTrace(self.layout, tensors, self.sequence)
        made._roots = {number: root for number, root in self._roots.items() if number not in changes}
        made._trees = {number: tree for number, tree in self._trees.items() if number not in changes}
        return made
