"""SHA-256 Merkle trees of RFC 9162: roots, proofs of one leaf and of a range.

    leaf = H(0x00 || data)      node = H(0x01 || left || right)      empty tree = H("")

A tree of n > 1 leaves splits at the largest power of two below n. The same tree comes out of pairing neighbours level
by level, where a last node without a neighbour is lifted unhashed. Proofs are walked in this way here, and in
contracts, because it needs no recursion.

Everything works on leaf *hashes*; it knows nothing of tensors, receipts or chains.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

from nexus_chain.commitments.errors import ProofError

EMPTY_ROOT = sha256(b"").digest()
DIGEST_BYTES = 32

_ASK_AGAIN = "Treat what came with it as unproven and fetch it from somebody else"


def leaf_hash(data: bytes | memoryview) -> bytes:
    """H(0x00 || data)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """H(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def leaf_hashes(data: bytes | memoryview, leaf_bytes: int) -> list[bytes]:
    """Hashes of consecutive leaves of ``leaf_bytes`` bytes; the last one may be shorter."""
    # One comprehension, nothing looked up inside: at 1 KiB a leaf the interpreter is half the cost.
    hash_, zero = sha256, b"\x00"
    return [hash_(zero + data[i : i + leaf_bytes]).digest() for i in range(0, len(data), leaf_bytes)]


class MerkleTree:
    """A tree that grows and keeps every perfect subtree, so that any prefix has a cheap root.

    Appending costs one hash a leaf on average, ``root(size)`` about log2(size), and a proof
    about log2(size) hashes too. Memory: two digests a leaf.
    """

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]  # [k][i]: root over leaves [i << k, (i + 1) << k)
        self.extend(hashes)

    def __len__(self) -> int:
        return len(self._levels[0])

    def leaf(self, index: int) -> bytes:
        """Hash of the leaf at ``index``."""
        return self._levels[0][index]

    def extend(self, hashes: Iterable[bytes]) -> None:
        """Append leaf hashes and complete the subtrees that they fill."""
        self._levels[0].extend(hashes)
        level = 0
        while len(self._levels[level]) >= 2:
            if level + 1 == len(self._levels):
                self._levels.append([])
            below, above = self._levels[level], self._levels[level + 1]
            ready = range(2 * len(above), len(below) - 1, 2)
            above.extend([sha256(b"\x01" + below[i] + below[i + 1]).digest() for i in ready])
            level += 1

    def cut(self, size: int) -> None:
        """Forget the leaves from ``size`` on and every subtree with one of them. Raises ProofError beyond the end."""
        self._checked(size)
        for level, roots in enumerate(self._levels):
            del roots[size >> level :]

    def root(self, size: int | None = None, tail: bytes | None = None) -> bytes:
        """Root over the first ``size`` leaves (all by default), followed by ``tail`` if given.

        ``tail`` is the hash of one more leaf that is not part of the tree (yet): the last,
        partly filled leaf of a growing tensor.
        """
        size = self._checked(size)
        fold = tail
        for level, index in _perfect_subtrees(size):
            part = self._levels[level][index]
            fold = part if fold is None else node_hash(part, fold)
        return EMPTY_ROOT if fold is None else fold

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """RFC 9162 inclusion proof of leaf ``index`` in the tree of ``size`` leaves."""
        return self.range_proof(index, index + 1, size)

    def range_proof(self, start: int, stop: int, size: int | None = None) -> list[bytes]:
        """Siblings that prove leaves [start, stop): per level upwards the left one, then the right.

        For one leaf this is exactly the RFC's inclusion proof.
        """
        size = self._checked(size)
        if not 0 <= start < stop <= size:
            raise ProofError(f"no leaves [{start}, {stop}) in a tree of {size}", advice="Ask for leaves that exist")
        sides = _sibling_positions(start, stop, size)
        return [self._node(level, index, size) for level, index, _ in sides]

    def _checked(self, size: int | None) -> int:
        size = len(self) if size is None else size
        if not 0 <= size <= len(self):
            raise ProofError(f"the tree has {len(self)} leaves, not {size}", advice="Append the missing leaves first")
        return size

    def _node(self, level: int, index: int, size: int) -> bytes:
        """Node of the tree of ``size`` leaves; perfect ones are stored, the ragged last one is folded."""
        return self._range_root(index << level, min((index + 1) << level, size))

    def _range_root(self, start: int, stop: int) -> bytes:
        """Root over leaves [start, stop) where ``start`` is aligned to the subtree's size."""
        fold: bytes | None = None
        for level, index in _perfect_subtrees(stop - start):
            part = self._levels[level][(start >> level) + index]
            fold = part if fold is None else node_hash(part, fold)
        return EMPTY_ROOT if fold is None else fold


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise ProofError unless leaf hash ``leaf`` is at ``index`` in the tree of ``size`` with ``root``."""
    verify_range([leaf], index, size, proof, root)


def verify_range(leaves: Sequence[bytes], start: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise ProofError unless ``leaves`` are leaves [start, start + len) of the tree of ``size``."""
    if range_root(leaves, start, size, proof) != root:
        raise ProofError(f"leaves from {start} do not lead to the root {root.hex()}", advice=_ASK_AGAIN)


def range_root(leaves: Sequence[bytes], start: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that ``leaves`` at ``start`` and the siblings of a range proof lead to."""
    if start < 0 or not leaves or start + len(leaves) > size:
        raise ProofError(f"{len(leaves)} leaves at {start} do not fit a tree of {size}", advice=_ASK_AGAIN)
    steps = list(_sibling_positions(start, start + len(leaves), size))
    if len(proof) != len(steps) or any(len(sibling) != DIGEST_BYTES for sibling in proof):
        raise ProofError(f"the proof needs {len(steps)} siblings of 32 bytes", advice=_ASK_AGAIN)
    by_level: dict[int, list[tuple[bool, bytes]]] = {}
    for (level, _, left), sibling in zip(steps, proof, strict=True):
        by_level.setdefault(level, []).append((left, sibling))
    nodes = list(leaves)
    for level in range((size - 1).bit_length()):
        for left, sibling in by_level.get(level, []):
            nodes.insert(0 if left else len(nodes), sibling)
        paired = [node_hash(nodes[i], nodes[i + 1]) for i in range(0, len(nodes) - 1, 2)]
        nodes = paired + nodes[len(nodes) & ~1 :]
    return nodes[0]


def _perfect_subtrees(size: int) -> Iterator[tuple[int, int]]:
    """(level, index) of the perfect subtrees that make up ``size`` leaves, right to left."""
    for level in range(size.bit_length()):
        if size >> level & 1:
            yield level, (size >> level) - 1


def _sibling_positions(start: int, stop: int, size: int) -> Iterator[tuple[int, int, bool]]:
    """(level, index, is left) of every sibling that a proof of leaves [start, stop) needs, in order."""
    for level in range((size - 1).bit_length()):
        count = (size + (1 << level) - 1) >> level
        if start & 1:
            yield level, start - 1, True
        if stop & 1 and stop < count:
            yield level, stop, False
        start, stop = start >> 1, (stop + 1) >> 1
