"""The defender's answers, from its stored input rows alone.

A node keeps what entered its segment and recomputes the rest when somebody asks. Every answer
is checked by the contract against the one before it: roots against the receipt, leaf hashes
against a root, bytes against a leaf hash. Pure: a trace and the question in, the answer out.
"""

from __future__ import annotations

from dataclasses import dataclass

from nexus_chain.commitments.merkle import MerkleTree
from nexus_chain.commitments.tensor import RowLayout, tensor_bytes
from nexus_chain.disputes.errors import WitnessError
from nexus_chain.disputes.trace import Trace, trace_tree

SUBTREE = 2048
"""Leaf hashes that one answer holds; a larger tensor is answered by subtrees of so many leaves."""


@dataclass(frozen=True)
class Disclosure:
    """Hashes or bytes, with the siblings that tie them to the answer before."""

    siblings: tuple[bytes, ...]
    hashes: tuple[bytes, ...] = ()
    data: bytes = b""


def rows(trace: Trace, roots: list[bytes], number: int) -> Disclosure:
    """Answer to a picked tensor: its leaf hashes or, of a large one, the roots of its subtrees."""
    tree = trace.tree(number)
    siblings = tuple(trace_tree(roots).inclusion(number))
    if len(tree) <= SUBTREE:
        return Disclosure(siblings, tuple(tree.leaf(index) for index in range(len(tree))))
    return Disclosure(siblings, tuple(subtree_roots(tree)))


def subtree(trace: Trace, number: int, index: int) -> Disclosure:
    """Answer to a picked subtree: its leaf hashes."""
    tree = trace.tree(number)
    tops = MerkleTree(subtree_roots(tree))
    return Disclosure(tuple(tops.inclusion(index)), tuple(_leaves(tree, index)))


def leaf(trace: Trace, number: int, index: int) -> Disclosure:
    """Answer to a picked leaf: its bytes."""
    spec = trace.layout.tensor(number)
    layout = RowLayout.of(spec.dtype, spec.shape)
    if not 0 <= index < layout.leaves:
        raise WitnessError(f"{spec.name} has {layout.leaves} leaves, no leaf {index}", advice="Pick one of them.")
    data = tensor_bytes(trace.tensor(number))[index * layout.leaf_bytes : (index + 1) * layout.leaf_bytes]
    return Disclosure(tuple(trace.tree(number).inclusion(index)), data=bytes(data))


def _leaves(tree: MerkleTree, index: int) -> list[bytes]:
    return [tree.leaf(number) for number in range(index * SUBTREE, min((index + 1) * SUBTREE, len(tree)))]


def subtree_roots(tree: MerkleTree) -> list[bytes]:
    """Each is the root over :data:`SUBTREE` leaves, the last over fewer: the tree above them is the same tree."""
    return [MerkleTree(_leaves(tree, index)).root() for index in range(-(-len(tree) // SUBTREE))]
