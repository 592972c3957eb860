"""Roots of a model version: one over its weights, one over its op descriptors.

    weights root = RFC 9162 root over  utf8 name || 0x00 || tensor root,  in the program's order
    program root = RFC 9162 root over the program's canonical descriptors

A tensor root binds dtype and shape, so the weights root fixes every byte and its meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nexus_chain.commitments.merkle import MerkleTree, leaf_hash
from nexus_chain.commitments.tensor import commit
from nexus_chain.program.descriptors import Program

if TYPE_CHECKING:
    from torch import Tensor

    from nexus_chain.program.model import IntegerModel


@dataclass(frozen=True)
class ModelCommitment:
    """The two roots of a model version and the tensor roots (name, root) behind the first."""

    program_root: bytes
    weights_root: bytes
    tensor_roots: tuple[tuple[str, bytes], ...]

    @classmethod
    def of(cls, model: IntegerModel) -> ModelCommitment:
        """Hash the whole model: about a second per GB."""
        roots = tuple(tensor_roots(model.program, model.weights))
        return cls(program_root(model.program), weights_root(roots), roots)


def program_root(program: Program) -> bytes:
    """Root over the canonical bytes of every op."""
    return descriptor_tree(program.descriptors()).root()


def descriptor_tree(descriptors: Iterable[bytes]) -> MerkleTree:
    """The tree over canonical op descriptors: of a whole program, that of its root."""
    return MerkleTree(map(leaf_hash, descriptors))


def tensor_roots(program: Program, weights: Mapping[str, Tensor]) -> Iterable[tuple[str, bytes]]:
    """(name, root) of every weight, in the program's order."""
    return ((spec.name, commit(weights[spec.name])) for spec in program.weights)


def weights_root(roots: Iterable[tuple[str, bytes]]) -> bytes:
    """Root over named tensor roots."""
    return weights_tree(roots).root()


def weights_tree(roots: Iterable[tuple[str, bytes]]) -> MerkleTree:
    """The tree behind a weights root; its inclusion proofs tie one tensor to the model version."""
    return MerkleTree(weight_leaf(name, root) for name, root in roots)


def weight_leaf(name: str, root: bytes) -> bytes:
    """Leaf hash of one named tensor."""
    return leaf_hash(name.encode() + b"\x00" + root)
