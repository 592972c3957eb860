"""The defender's answers, from its stored input rows alone.

A node keeps what entered its segment and recomputes the rest when somebody asks. Every answer
is checked by the contract against the one before it: roots against the receipt, leaf hashes
against a root, bytes against a leaf hash. Pure: a trace and the question in, the answer out.
"""

from __future__ import annotations

from nexus_chain.commitments.tensor import RowLayout, leaf_hashes, tensor_bytes
from nexus_chain.disputes.errors import WitnessError
from nexus_chain.disputes.trace import Trace


def tensor_roots(trace: Trace) -> list[bytes]:
    """Answer to the opening: the root of every tensor of the trace."""
    return trace.roots()


def hashes_of_leaves(trace: Trace, number: int) -> list[bytes]:
    """Answer to a picked tensor: the hashes of its leaves, in order."""
    spec = trace.layout.tensor(number)
    return leaf_hashes(tensor_bytes(trace.tensor(number)), RowLayout.of(spec.dtype, spec.shape).leaf_bytes)


def leaf_bytes(trace: Trace, number: int, leaf: int) -> bytes:
    """Answer to a picked leaf: its bytes."""
    spec = trace.layout.tensor(number)
    layout = RowLayout.of(spec.dtype, spec.shape)
    if not 0 <= leaf < layout.leaves:
        raise WitnessError(f"{spec.name} has {layout.leaves} leaves, no leaf {leaf}", advice="Pick one of them.")
    data = tensor_bytes(trace.tensor(number))
    return bytes(data[leaf * layout.leaf_bytes : (leaf + 1) * layout.leaf_bytes])
