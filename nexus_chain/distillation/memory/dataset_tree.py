"""A dataset as lines for trainers, and its Merkle root: one line can be shown to be in it without the others.

A line is the JSON of a chat in the form that trainers read. The leaves of the tree are the lines, in the order of the
examples' hashes, without their line feeds: a dataset has one root, whenever and in whatever order it was saved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from nexus_chain.commitments.merkle import MerkleTree, leaf_hash, verify_inclusion
from nexus_chain.distillation.memory.errors import ExampleError, PersistenceError
from nexus_chain.distillation.memory.example import VerifiedExample
from nexus_chain.staging import write_whole


@dataclass(frozen=True)
class ExportedDataset:
    """A file of ``count`` chat lines; ``sha256`` of its bytes and ``merkle_root`` of its lines are hexadecimal."""

    path: Path
    count: int
    sha256: str
    merkle_root: str


@dataclass(frozen=True)
class InclusionProof:
    """That ``line`` is line ``index`` of ``size`` in the dataset with ``root``; ``siblings`` and root: hexadecimal."""

    line: str
    index: int
    size: int
    siblings: tuple[str, ...]
    root: str

    def verify(self, root: str) -> None:
        """Raise ProofError unless the line is in the dataset with ``root``."""
        path = [bytes.fromhex(sibling) for sibling in self.siblings]
        verify_inclusion(leaf_hash(self.line.encode()), self.index, self.size, path, bytes.fromhex(root))


@dataclass(frozen=True)
class DatasetTree:
    """The tree over a dataset's lines. ``places``: the line of each example, by its hash."""

    tree: MerkleTree
    places: dict[str, int] = field(repr=False)

    @classmethod
    def of(cls, examples: Iterable[VerifiedExample]) -> DatasetTree:
        """The tree of examples in the order of their hashes."""
        tree, places = MerkleTree(), {}
        for example in examples:
            places[example.hash] = len(tree)
            tree.extend([leaf_hash(chat_line(example).encode())])
        return cls(tree, places)

    @property
    def root(self) -> str:
        """Hexadecimal."""
        return self.tree.root().hex()

    def proof(self, example: VerifiedExample) -> InclusionProof:
        """Raises ExampleError for an example that is not in the dataset."""
        line, index = chat_line(example), self.places.get(example.hash)
        if index is None or self.tree.leaf(index) != leaf_hash(line.encode()):
            raise ExampleError("the example is not in the dataset", advice="Ask for one of the dataset's examples.")
        siblings = tuple(sibling.hex() for sibling in self.tree.inclusion(index))
        return InclusionProof(line, index, len(self.tree), siblings, self.root)


def chat_line(example: VerifiedExample) -> str:
    """One line without its line feed, as ``messages`` of a user and an assistant."""
    messages = [{"role": "user", "content": example.prompt}, {"role": "assistant", "content": example.response}]
    return json.dumps({"messages": messages}, ensure_ascii=False, separators=(",", ":"))


def write_dataset(path: Path, examples: Iterable[VerifiedExample]) -> ExportedDataset:
    """Write examples, in the order of their hashes, as a file that appears whole or not at all.

    Raises PersistenceError.
    """
    lines = [chat_line(example) for example in examples]
    text = "".join(f"{line}\n" for line in lines)
    try:
        write_whole(path, text)
    except OSError as error:
        raise PersistenceError(
            f"the dataset {path} cannot be written ({error.strerror})", advice="Give a file that you may write."
        ) from error
    root = MerkleTree(leaf_hash(line.encode()) for line in lines).root()
    return ExportedDataset(path, len(lines), hashlib.sha256(text.encode()).hexdigest(), root.hex())
