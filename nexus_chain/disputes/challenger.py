"""The challenger's choices: where does the node's trace first leave the program?

Traces are compared in order. The inputs of the first wrong tensor are right, so its first wrong element contradicts
them. One step shows this, whatever the node wrote after it. Pure: published data and the own recomputation go in, a
choice comes out.
"""

from __future__ import annotations

from collections.abc import Sequence

from nexus_chain.disputes import defender
from nexus_chain.disputes.errors import NothingToDisputeError
from nexus_chain.disputes.operators.attention import RECORD_BYTES, ScoreRow
from nexus_chain.disputes.trace import Trace
from nexus_chain.disputes.witness_abi import ScorePart
from nexus_chain.program.dtypes import DTYPE_BYTES

_KEEP_QUIET = "Do not open a game on this receipt: the node would win it."


def pick_tensor(posted: Sequence[bytes], own: Sequence[bytes]) -> int:
    """Number of the first tensor whose posted root is not the recomputed one."""
    return _first_difference(posted, own, "tensor root")


def pick_subtree(posted: Sequence[bytes], trace: Trace, number: int) -> int:
    """Index of the first subtree of a large tensor whose posted root is not the recomputed one."""
    return _first_difference(posted, defender.subtree_roots(trace.tree(number)), "subtree root")


def pick_leaf(posted: Sequence[bytes], trace: Trace, number: int, first: int = 0) -> int:
    """Index of the first leaf of tensor ``number`` whose posted hash is not the recomputed one.

    ``posted`` are the hashes from leaf ``first`` on.
    """
    tree = trace.tree(number)
    own = [tree.leaf(first + index) for index in range(len(posted))]
    return first + _first_difference(posted, own, "leaf hash")


def pick_element(posted: bytes, trace: Trace, number: int, leaf: int) -> int:
    """The first wrong element of a published leaf, counted within the leaf."""
    size = DTYPE_BYTES[trace.layout.tensor(number).dtype]
    own = defender.leaf(trace, number, leaf).data
    if len(posted) != len(own):  # convicts by itself, whichever element is named
        return 0
    return _first_difference(_cut(posted, size), _cut(own, size), "element")


def wrong_statement(posted: tuple[bytes, bytes], right: ScoreRow) -> tuple[ScorePart, int]:
    """What to step in a posted score row (records, scores): its first wrong score, else record, else the sum.

    A score is judged from committed rows and the sum from posted records, but a record from posted
    scores *and* every record's maximum: a wrong maximum therefore comes before any other record.
    """
    records, scores = (_cut(data, size) for data, size in zip(posted, (RECORD_BYTES, 4), strict=True))
    own_records, own_scores = _cut(right.record_bytes, RECORD_BYTES), _cut(right.score_bytes, 4)
    questions = (
        (ScorePart.SCORE, scores, own_scores),
        (ScorePart.BLOCK, [record[:4] for record in records], [record[:4] for record in own_records]),
        (ScorePart.BLOCK, records, own_records),
    )
    for part, theirs, ours in questions:
        for at, (found, expected) in enumerate(zip(theirs, ours, strict=True)):
            if found != expected:
                return part, at
    return ScorePart.SUM, 0


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def _first_difference(posted: Sequence[bytes], own: Sequence[bytes], what: str) -> int:
    for index, (theirs, ours) in enumerate(zip(posted, own, strict=True)):
        if theirs != ours:
            return index
    raise NothingToDisputeError(f"Every posted {what} is the recomputed one", advice=_KEEP_QUIET)
