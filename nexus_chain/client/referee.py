"""Who is right when two nodes give different rows for the same input: the program, where the client has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nexus_chain.client.boundary_rows import BoundaryRows
from nexus_chain.client.errors import AnswerWrongError, DisagreementError, ReplayMismatchError
from nexus_chain.client.recomputing import compute_segment
from nexus_chain.market.documents import Order
from nexus_chain.program.errors import ProgramError
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.wire.peer import RowArray

if TYPE_CHECKING:
    from nexus_chain.program.model import IntegerModel


class Referee(Protocol):
    """Recomputes what a segment has to give."""

    def recompute(self, segment: int, inputs: RowArray) -> RowArray | None:
        """What ``segment`` gives for the rows ``inputs`` of positions [0, t), i32[t] tokens or i32[t, width].

        Rows i32[t, width], or the sampled tokens i32[t - prompt length + 1]; None where it cannot tell.
        """


class ModelReferee:
    """Recomputes with the model's weights, which are read when they are first needed.

    ``load`` gives the model, checked against its registered roots; None, ModelFilesError or ProgramError where there
    is none.
    """

    def __init__(self, order: Order, prompt_length: int, load: Callable[[], IntegerModel | None]) -> None:
        self._order, self._prompt_length, self._load = order, prompt_length, load
        self._model: IntegerModel | None = None

    def recompute(self, segment: int, inputs: RowArray) -> RowArray | None:
        """See Referee. One prefill."""
        try:
            self._model = self._model or self._load()
        except (ModelFilesError, ProgramError):
            return None
        if self._model is None:
            return None
        ask = self._order.asks[segment]
        layers = ask.layer_start, ask.layer_end
        return compute_segment(self._model, layers, self._order, self._prompt_length, inputs)


@dataclass(frozen=True)
class Disagreement:
    """Two nodes gave different rows of ``segment`` for ``position``; ``wrong`` are those that the program refutes.

    ``wrong`` is empty where nobody recomputed it: then nothing is known about either.
    """

    segment: int
    position: int
    earlier: str
    earlier_row: RowArray
    later: str
    later_row: RowArray
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ruling:
    """``disagreement``, and the first position whose known row does not stand; None where the known rows do.

    ``settled``: False where the later node may be right as well as the earlier one.
    """

    disagreement: Disagreement
    position: int | None
    settled: bool


class Arbitration:
    """Rules on replays that differ from rows which were accepted before.

    The program decides. Without it a third node's replay decides which rows the answer goes on with, and nobody is
    called wrong for it: two nodes may lie alike.
    """

    def __init__(self, seen: BoundaryRows, referee: Referee | None) -> None:
        self._seen, self._referee = seen, referee
        self._open: list[Disagreement] = []

    def rule(self, segment: int, later: str, error: ReplayMismatchError) -> Ruling:
        """What follows from node ``later``'s replay."""
        seen, position = self._seen, error.position
        case = Disagreement(
            segment, position, seen.giver(segment, position), seen.row(segment, position), later, error.row
        )
        right = self._recompute(segment)
        if right is not None:
            return self._by_program(case, right)
        if case.earlier == later:  # it contradicts itself
            return Ruling(_blame(case, later), None, True)
        if any(_agree(case, other) for other in self._open):
            return Ruling(case, position, True)
        self._open.append(case)
        return Ruling(case, None, False)

    def _recompute(self, segment: int) -> RowArray | None:
        if self._referee is None:
            return None
        return self._referee.recompute(segment, self._seen.inputs(segment, 0, self._seen.received(segment)))

    def _by_program(self, case: Disagreement, right: RowArray) -> Ruling:
        first = self._seen.first_difference(case.segment, right)
        wrong = set() if first is None else {self._seen.giver(case.segment, first)}
        matches = np.array_equal(self._seen.row_in(case.segment, right, case.position), case.later_row)
        # A node that repeats a wrong row lies as well.
        if not matches or (first is not None and first < case.position):
            wrong.add(case.later)
        return Ruling(_blame(case, *sorted(wrong)), first, True)


def _blame(case: Disagreement, *nodes: str) -> Disagreement:
    return Disagreement(case.segment, case.position, case.earlier, case.earlier_row, case.later, case.later_row, nodes)


def _agree(one: Disagreement, other: Disagreement) -> bool:
    same = (one.segment, one.position) == (other.segment, other.position) and one.later != other.later
    return same and np.array_equal(one.later_row, other.later_row)


def undecided_error(segment: int) -> DisagreementError:
    """What is raised when nobody is left who agrees with somebody."""
    return DisagreementError(
        f"the nodes that served segment {segment} differ, and nobody is left to tell who is right",
        advice="Ask again; with the model's weights on this machine it is recomputed.",
    )


def answer_wrong_error(token: int, case: Disagreement, *, shown: bool) -> AnswerWrongError:
    """What is raised when token ``token`` of the answer rests on the earlier row of ``case``."""
    what = "is wrong" if case.wrong else "is not what two other nodes give"
    lead = "the text is not to be relied on from" if shown else "nothing wrong was shown, and nobody can go on at"
    return AnswerWrongError(
        f"{lead} token {token}: a row that node {case.earlier} gave for segment {case.segment} {what}",
        advice="Ask again: the route avoids nodes that failed. Text that waits for its receipts is not taken back.",
        token=token,
        told=shown,
    )
