"""The watcher's state: what it knows about each answer and each accused receipt. Pure.

The state holds only what the chain cannot tell: whom we decided to accuse and why, the commitment's salt, what was
spent. Event class names stand in the watcher's log: they keep their bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nexus_chain.keccak import keccak256
from nexus_chain.routing.reputation import ReputationBook
from node.watch.policy import Spending

#: Kinds of accusation: two receipts for one input, two traces of one receipt, a wrong step.
EQUIVOCATION, CONTRADICTION, STEP = "equivocation", "contradiction", "step"
#: Gas of all of one challenger's own moves, with room: what a budget must cover before a game is opened.
GAME_GAS = 12_000_000
#: A void game that was not covered: half of its bond is gone.
UNCOVERED_VOID = "void, not covered"
#: What outcomes begin with that are our own decision.
GIVEN_UP = "given up"
#: For so many blocks after its end a case is looked at again: a re-organisation may take the verdict back.
CONFIRMATIONS = 64


@dataclass(frozen=True)
class Case:
    """One accusation. ``answer`` is the file with the evidence, ``other`` the second receipt of an equivocation."""

    receipt: bytes
    order: bytes
    node: str
    session: bytes
    kind: str
    answer: str
    salt: bytes
    other: bytes = b""
    game: int = 0
    bond: int = 0
    fees: int = 0
    gas: int = 0
    transactions: int = 0
    outcome: str = ""
    ended_at: int = 0

    @property
    def key(self) -> bytes:
        """The case's name in the log: two accusations of different kinds may be about one receipt."""
        return key_of(self.kind, self.receipt)

    @property
    def over(self) -> bool:
        return bool(self.outcome)

    @property
    def lost(self) -> int:
        """Wei of the bond that do not come back."""
        if not self.game:
            return 0
        if self.outcome == UNCOVERED_VOID:
            return self.bond - self.bond // 2
        return self.bond if self.outcome == "acquitted" or self.outcome.startswith(GIVEN_UP) else 0


def key_of(kind: str, receipt: bytes) -> bytes:
    """What the log calls a case. A step's is the receipt, as in every log that was ever written."""
    return receipt if kind == STEP else keccak256(kind.encode() + receipt)


@dataclass(frozen=True)
class WatchState:
    """Everything a restarted watcher has to know: verdicts by answer and by receipt, cases by ``key_of``.

    ``traces``: the first trace that a node posted about a receipt, as (root, signature).
    """

    judged: Mapping[bytes, str] = field(default_factory=dict)
    cases: Mapping[bytes, Case] = field(default_factory=dict)
    receipts: Mapping[bytes, str] = field(default_factory=dict)
    book: ReputationBook = field(default_factory=ReputationBook)
    traces: Mapping[bytes, tuple[bytes, bytes]] = field(default_factory=dict)

    def case(self, name: bytes) -> Case:
        """The case that an event names. Logs of before named an equivocation by its receipt alone."""
        return self.cases[name if name in self.cases else key_of(EQUIVOCATION, name)]

    @property
    def locked(self) -> int:
        """Bonds in games that are not over, wei."""
        return sum(case.bond for case in self.cases.values() if not case.over)

    @property
    def spent(self) -> int:
        """Fees paid so far, wei."""
        return sum(case.fees for case in self.cases.values())

    @property
    def lost(self) -> int:
        """Bonds that did not come back, wei."""
        return sum(case.lost for case in self.cases.values())

    def spending_beside(self, one: Case, gas_price: int) -> Spending:
        """What was spent, and what is bound to the other open cases."""
        others = [case for case in self.cases.values() if not case.over and case.key != one.key]
        playing = sum(max(0, GAME_GAS - case.gas) * gas_price for case in others if case.game)
        return Spending(sum(case.bond for case in others), self.lost, self.spent, playing)


# ----------------------------------------------------------------------------- events


@dataclass(frozen=True)
class AnswerJudged:
    """An answer was looked at: ``right``, ``wrong``, ``incomplete`` (nobody can be accused on it),
    ``unchecked`` (the policy spared it) or ``refused`` (not ours).
    """

    answer: bytes
    verdict: str


