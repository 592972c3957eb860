"""Openings: a contiguous range of a committed tensor's rows with the proof that it is that.

A second reader of what the contracts read: golden vectors are made and checked with it.

    opening = open_rows(tensor, 3, 5)
    rows = verify_rows(root, salt, "i32", (100, 2048), opening)     # Tensor[2, 2048]

Where several rows share a leaf the opening carries the whole leaves; ``start`` and ``stop`` say
which of their rows were asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nexus_chain.commitments.errors import CommittedShapeError, ProofError
from nexus_chain.commitments.merkle import MerkleTree, leaf_hashes, range_root
from nexus_chain.commitments.tensor import RowLayout, dtype_name, tensor_bytes, tensor_root, tensor_tree
from nexus_chain.program.dtypes import DTYPE_BYTES
from nexus_chain.program.torch_dtypes import TORCH_DTYPES


@dataclass(frozen=True)
class RowOpening:
    """Rows [start, stop) of a tensor.

    ``leaves`` are the bytes of the leaves that hold them (whole leaves, in order), ``siblings``
    the range proof of those leaves (see ``MerkleTree.range_proof``).
    """

    start: int
    stop: int
    leaves: bytes
    siblings: tuple[bytes, ...]


def open_rows(tensor: Tensor, start: int, stop: int, tree: MerkleTree | None = None) -> RowOpening:
    """Open rows [start, stop) of ``tensor``.

    ``tree`` is its tree where the caller has it already. Raises CommittedShapeError for an empty
    range or rows that the tensor does not have.
    """
    layout = RowLayout.of(dtype_name(tensor), tuple(tensor.shape))
    first, last = _leaf_range(layout, start, stop)
    tree = tensor_tree(tensor) if tree is None else tree
    data = tensor_bytes(tensor)[first * layout.leaf_bytes : last * layout.leaf_bytes]
    return RowOpening(start, stop, bytes(data), tuple(tree.range_proof(first, last)))


def verify_rows(root: bytes, salt: bytes, dtype: str, shape: tuple[int, ...], opening: RowOpening) -> Tensor:
    """The opened rows as a tensor [stop - start, shape[-1]] (or [stop - start] below two dimensions).

    Raises ProofError when they are not those rows of the tensor committed by ``root``, which also
    happens when ``dtype``, ``shape`` or ``salt`` is not the committed one.
    """
    layout = RowLayout.of(dtype, shape)
    first, last = _leaf_range(layout, opening.start, opening.stop)
    expected = layout.rows_of_leaf(last - 1)[1] - layout.rows_of_leaf(first)[0]
    if len(opening.leaves) != expected * layout.row_bytes:
        raise ProofError(
            f"the opening carries {len(opening.leaves)} bytes where {expected} rows have {expected * layout.row_bytes}",
            advice="Ask for an opening of the same tensor again, or from somebody else",
        )
    hashes = leaf_hashes(opening.leaves, layout.leaf_bytes)
    tree = range_root(hashes, first, layout.leaves, opening.siblings)
    if tensor_root(dtype, shape, tree, salt) != root:
        raise ProofError(
            f"rows {opening.start} to {opening.stop - 1} do not lead to the root {root.hex()}",
            advice="Treat them as wrong and fetch them from somebody else",
        )
    return _rows_of(opening, layout, first, dtype, shape)


def _leaf_range(layout: RowLayout, start: int, stop: int) -> tuple[int, int]:
    if not 0 <= start < stop <= layout.rows or layout.row_bytes == 0:
        raise CommittedShapeError(
            f"no rows [{start}, {stop}) in a tensor of {layout.rows} rows", advice="Ask for rows that exist"
        )
    leaves = layout.leaves_per_row
    return start // layout.rows_per_leaf * leaves, -(-stop // layout.rows_per_leaf) * leaves


def _rows_of(opening: RowOpening, layout: RowLayout, first: int, dtype: str, shape: tuple[int, ...]) -> Tensor:
    skip = (opening.start - layout.rows_of_leaf(first)[0]) * layout.row_bytes
    count = (opening.stop - opening.start) * layout.row_bytes
    rows = torch.frombuffer(
        bytearray(opening.leaves), dtype=TORCH_DTYPES[dtype], offset=skip, count=count // DTYPE_BYTES[dtype]
    )
    return rows.reshape(opening.stop - opening.start, shape[-1]) if len(shape) > 1 else rows
