"""Commitments to integer tensors: one root that binds the bytes, the dtype and the shape.

A tensor is committed row by row. A row is the last dimension as raw little-endian bytes; in tensors of fewer than two
dimensions it is one element. Rows of 1 KiB and more are leaves of their own. Shorter rows share a leaf: the largest
power of two that fits 1 KiB. A row above 8 KiB is halved, and halved again, while its pieces are longer than that and
have an even number of elements. Whoever proves one element to a contract pays for the whole leaf around it, so leaves
are short.

    tensor root = H("nexus.tensor.v1" || salt || u8 dtype || u8 ndim || u64 dims... || tree root)

The salt (32 bytes, secret) keeps outsiders from guessing prompts against public roots; weights
are public and use ``NO_SALT``. It knows nothing of programs, orders or chains.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nexus_chain.commitments.errors import CommittedShapeError
from nexus_chain.commitments.merkle import MerkleTree, leaf_hash, leaf_hashes
from nexus_chain.program.dtypes import DTYPE_BYTES, DTYPE_CODES

if TYPE_CHECKING:
    from torch import Tensor  # takes seconds to import; clients hold their rows as arrays

    Integers: TypeAlias = Tensor | NDArray[Any]

NO_SALT = bytes(32)
LEAF_BYTES = 1024
LONGEST_LEAF = 8192  # bytes; only a row that cannot be halved any more is longer
_NAMES = {f"int{8 * size}": name for name, size in DTYPE_BYTES.items()}
_TAG = b"nexus.tensor.v1"


@dataclass(frozen=True)
class RowLayout:
    """How a tensor falls into rows and leaves.

    ``rows`` of ``row_bytes`` bytes each, ``rows_per_leaf`` of them in every leaf but the last;
    where a row is longer than a leaf, ``leaves_per_row`` leaves of equal length make one.
    """

    rows: int
    row_bytes: int
    rows_per_leaf: int
    leaves_per_row: int = 1

    @classmethod
    def of(cls, dtype: str, shape: tuple[int, ...]) -> RowLayout:
        """Layout of a tensor; raises CommittedShapeError for a dtype that cannot be committed."""
        if dtype not in DTYPE_BYTES:
            raise CommittedShapeError(f"dtype {dtype!r} cannot be committed", advice="Use i8, i16, i32 or i64")
        if any(dim < 0 for dim in shape) or len(shape) > 255:
            raise CommittedShapeError(f"shape {shape} is impossible", advice="Give the tensor's real shape")
        columns = shape[-1] if len(shape) > 1 else 1
        row_bytes = DTYPE_BYTES[dtype] * columns
        rows = math.prod(shape[:-1] if len(shape) > 1 else shape)
        return cls(rows, row_bytes, _rows_per_leaf(row_bytes), _leaves_per_row(row_bytes, columns))

    @property
    def leaf_bytes(self) -> int:
        """Bytes of every leaf but the last; at least 1."""
        return max(1, self.rows_per_leaf * self.row_bytes // self.leaves_per_row)

    @property
    def leaves(self) -> int:
        """Number of leaves."""
        return -(-self.rows // self.rows_per_leaf) * self.leaves_per_row if self.row_bytes else 0

    def rows_of_leaf(self, leaf: int) -> tuple[int, int]:
        """Rows [start, stop) of which the leaf holds anything."""
        start = leaf // self.leaves_per_row * self.rows_per_leaf
        return start, min(start + self.rows_per_leaf, self.rows)


def _rows_per_leaf(row_bytes: int) -> int:
    if row_bytes >= LEAF_BYTES or row_bytes == 0:
        return 1
    return 1 << ((LEAF_BYTES // row_bytes).bit_length() - 1)


def _leaves_per_row(row_bytes: int, columns: int) -> int:
    leaves = 1
    while row_bytes > leaves * LONGEST_LEAF and columns % (2 * leaves) == 0:
        leaves *= 2
    return leaves


def dtype_name(tensor: Integers) -> str:
    """``i8`` … ``i64``; raises CommittedShapeError for any other dtype."""
    name = str(tensor.dtype).removeprefix("torch.")
    if name not in _NAMES:
        raise CommittedShapeError(
            f"a tensor of {tensor.dtype} cannot be committed",
            advice="Commit int8, int16, int32 or int64: floats differ between machines",
        )
    return _NAMES[name]


def tensor_bytes(tensor: Integers) -> memoryview:
    """The tensor's row-major bytes, without a copy where it is contiguous and on the CPU."""
    array = np.asarray(tensor) if isinstance(tensor, np.ndarray | np.generic) else tensor.detach().cpu().numpy()
    if array.size == 0:
        return memoryview(b"")
    return np.ascontiguousarray(array).reshape(-1).data.cast("B")


