"""The watcher's core: what it knows about each accused receipt, and the next move. Pure.

The log holds only what the chain cannot tell: whom we decided to accuse and why, the commitment's
salt, what was spent. Where a game stands is asked of the chain before every move, so a restart, a
lost transaction or a re-organised block leads to the same next move as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nexus_chain.chain.dispute_game import GameRecord, GameState
from nexus_chain.routing.reputation import ReputationBook
from node.watch.policy import Budget

#: Kinds of accusation, cheapest first.
EQUIVOCATION, LINK, STEP = "equivocation", "link", "step"
#: An opening needs a commitment that is at most so old, less a margin for the transaction, seconds.
COMMITMENT_LIFE = 3_600 - 300
#: Gas of all of one challenger's own moves, with room: what a budget must cover before a game is opened.
GAME_GAS = 12_000_000
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
    def over(self) -> bool:
        return bool(self.outcome)


@dataclass(frozen=True)
class WatchState:
    """Everything a restarted watcher has to know: verdicts by answer and by receipt, cases by receipt digest."""

    judged: Mapping[bytes, str] = field(default_factory=dict)
    cases: Mapping[bytes, Case] = field(default_factory=dict)
    receipts: Mapping[bytes, str] = field(default_factory=dict)
    book: ReputationBook = field(default_factory=ReputationBook)

    @property
    def locked(self) -> int:
        """Bonds in games that are not over, wei."""
        return sum(case.bond for case in self.cases.values() if not case.over)

    @property
    def spent(self) -> int:
        """Fees paid so far, wei."""
        return sum(case.fees for case in self.cases.values())


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
    """What recomputing said about a receipt: ``right`` or ``wrong``."""

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
    """The chain has a game of ours about the receipt."""

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


WatchEvent = AnswerJudged | ReceiptJudged | CaseOpened | GameFound | MoveMined | CaseEnded | CaseReopened


def transition(state: WatchState, event: WatchEvent) -> WatchState:
    """The state after ``event``; the same object when nothing changed."""
    match event:
        case AnswerJudged():
            return replace(state, judged={**state.judged, event.answer: event.verdict})
        case ReceiptJudged():
            return _receipt_judged(state, event)
        case CaseOpened():
            # INVARIANT: one case a receipt: a second salt would make the first commitment worthless.
            if event.receipt in state.cases:
                return state
            fields = {name: getattr(event, name) for name in event.__dataclass_fields__}
            return _with(state, Case(**fields))
        case GameFound():
            known = state.cases[event.receipt]
            if known.game == event.game:
                return state
            return _with(state, replace(known, game=event.game, bond=event.bond))
        case MoveMined():
            known = state.cases[event.receipt]
            spent = replace(
                known,
                fees=known.fees + event.fee,
                gas=known.gas + event.gas,
                transactions=known.transactions + 1,
            )
            return _with(state, spent)
        case CaseEnded():
            known = state.cases[event.receipt]
            book = state.book.after(known.node, convicted=event.outcome.startswith("convicted"))
            ended = replace(known, outcome=event.outcome, ended_at=event.block)
            return replace(_with(state, ended), book=book)
        case CaseReopened():
            known = state.cases[event.receipt]
            return replace(_with(state, replace(known, outcome="")), book=state.book.pardoned(known.node))


def _receipt_judged(state: WatchState, event: ReceiptJudged) -> WatchState:
    # INVARIANT: a receipt counts once in its node's record, also when a crash has it judged again.
    if event.receipt in state.receipts:
        return state
    book = state.book.after_all([(event.node, event.verdict == "right")])
    return replace(state, receipts={**state.receipts, event.receipt: event.verdict}, book=book)


def _with(state: WatchState, case: Case) -> WatchState:
    return replace(state, cases={**state.cases, case.receipt: case})


# ------------------------------------------------------------------------------ moves


@dataclass(frozen=True)
class Facts:
    """What the chain says about one case now; times are the chain's.

    ``committed_at``: 0 when there is no usable commitment. ``line_end``: no game is opened after it.
    ``bond``: wei that an opening needs; ``gas_price``: wei, for the budget.
    """

    now: int
    convicted: bool
    settled: bool
    line_end: int
    committed_at: int
    bond: int
    gas_price: int
    game: GameRecord | None = None


@dataclass(frozen=True)
class Commit:
    """Send the commitment."""


@dataclass(frozen=True)
class Open:
    """Open the game, or show the equivocation."""


@dataclass(frozen=True)
class Play:
    """It is our turn: answer what ``state`` asks."""

    state: GameState


@dataclass(frozen=True)
class Timeout:
    """The other side let its deadline pass."""


@dataclass(frozen=True)
class Void:
    """The node was convicted elsewhere: fetch the bond."""


@dataclass(frozen=True)
class Wait:
    """Nothing to do before ``until`` (0: look again next round)."""

    reason: str
    until: int = 0


@dataclass(frozen=True)
class End:
    """The case is over."""

    outcome: str


Move = Commit | Open | Play | Timeout | Void | Wait | End

_FINAL = {
    GameState.CONVICTED: "convicted",
    GameState.ACQUITTED: "acquitted",
    GameState.VOID: "void",
}


_ELSEWHERE = "convicted elsewhere"


def undone(case: Case, facts: Facts) -> bool:
    """Whether a re-organisation took back what ended ``case``."""
    if case.outcome in _FINAL.values():
        return facts.game is None or _FINAL.get(facts.game.state) != case.outcome
    return case.outcome == _ELSEWHERE and not facts.convicted


def next_move(case: Case, facts: Facts, budget: Budget, state: WatchState) -> Move:
    """What to do about ``case`` now."""
    if case.over:
        return End(case.outcome)
    if facts.game is not None:
        return _in_game(facts.game, facts)
    return _before_game(case, facts, budget, state)


def _in_game(game: GameRecord, facts: Facts) -> Move:
    if game.state in _FINAL:
        return End(_FINAL[game.state])
    if facts.convicted:
        return Void()
    if facts.now > game.deadline:
        # INVARIANT: our own missed turn is not ended by us: the node's side may do that, we only lose by it.
        return Timeout() if game.nodes_turn else Wait("our turn is over, the game is lost")
    if game.nodes_turn:
        return Wait(f"the node answers {game.state.name}", game.deadline + 1)
    return Play(game.state)


def _before_game(case: Case, facts: Facts, budget: Budget, state: WatchState) -> Move:
    if facts.convicted:
        return End(_ELSEWHERE)
    if facts.settled or facts.now > facts.line_end:
        return End("too late: the node's line is over")
    bond = 0 if case.kind == EQUIVOCATION else facts.bond
    refusal = budget.refusal(bond, GAME_GAS * facts.gas_price, state.locked, state.spent)
    if refusal:
        return Wait(refusal)
    age = facts.now - facts.committed_at
    if not facts.committed_at or age > COMMITMENT_LIFE:
        return Commit()
    if age < 1:
        return Wait("the commitment must be a block old")
    return Open()
