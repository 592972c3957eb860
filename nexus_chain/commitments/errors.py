"""What can be wrong with a committed tensor, a proof or a block.

CommitmentError
├── ProofError            a Merkle proof does not lead to the root it claims
├── CommittedShapeError   a tensor, or a row range of it, cannot be committed as asked
├── ReceiptLogError       the receipt log's file cannot be used
├── EstablishedFactsError the folder of checks already done is not private
└── TensorBlockError      a shard file cannot be read, or is not the shard it should be
    └── TamperedTensorError   some of its bytes are not the committed ones
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class CommitmentError(NexusError):
    """Root of this package's errors."""


class ProofError(CommitmentError):
    """A Merkle proof is malformed or does not lead to the root it claims."""


class CommittedShapeError(CommitmentError):
    """A tensor's dtype, shape or row range is not one that can be committed."""


class ReceiptLogError(CommitmentError):
    """The receipt log's database is damaged, or an entry that it lacks was asked for."""


class EstablishedFactsError(CommitmentError):
    """The folder that remembers which checks were done belongs to others, or cannot be used."""


class TensorBlockError(CommitmentError):
    """A shard file is missing, truncated, malformed, or belongs to another model."""


class TamperedTensorError(TensorBlockError):
    """Bytes of a shard differ from the committed ones.

    ``tensor`` is the tensor's name, ``rows`` the ranges (start, stop) of rows that differ.
    """

    def __init__(self, tensor: str, rows: tuple[tuple[int, int], ...], *, advice: str) -> None:
        ranges = ", ".join(f"{a}" if b == a + 1 else f"{a} to {b - 1}" for a, b in rows[:4])
        more = f" and {len(rows) - 4} more ranges" if len(rows) > 4 else ""
        super().__init__(f"tensor {tensor!r} differs from its commitment in rows {ranges}{more}", advice=advice)
        self.tensor = tensor
        self.rows = rows