def tensor_root(dtype: str, shape: tuple[int, ...], tree_root: bytes, salt: bytes = NO_SALT) -> bytes:
    """Bind the root of a tensor's tree to its dtype, shape and salt."""
    head = struct.pack(f">BB{len(shape)}Q", DTYPE_CODES[dtype], len(shape), *shape)
    return sha256(_TAG + salt + head + tree_root).digest()


def tensor_tree(tensor: Integers) -> MerkleTree:
    """The Merkle tree over the tensor's leaves."""
    layout = RowLayout.of(dtype_name(tensor), tuple(tensor.shape))
    return MerkleTree(leaf_hashes(tensor_bytes(tensor), layout.leaf_bytes))


def commit(tensor: Integers, salt: bytes = NO_SALT) -> bytes:
    """Root of a whole tensor."""
    return tensor_root(dtype_name(tensor), tuple(tensor.shape), tensor_tree(tensor).root(), salt)


class RowTree:
    """Root of a tensor that grows by rows: the boundary rows of a sequence, or its tokens.

    Every full leaf is hashed once, when its last row arrives; ``root(to)`` then costs about
    log2(to) hashes for any prefix. Rows that share leaves are kept (they are short), others not.

    ``width`` is the row's number of elements, None for a tensor of one dimension (tokens).
    """

    def __init__(self, width: int | None, salt: bytes, dtype: str = "i32") -> None:
        self._tail_shape = () if width is None else (width,)
        self._dtype, self._salt = dtype, salt
        self._layout = RowLayout.of(dtype, (0, *self._tail_shape))
        self._tree = MerkleTree()
        self._rows = 0
        self._short = bytearray()  # every row, where leaves hold several

    def __len__(self) -> int:
        """Rows appended so far."""
        return self._rows

    def append(self, rows: Integers) -> None:
        """Append ``rows`` [t, width] (or [t]); raises CommittedShapeError for any other shape or dtype."""
        if dtype_name(rows) != self._dtype or tuple(rows.shape[1:]) != self._tail_shape or rows.ndim == 0:
            raise CommittedShapeError(
                f"rows of {rows.dtype} and shape {tuple(rows.shape)} do not continue "
                f"a tensor of {self._dtype} rows of shape {self._tail_shape}",
                advice="Append what the previous segment put out, unchanged",
            )
        data = tensor_bytes(rows)
        self._rows += rows.shape[0]
        if self._layout.rows_per_leaf > 1:
            self._short += data
            done, size = len(self._tree) * self._layout.leaf_bytes, self._layout.leaf_bytes
            data = memoryview(bytes(self._short[done : len(self._short) // size * size]))
        self._tree.extend(leaf_hashes(data, self._layout.leaf_bytes))

    def cut(self, to: int) -> None:
        """Forget all but the first ``to`` rows."""
        full, _ = self._leaves(to)
        self._tree.cut(full * self._layout.leaves_per_row)
        if self._layout.rows_per_leaf > 1:
            del self._short[to * self._layout.row_bytes :]
        self._rows = to

    def root(self, to: int | None = None) -> bytes:
        """Tensor root of the first ``to`` rows (all by default)."""
        to = self._rows if to is None else to
        full, left = self._leaves(to)
        tail = leaf_hash(self._partial_leaf(full, left)) if left else None
        tree = self._tree.root(full * self._layout.leaves_per_row, tail)
        return tensor_root(self._dtype, (to, *self._tail_shape), tree, self._salt)

    def _leaves(self, to: int) -> tuple[int, int]:
        """Full groups of rows that make a leaf in the first ``to`` rows, and the rows left; CommittedShapeError."""
        if not 0 <= to <= self._rows:
            raise CommittedShapeError(f"{self._rows} rows exist, not {to}", advice="Append the missing rows first")
        return divmod(to, self._layout.rows_per_leaf)

    def _partial_leaf(self, leaf: int, rows: int) -> bytes:
        start = leaf * self._layout.leaf_bytes
        return bytes(self._short[start : start + rows * self._layout.row_bytes])
