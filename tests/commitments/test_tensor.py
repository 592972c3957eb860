"""Tensor roots, growing tensors and row openings."""

from __future__ import annotations

import struct
from hashlib import sha256

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.commitments.errors import CommitmentError, CommittedShapeError, ProofError
from nexus_chain.commitments.merkle import MerkleTree, leaf_hash
from nexus_chain.commitments.tensor import NO_SALT, RowLayout, RowTree, commit, dtype_name, tensor_bytes
from nexus_chain.program.dtypes import DTYPE_BYTES
from nexus_chain.program.torch_dtypes import TORCH_DTYPES
from tests.support.openings import RowOpening, open_rows, verify_rows

SALT = bytes(range(32))
DTYPES = st.sampled_from(sorted(TORCH_DTYPES))
SHAPES = st.lists(st.integers(min_value=1, max_value=9), max_size=3).flatmap(
    lambda head: st.sampled_from([1, 2, 3, 7, 64, 255, 256, 257, 1024]).map(lambda last: (*head, last))
)


def random_tensor(dtype: str, shape: tuple[int, ...], seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    bits = 8 * DTYPE_BYTES[dtype]
    return torch.randint(
        -(1 << (bits - 1)), (1 << (bits - 1)) - 1, shape, generator=generator, dtype=TORCH_DTYPES[dtype]
    )


def root_by_hand(tensor: torch.Tensor, salt: bytes) -> bytes:
    """The definition, a byte at a time."""
    name = dtype_name(tensor)
    flat = [
        struct.pack("<" + {"i8": "b", "i16": "h", "i32": "i", "i64": "q"}[name], v) for v in tensor.flatten().tolist()
    ]
    row = tensor.shape[-1] if tensor.dim() > 1 else 1
    rows = [b"".join(flat[i : i + row]) for i in range(0, len(flat), row)]
    size = row * DTYPE_BYTES[name]
    group = 1
    while size * group * 2 <= 1024:
        group *= 2
    leaves = [b"".join(rows[i : i + group]) for i in range(0, len(rows), group)]
    while size > 8192 and row % 2 == 0:
        size, row = size // 2, row // 2
        leaves = [half for leaf in leaves for half in (leaf[: len(leaf) // 2], leaf[len(leaf) // 2 :])]
    tree = MerkleTree(map(leaf_hash, leaves))
    code = {"i8": 1, "i16": 2, "i32": 3, "i64": 4}[name]
    head = bytes([code, tensor.dim()]) + b"".join(d.to_bytes(8, "big") for d in tensor.shape)
    return sha256(b"nexus.tensor.v1" + salt + head + tree.root()).digest()


@given(DTYPES, SHAPES)
def test_root_follows_its_definition(dtype: str, shape: tuple[int, ...]) -> None:
    tensor = random_tensor(dtype, shape)
    assert commit(tensor, SALT) == root_by_hand(tensor, SALT)


def test_root_of_scalar_and_of_empty_tensor() -> None:
    assert commit(torch.tensor(5, dtype=torch.int64)) == root_by_hand(torch.tensor(5, dtype=torch.int64), NO_SALT)
    assert commit(torch.empty((0, 4), dtype=torch.int32)) == root_by_hand(
        torch.empty((0, 4), dtype=torch.int32), NO_SALT
    )


def test_root_binds_dtype_shape_and_salt() -> None:
    tensor = torch.arange(1024, dtype=torch.int32)
    roots = {
        commit(tensor, SALT),
        commit(tensor, NO_SALT),
        commit(tensor.reshape(4, 256), SALT),
        commit(tensor.reshape(1, 1024), SALT),
        commit(tensor.view(torch.int8), SALT),
        commit(tensor.view(torch.int64), SALT),
    }
    assert len(roots) == 6


def test_root_ignores_memory_layout() -> None:
    tensor = random_tensor("i16", (33, 65))
    assert commit(tensor.t().contiguous().t()) == commit(tensor)
    assert commit(random_tensor("i16", (70, 65))[10:43]) == commit(random_tensor("i16", (70, 65))[10:43].clone())


def test_bytes_are_not_copied() -> None:
    tensor = torch.zeros(4, dtype=torch.int32)
    view = tensor_bytes(tensor)
    tensor[1] = 0x01020304
    assert bytes(view[4:8]) == b"\x04\x03\x02\x01"


def test_floats_are_refused() -> None:
    with pytest.raises(CommittedShapeError, match="floats differ between machines"):
        commit(torch.zeros(3))
    with pytest.raises(CommittedShapeError):
        RowLayout.of("f32", (3,))
    with pytest.raises(CommittedShapeError):
        RowLayout.of("i8", (-3,))


@pytest.mark.parametrize(
    ("row_bytes", "expected"), [(1, 1024), (4, 256), (12, 64), (513, 1), (512, 2), (1023, 1), (1024, 1), (8192, 1)]
)
def test_rows_share_a_leaf_up_to_1_kib(row_bytes: int, expected: int) -> None:
    assert RowLayout.of("i8", (3, row_bytes)).rows_per_leaf == expected


@pytest.mark.parametrize(
    ("columns", "leaves", "leaf_bytes"),
    [(2048, 1, 8192), (2050, 2, 4100), (4096, 2, 8192), (28672, 16, 7168), (5632, 4, 5632), (2049, 1, 8196)],
)
def test_a_row_above_8_kib_is_halved(columns: int, leaves: int, leaf_bytes: int) -> None:
    tensor = random_tensor("i32", (3, columns))
    layout = RowLayout.of("i32", (3, columns))
    assert (layout.leaves_per_row, layout.leaf_bytes, layout.leaves) == (leaves, leaf_bytes, 3 * leaves)
    assert layout.rows_of_leaf(2 * leaves - 1) == (1, 2)
    assert commit(tensor, SALT) == root_by_hand(tensor, SALT)
    opening = open_rows(tensor, 1, 3)
    assert torch.equal(verify_rows(commit(tensor, SALT), SALT, "i32", (3, columns), opening), tensor[1:3])


WIDTHS = st.sampled_from([None, 1, 3, 100, 255, 256, 300, 2050])


@given(WIDTHS, st.lists(st.integers(min_value=0, max_value=40), max_size=12))
def test_growing_tensor_has_the_root_of_every_prefix(width: int | None, chunks: list[int]) -> None:
    total = sum(chunks)
    whole = random_tensor("i32", (total,) if width is None else (total, width))
    tree, at = RowTree(width, SALT), 0
    for chunk in chunks:
        tree.append(whole[at : at + chunk])
        at += chunk
        assert tree.root() == commit(whole[:at], SALT)
    assert len(tree) == total
    for to in range(0, total + 1, 7):
        assert tree.root(to) == commit(whole[:to], SALT)


@given(
    width=st.sampled_from([None, 1, 3, 64, 100, 256, 300, 4096]),
    steps=st.lists(st.tuples(st.integers(min_value=0, max_value=9), st.integers(min_value=0, max_value=9)), max_size=8),
)
def test_rows_that_were_cut_leave_no_trace_in_a_root(width: int | None, steps: list[tuple[int, int]]) -> None:
    """Append some rows, cut some of all there are, and so on: as if only those that stayed had ever come."""
    tree, kept = RowTree(width, SALT), random_tensor("i32", (0,) if width is None else (0, width))
    for seed, (more, fewer) in enumerate(steps):
        rows = random_tensor("i32", (more,) if width is None else (more, width), seed)
        tree.append(rows)
        kept = torch.cat([kept, rows])[: max(0, len(kept) + more - fewer)]
        tree.cut(len(kept))
        assert len(tree) == len(kept)
        assert tree.root() == commit(kept, SALT)


@pytest.mark.parametrize("to", [-1, 4])
def test_a_cut_is_within_the_rows(to: int) -> None:
    tree = RowTree(256, SALT)
    tree.append(random_tensor("i32", (3, 256)))
    with pytest.raises(CommittedShapeError):
        tree.cut(to)
    assert len(tree) == 3


def test_growing_tensor_refuses_other_rows() -> None:
    tree = RowTree(8, SALT)
    for rows in (
        torch.zeros((2, 7), dtype=torch.int32),
        torch.zeros((2, 8), dtype=torch.int64),
        torch.zeros(8, dtype=torch.int32),
    ):
        with pytest.raises(CommittedShapeError, match="Append what"):
            tree.append(rows)
    with pytest.raises(CommittedShapeError):
        tree.root(1)


@given(DTYPES, SHAPES, st.data())
def test_opened_rows_are_the_rows(dtype: str, shape: tuple[int, ...], draw: st.DataObject) -> None:
    tensor = random_tensor(dtype, shape)
    rows = tensor.reshape(-1, shape[-1]) if len(shape) > 1 else tensor
    start = draw.draw(st.integers(min_value=0, max_value=len(rows) - 1))
    stop = draw.draw(st.integers(min_value=start + 1, max_value=len(rows)))
    opening = open_rows(tensor, start, stop)
    root = commit(tensor, SALT)
    assert torch.equal(verify_rows(root, SALT, dtype, shape, opening), rows[start:stop])

    flipped = bytearray(opening.leaves)
    flipped[draw.draw(st.integers(min_value=0, max_value=len(flipped) - 1))] ^= 1
    with pytest.raises(ProofError):
        verify_rows(root, SALT, dtype, shape, RowOpening(start, stop, bytes(flipped), opening.siblings))
    with pytest.raises(ProofError):
        verify_rows(root, SALT, dtype, shape, RowOpening(start, stop, opening.leaves + b"\x00", opening.siblings))
    with pytest.raises(ProofError):
        verify_rows(root, NO_SALT, dtype, shape, opening)


def test_opening_does_not_pass_for_other_rows() -> None:
    tensor = random_tensor("i32", (20, 256))
    opening, root = open_rows(tensor, 4, 6), commit(tensor)
    for start, stop in [(5, 7), (4, 5), (3, 6), (18, 20)]:
        with pytest.raises(ProofError):
            verify_rows(root, NO_SALT, "i32", (20, 256), RowOpening(start, stop, opening.leaves, opening.siblings))
    with pytest.raises(CommitmentError):
        verify_rows(root, NO_SALT, "i32", (20, 256), RowOpening(19, 21, opening.leaves, opening.siblings))
    with pytest.raises(ProofError):
        verify_rows(root, NO_SALT, "i32", (21, 256), opening)


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (3, 2), (-1, 1), (0, 21)])
def test_rows_that_do_not_exist_are_not_opened(start: int, stop: int) -> None:
    with pytest.raises(CommittedShapeError, match="rows that exist"):
        open_rows(random_tensor("i32", (20, 256)), start, stop)
