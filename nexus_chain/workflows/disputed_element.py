"""The element that a game has come to: which op makes it, what the node said it is, what the program makes of it.

Read from transactions of the game alone: no weights and no tokens are needed, so anybody can look. Before a conviction
only the challenger knows which element is wrong, and what is right there is in no transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nexus_chain.chain.abi_values import AbiError, decode_abi
from nexus_chain.chain.dispute_game import DisputedRecord, DisputeGame
from nexus_chain.disputes.shown_step import shown_element, shown_token
from nexus_chain.disputes.witness_abi import WITNESS, Opening, Subject
from nexus_chain.program.described_op import DescribedOp, read_descriptor
from nexus_chain.program.errors import ProgramFormatError

SEQUENCE_KIND = "sequence"
"""The tensor of prompt and sampled tokens, which no op puts out."""
INPUT_KIND = "input"
"""The rows that enter the segment."""


@dataclass(frozen=True)
class GamePlace:
    """Where a game stands: tensor and leaf that are picked, and transactions about them; None where there is none yet.

    ``data``: bytes of the leaf as the node posted them. ``element``: within the leaf, where it was picked by a move.
    """

    tensor: int
    leaf: int
    data: bytes | None = None
    element: int | None = None
    rows_transaction: str | None = None
    convicting: str | None = None


@dataclass(frozen=True)
class DisputedElement:
    """``shape``: of the whole tensor. ``index``, ``claimed``: None until the element is known; ``right``: until it is.

    ``params``: the op's. ``layer``: None where no op makes the tensor.
    """

    kind: str
    layer: int | None = None
    params: dict[str, int] = field(default_factory=dict)
    dtype: str = "i32"
    shape: tuple[int, ...] = ()
    index: tuple[int, ...] | None = None
    claimed: int | None = None
    right: int | None = None


@dataclass(frozen=True)
class _Shown:
    """What a conviction showed."""

    leaf: bytes
    element: int
    op: DescribedOp | None
    openings: tuple[Opening, ...]


def read_element(disputes: DisputeGame, record: DisputedRecord, place: GamePlace) -> DisputedElement | None:
    """What is known of the element at ``place``; None where not even its op is known. Raises ChainError."""
    subject = Subject(*record.subject)
    if place.tensor == 0:
        return DisputedElement(INPUT_KIND)
    shown = _shown(disputes, place.convicting)
    op = shown.op if shown is not None and shown.op is not None else _posted_op(disputes, place.rows_transaction)
    if place.tensor == subject.tensor_count - 1 and op is None and subject.layer_end == subject.layers:
        return _token(subject, place, shown)
    if op is None or not any(one.number == subject.first_number + place.tensor for one in op.outputs):
        return None
    return _of_op(op, subject, place, shown)


def _token(subject: Subject, place: GamePlace, shown: _Shown | None) -> DisputedElement:
    known = DisputedElement(SEQUENCE_KIND, shape=(subject.positions + 1,))
    if shown is None:
        return known
    opening = shown.openings[0] if shown.openings else None
    found = shown_token(subject, place.leaf, shown.leaf, shown.element, opening)
    if found is None:
        return known
    return DisputedElement(
        SEQUENCE_KIND, shape=known.shape, index=found.index, claimed=found.claimed, right=found.right
    )


def _of_op(op: DescribedOp, subject: Subject, place: GamePlace, shown: _Shown | None) -> DisputedElement:
    (output,) = (one for one in op.outputs if one.number == subject.first_number + place.tensor)
    sampled = max(0, subject.positions - subject.prompt_length + 1)
    shape = tuple({-1: subject.positions, -2: sampled}.get(size, size) for size in output.shape)
    found = None
    if shown is not None:
        found = shown_element(op, subject, place.tensor, place.leaf, shown.leaf, shown.element, shown.openings)
    elif place.data is not None and place.element is not None:
        found = shown_element(op, subject, place.tensor, place.leaf, place.data, place.element, ())
    known = op.kind, op.layer, dict(op.params), output.dtype, shape
    return DisputedElement(*known, *((found.index, found.claimed, found.right) if found else ()))


def _posted_op(disputes: DisputeGame, transaction: str | None) -> DescribedOp | None:
    """The op whose descriptor the node showed with the hashes of the tensor."""
    if transaction is None:
        return None
    move = disputes.move_in(transaction, "postRows")
    return None if move is None else _described(move["producer"][2])


def _shown(disputes: DisputeGame, transaction: str | None) -> _Shown | None:
    """What a ``convict`` shows of one step; None for others: of an attention's scores, a timeout."""
    move = None if transaction is None else disputes.move_in(transaction, "convict")
    if move is None:
        return None
    try:
        ((leaf, element, descriptor, openings),) = decode_abi([WITNESS], move["witness"], strict=False)
        return _Shown(leaf, element, _described(descriptor[2]), tuple(Opening(*one) for one in openings))
    except AbiError:
        return None


def _described(data: tuple[bytes, ...]) -> DescribedOp | None:
    try:
        return read_descriptor(data[0]) if data else None
    except ProgramFormatError:
        return None
