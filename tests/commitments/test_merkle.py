"""Merkle trees against a transcription of the RFC's recursive definitions, and against pymerkle."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from nexus_chain.commitments.errors import ProofError
from nexus_chain.commitments.merkle import (
    EMPTY_ROOT,
    MerkleTree,
    leaf_hash,
    leaf_hashes,
    node_hash,
    verify_inclusion,
    verify_range,
)

SIZES = st.integers(min_value=1, max_value=70)


def data(count: int) -> list[bytes]:
    return [f"entry {i}".encode() for i in range(count)]


def tree_of(count: int) -> MerkleTree:
    return MerkleTree(leaf_hash(entry) for entry in data(count))


def split(count: int) -> int:
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def rfc_root(entries: list[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = split(len(entries))
    return sha256(b"\x01" + rfc_root(entries[:k]) + rfc_root(entries[k:])).digest()


def rfc_path(index: int, entries: list[bytes]) -> list[bytes]:
    """PATH of RFC 9162, section 2.1.3.1."""
    if len(entries) == 1:
        return []
    k = split(len(entries))
    if index < k:
        return [*rfc_path(index, entries[:k]), rfc_root(entries[k:])]
    return [*rfc_path(index - k, entries[k:]), rfc_root(entries[:k])]


def test_root_of_empty_tree_is_the_hash_of_nothing() -> None:
    assert MerkleTree().root() == EMPTY_ROOT == sha256(b"").digest()


def test_root_of_every_prefix_is_the_rfc_root() -> None:
    tree = tree_of(70)
    for size in range(71):
        assert tree.root(size) == rfc_root(data(size))


@given(SIZES, st.lists(st.integers(min_value=0, max_value=9), max_size=20))
def test_growing_in_any_steps_gives_the_same_tree(size: int, steps: list[int]) -> None:
    grown, hashes, at = MerkleTree(), [leaf_hash(d) for d in data(size)], 0
    for step in steps:
        grown.extend(hashes[at : at + step])
        at = min(size, at + step)
    grown.extend(hashes[at:])
    assert grown.root() == rfc_root(data(size))


@given(SIZES)
def test_tail_counts_as_one_more_leaf(size: int) -> None:
    tree = tree_of(size)
    for prefix in range(size):
        assert tree.root(prefix, tail=tree.leaf(prefix)) == tree.root(prefix + 1)


@given(SIZES, st.data())
def test_inclusion_proof_is_the_rfc_path(size: int, draw: st.DataObject) -> None:
    index = draw.draw(st.integers(min_value=0, max_value=size - 1))
    tree = tree_of(70)
    proof = tree.inclusion(index, size)
    assert proof == rfc_path(index, data(size))
    verify_inclusion(tree.leaf(index), index, size, proof, tree.root(size))


@given(SIZES, st.data())
def test_range_proof_verifies_and_any_change_breaks_it(size: int, draw: st.DataObject) -> None:
    start = draw.draw(st.integers(min_value=0, max_value=size - 1))
    stop = draw.draw(st.integers(min_value=start + 1, max_value=size))
    tree = tree_of(70)
    leaves, proof, root = (
        [tree.leaf(i) for i in range(start, stop)],
        tree.range_proof(start, stop, size),
        tree.root(size),
    )
    verify_range(leaves, start, size, proof, root)

    broken = draw.draw(st.integers(min_value=0, max_value=len(leaves) + len(proof) - 1))
    parts = [*leaves, *proof]
    parts[broken] = bytes([parts[broken][0] ^ 1]) + parts[broken][1:]
    with pytest.raises(ProofError):
        verify_range(parts[: len(leaves)], start, size, parts[len(leaves) :], root)
    with pytest.raises(ProofError):
        verify_range(leaves, start, size, [*proof, root], root)
    if proof:
        with pytest.raises(ProofError):
            verify_range(leaves, start, size, proof[:-1], root)
    if start + 1 + len(leaves) <= size:
        with pytest.raises(ProofError):
            verify_range(leaves, start + 1, size, proof, root)


def test_pymerkle_agrees() -> None:
    peer, tree = InmemoryTree(), tree_of(33)
    peer.append_entries(data(33))
    for size in range(1, 34):
        assert peer.get_root(size) == tree.root(size)
        for index in range(size):
            assert peer.prove_inclusion(index + 1, size).path[1:] == tree.inclusion(index, size)


def test_a_node_never_passes_for_a_leaf() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)


def test_leaf_hashes_cuts_the_last_leaf_short() -> None:
    assert leaf_hashes(b"abcde", 2) == [leaf_hash(b"ab"), leaf_hash(b"cd"), leaf_hash(b"e")]
    assert leaf_hashes(b"", 2) == []


@pytest.mark.parametrize(("start", "stop", "size"), [(0, 0, 5), (2, 1, 5), (0, 6, 5), (-1, 1, 5), (0, 1, 9)])
def test_ranges_that_do_not_exist_are_refused(start: int, stop: int, size: int) -> None:
    with pytest.raises(ProofError, match=r"Ask for|Append"):
        tree_of(5).range_proof(start, stop, size)
