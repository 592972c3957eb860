"""What a program must keep to so that every dispute about it can be played to its end.

Beyond these caps an answer of a game does not fit a transaction, or the contract refuses the question:
a lie there could not be convicted, or an honest node not answer. Checked when a model is published, and
by a node before it serves one.
"""

from __future__ import annotations

from nexus_chain.commitments.tensor import RowLayout
from nexus_chain.disputes.errors import ProgramTooLargeError
from nexus_chain.disputes.move_sizes import Move, largest_moves
from nexus_chain.disputes.trace_layout import TraceLayout
from nexus_chain.program import Program
from nexus_chain.program.descriptors import LONGEST_CONTEXT

MOST_CALLDATA = 131_072
"""Bytes of a transaction that nodes of an Ethereum chain take in."""
MOST_GAS = 16_777_216
"""Gas that one transaction may use since Fusaka (EIP-7825)."""
MOST_TENSORS = 2_048
"""Tensors of one segment's trace."""
MOST_LEAF = 65_536
"""Bytes of a leaf that can be published in one transaction."""

_REFUSED = "Do not publish or serve this program: what it computes there nobody could dispute."


def check_caps(program: Program, layer_start: int | None = None, layer_end: int | None = None) -> None:
    """Raise ProgramTooLargeError if disputes about a segment of ``program`` could not be played.

    Without a segment every single layer is checked: larger segments are their nodes' choice.
    """
    context = program.shape.context
    if context > LONGEST_CONTEXT:
        raise ProgramTooLargeError(
            f"a context of {context} positions is over the {LONGEST_CONTEXT} that games can be about", advice=_REFUSED
        )
    for spec in program.weights:
        _check_leaf(spec.name, spec.dtype, spec.shape)
    segments = [(layer, layer + 1) for layer in range(program.shape.layers)]
    if layer_start is not None and layer_end is not None:
        segments = [(layer_start, layer_end)]
    for start, end in segments:
        # With a prompt of one token as many positions are sampled as there can be.
        _check_segment(TraceLayout(program, start, end, context, 1))


def _check_segment(layout: TraceLayout) -> None:
    if len(layout.tensors) > MOST_TENSORS:
        raise ProgramTooLargeError(
            f"layers {layout.start}-{layout.end} have a trace of {len(layout.tensors)} tensors, over {MOST_TENSORS}",
            advice="Serve fewer layers per node.",
        )
    for tensor in layout.tensors:
        _check_leaf(tensor.name, tensor.dtype, tensor.shape)
    for move in largest_moves(layout):
        _check_move(move)


def _check_move(move: Move) -> None:
    """INVARIANT: whoever has to move can: no honest node is late, and no liar safe, for want of room."""
    if move.calldata > MOST_CALLDATA or move.gas > MOST_GAS:
        raise ProgramTooLargeError(
            f"{move.name} about {move.tensor} can take {move.calldata} bytes and {move.gas} gas; a transaction "
            f"carries {MOST_CALLDATA} bytes and {MOST_GAS} gas",
            advice=_REFUSED,
        )


def _check_leaf(name: str, dtype: str, shape: tuple[int, ...]) -> None:
    length = RowLayout.of(dtype, shape).leaf_bytes
    if length > MOST_LEAF:
        raise ProgramTooLargeError(
            f"rows of {name} are committed in pieces of {length} bytes, over {MOST_LEAF}: they are long and cannot "
            "be halved often enough",
            advice="Pad the dimension to a multiple of a power of two (an odd vocabulary, mostly), then import again.",
        )