@dataclass(frozen=True)
class ReceiptJudged:
    """What recomputing said about the output of a receipt whose input is right: ``right`` or ``wrong``."""

    receipt: bytes
    node: str
    verdict: str


@dataclass(frozen=True)
class CaseOpened:
    """A receipt is to be disputed."""

    receipt: bytes
    order: bytes
    node: str
    session: bytes
    kind: str
    answer: str
    salt: bytes
    other: bytes = b""


@dataclass(frozen=True)
class GameFound:
    """The chain has a game of ours about the receipt, or says that its bond was raised."""

    receipt: bytes
    game: int
    bond: int


@dataclass(frozen=True)
class MoveMined:
    """A transaction of ours was mined. ``fee`` in wei."""

    receipt: bytes
    move: str
    transaction: str
    gas: int
    fee: int


@dataclass(frozen=True)
class CaseEnded:
    """Nothing is left to do: ``convicted``, ``acquitted``, ``void`` or why it was given up; at ``block``."""

    receipt: bytes
    outcome: str
    block: int


@dataclass(frozen=True)
class CaseReopened:
    """The chain no longer says how the case ended."""

    receipt: bytes


@dataclass(frozen=True)
class TraceSeen:
    """The node posted a trace with this root, signed by it, about the receipt."""

    receipt: bytes
    root: bytes
    signature: bytes


WatchEvent = AnswerJudged | ReceiptJudged | CaseOpened | GameFound | MoveMined | CaseEnded | CaseReopened | TraceSeen


def next_state(state: WatchState, event: WatchEvent) -> WatchState:
    """The state after ``event``; the same object when nothing changed."""
    match event:
        case AnswerJudged():
            return replace(state, judged={**state.judged, event.answer: event.verdict})
        case ReceiptJudged():
            return _receipt_judged(state, event)
        case CaseOpened():
            # INVARIANT: one case an accusation: a second salt would make the first commitment worthless.
            if key_of(event.kind, event.receipt) in state.cases:
                return state
            fields = {name: getattr(event, name) for name in event.__dataclass_fields__}
            return _with(state, Case(**fields))
        case GameFound():
            known = state.case(event.receipt)
            if (known.game, known.bond) == (event.game, event.bond):
                return state
            return _with(state, replace(known, game=event.game, bond=event.bond))
        case MoveMined():
            known = state.case(event.receipt)
            spent = replace(
                known,
                fees=known.fees + event.fee,
                gas=known.gas + event.gas,
                transactions=known.transactions + 1,
            )
            return _with(state, spent)
        case CaseEnded():
            return _case_ended(state, event)
        case CaseReopened():
            return _case_reopened(state, event)
        case TraceSeen():
            # INVARIANT: the first trace stays: it is what a second one contradicts.
            if event.receipt in state.traces:
                return state
            return replace(state, traces={**state.traces, event.receipt: (event.root, event.signature)})


def _case_ended(state: WatchState, event: CaseEnded) -> WatchState:
    known = state.case(event.receipt)
    ended = _with(state, replace(known, outcome=event.outcome, ended_at=event.block))
    # INVARIANT: a game lowers a reputation by a conviction only: whoever loses one may have been baited into it.
    if not _convicts(ended.cases[known.key]):
        return ended
    return replace(ended, book=state.book.after(known.node, convicted=True))


def _case_reopened(state: WatchState, event: CaseReopened) -> WatchState:
    known = state.case(event.receipt)
    again = _with(state, replace(known, outcome=""))
    # INVARIANT: only a conviction that was taken back is pardon, and only where no other one stands.
    if not _convicts(known) or any(case.node == known.node and _convicts(case) for case in again.cases.values()):
        return again
    return replace(again, book=state.book.pardon(known.node))


def _convicts(case: Case) -> bool:
    return case.outcome.startswith("convicted")


def _receipt_judged(state: WatchState, event: ReceiptJudged) -> WatchState:
    # INVARIANT: a receipt counts once in its node's record, also when a crash has it judged again.
    if event.receipt in state.receipts:
        return state
    book = state.book.after_all([(event.node, event.verdict == "right")])
    return replace(state, receipts={**state.receipts, event.receipt: event.verdict}, book=book)


def _with(state: WatchState, case: Case) -> WatchState:
    return replace(state, cases={**state.cases, case.key: case})
