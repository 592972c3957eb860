"""A file of records: one line of canonical JSON each, and a Merkle root over the lines.

A record can be shown to be in the file without the other records: ``prove`` gives an ``RecordProof``, which
``RecordProof.verify`` checks against a root that somebody certified.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from nexus_chain.commitments.errors import ProofError
from nexus_chain.commitments.merkle import MerkleTree, leaf_hash, verify_inclusion
from nexus_chain.content.canonical import canonical_bytes, read_canonical, require, require_hex

_R = TypeVar("_R")
_PROOF_FORMAT = "nexus.inclusion.v1"


@dataclass(frozen=True)
class RecordProof:
    """One record of a file, and the siblings (0x hex, from the leaf up) that lead to the file's root (RFC 9162)."""

    root: str
    size: int
    index: int
    record: str
    siblings: tuple[str, ...]
    format: str = _PROOF_FORMAT

    def __post_init__(self) -> None:
        require(self.format == _PROOF_FORMAT, "proof.format", f"must be {_PROOF_FORMAT}")
        require_hex(self.root, 32, "proof.root")
        for sibling in self.siblings:
            require_hex(sibling, 32, "proof.siblings")

    @classmethod
    def from_bytes(cls, data: bytes) -> RecordProof:
        """Read ``to_bytes``; CanonicalFormatError for anything else."""
        return read_canonical(cls, data, "proof")

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical_bytes(self)

    def verify(self, root: str, size: int) -> None:
        """Raise ProofError unless the record is at its place in the file of ``size`` records with this ``root``."""
        if (self.root, self.size) != (root, size):
            raise ProofError(
                f"the proof is of a file of {self.size} records with root {self.root}",
                advice="Ask for a proof of the certified file.",
            )
        siblings = [bytes.fromhex(sibling[2:]) for sibling in self.siblings]
        leaf = leaf_hash(self.record.encode())
        verify_inclusion(leaf, self.index, size, siblings, require_hex(root, 32, "root"))


@dataclass(frozen=True)
class RecordLines(Generic[_R]):
    """Records and their lines, in the file's order."""

    records: tuple[_R, ...]
    lines: tuple[bytes, ...]

    @classmethod
    def of(cls, records: Iterable[_R]) -> RecordLines[_R]:
        """``records``: dataclasses that ``canonical_bytes`` understands."""
        kept = tuple(records)
        return cls(kept, tuple(canonical_bytes(record) for record in kept))

    @classmethod
    def read(cls, kind: type[_R], data: bytes, where: str) -> RecordLines[_R]:
        """Read ``to_bytes``; CanonicalFormatError, naming line and field, for anything else."""
        require(not data or data.endswith(b"\n"), where, "must end with a line feed")
        lines = data.split(b"\n")[:-1]
        records = (read_canonical(kind, line, f"{where}[{index}]") for index, line in enumerate(lines))
        return cls(tuple(records), tuple(lines))

    def to_bytes(self) -> bytes:
        """The file: every line ends with a line feed."""
        return b"".join(line + b"\n" for line in self.lines)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def root(self) -> str:
        """RFC 9162 root over the lines without their line feeds, as 0x hex."""
        return "0x" + self._tree.root().hex()

    def prove(self, index: int) -> RecordProof:
        """That the record at ``index`` is in the file. Raises ProofError where there is none."""
        siblings = self._tree.inclusion(index)
        line = self.lines[index].decode()
        return RecordProof(self.root, len(self), index, line, tuple("0x" + node.hex() for node in siblings))

    @cached_property
    def _tree(self) -> MerkleTree:
        return MerkleTree(map(leaf_hash, self.lines))
