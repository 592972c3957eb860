"""The data listing: every file a model was trained on or measured on, by path and hash.

Its roots are RFC 9162 roots over ``<sha256 hex>  <path>\\n`` for each file. So it can be proven of a single file that
it is where the certificate says, or that it is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from nexus_chain.commitments.merkle import MerkleTree, leaf_hash
from nexus_chain.content.canonical import canonical_bytes, read_canonical, require, require_hex

_FORMAT = "nexus.data-listing.v1"


@dataclass(frozen=True)
class ListedFile:
    """One file: path inside the data set, SHA-256 of its UTF-8 text, bytes of that text."""

    path: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        require_hex(self.sha256, 32, f"hash of {self.path!r}")
        require(self.size >= 0 and self.path != "", f"file {self.path!r}", "must have a path and a size")

    @classmethod
    def of(cls, path: str, text: str) -> ListedFile:
        """List a text."""
        data = text.encode()
        return cls(path, "0x" + sha256(data).hexdigest(), len(data))


@dataclass(frozen=True)
class DataListing:
    """Training files and held-out files, each sorted by path."""

    training: tuple[ListedFile, ...]
    held_out: tuple[ListedFile, ...]
    format: str = _FORMAT

    def __post_init__(self) -> None:
        require(self.format == _FORMAT, "listing.format", f"must be {_FORMAT}")
        for name, files in (("training", self.training), ("held_out", self.held_out)):
            paths = [file.path for file in files]
            require(paths == sorted(set(paths)), f"listing.{name}", "must be sorted by path, each once")

    @classmethod
    def of(cls, training: Iterable[tuple[str, str]], held_out: Iterable[tuple[str, str]]) -> DataListing:
        """List (path, text) pairs."""
        sides = [sorted((ListedFile.of(*item) for item in side), key=lambda f: f.path) for side in (training, held_out)]
        return cls(tuple(sides[0]), tuple(sides[1]))

    @classmethod
    def from_bytes(cls, data: bytes) -> DataListing:
        """Read ``to_bytes``; CertificateFormatError for anything else."""
        return read_canonical(cls, data, "listing")

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical_bytes(self)

    @property
    def training_root(self) -> bytes:
        """Root over the training files."""
        return _root(self.training)

    @property
    def held_out_root(self) -> bytes:
        """Root over the held-out files."""
        return _root(self.held_out)

    def leaked(self) -> list[str]:
        """Held-out files whose path or content is also among the training files."""
        paths, hashes = {f.path for f in self.training}, {f.sha256 for f in self.training}
        return [file.path for file in self.held_out if file.path in paths or file.sha256 in hashes]


def corpus_hash(files: Iterable[ListedFile]) -> str:
    """SHA-256 (hex) over the same lines in path order: the figure that ``training.json`` carries."""
    total = sha256()
    for file in files:
        total.update(_line(file))
    return total.hexdigest()


def _line(file: ListedFile) -> bytes:
    return f"{file.sha256[2:]}  {file.path}\n".encode()


def _root(files: Iterable[ListedFile]) -> bytes:
    return MerkleTree(leaf_hash(_line(file)) for file in files).root()
