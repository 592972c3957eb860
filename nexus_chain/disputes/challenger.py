"""The challenger's choices: where does the node's trace first leave the program?

Comparing in trace order makes the choice safe: the inputs of the first wrong tensor are right, so
its first wrong element contradicts them and one step shows it, whatever the node wrote after it.
Pure: published data and the own recomputation in, a choice out.
"""

from __future__ import annotations

from collections.abc import Sequence

from nexus_chain.commitments.tensor import RowLayout, tensor_bytes
from nexus_chain.disputes.errors import NothingToDisputeError
from nexus_chain.disputes.trace import Trace

_KEEP_QUIET = "Do not open a game on this receipt: the node would win it."


def pick_tensor(posted: Sequence[bytes], own: Sequence[bytes]) -> int:
    """Number of the first tensor whose posted root is not the recomputed one."""
    for number, (theirs, ours) in enumerate(zip(posted, own, strict=True)):
        if theirs != ours:
            return number
    raise NothingToDisputeError("Every posted tensor root is the recomputed one", advice=_KEEP_QUIET)


def pick_leaf(posted: Sequence[bytes], trace: Trace, number: int) -> int:
    """Index of the first leaf of tensor ``number`` whose posted hash is not the recomputed one."""
    tree = trace.tree(number)
    for index, theirs in enumerate(posted):
        if index >= len(tree) or theirs != tree.leaf(index):
            return index
    raise NothingToDisputeError("Every posted leaf hash is the recomputed one", advice=_KEEP_QUIET)


def own_leaf(trace: Trace, number: int, leaf: int) -> bytes:
    """The right bytes of a leaf."""
    spec = trace.layout.tensor(number)
    size = RowLayout.of(spec.dtype, spec.shape).leaf_bytes
    return bytes(tensor_bytes(trace.tensor(number))[leaf * size : (leaf + 1) * size])
