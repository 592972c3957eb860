"""The watcher's core: what it knows about each accused receipt, and the next move. Pure.

The log holds only what the chain cannot tell: whom we decided to accuse and why, the commitment's
salt, what was spent. Where a game stands is asked of the chain before every move, so a restart, a
lost transaction or a re-organised block leads to the same next move as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nexus_chain.chain.dispute_game import GameRecord, GameState
from nexus_chain.keccak import keccak256
from nexus_chain.routing.reputation import ReputationBook
from node.watch.policy import Budget, Spending

#: Kinds of accusation: two receipts for one input, two traces of one receipt, a wrong step.
EQUIVOCATION, CONTRADICTION, STEP = "equivocation", "contradiction", "step"
#: An opening needs a commitment that is at most so old, less a margin for the transaction, seconds.
COMMITMENT_LIFE = 3_600 - 300
#: Gas of all of one challenger's own moves, with room: what a budget must cover before a game is opened.
GAME_GAS = 12_000_000
#: Gas of a commitment and of the transaction that shows two signatures, with room.
SHOW_GAS = 1_000_000
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


def transition(state: WatchState, event: WatchEvent) -> WatchState:
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
    # INVARIANT: only a conviction that was taken back is pardoned, and only where no other one stands.
    if not _convicts(known) or any(case.node == known.node and _convicts(case) for case in again.cases.values()):
        return again
    return replace(again, book=state.book.pardoned(known.node))


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


# ------------------------------------------------------------------------------ moves


@dataclass(frozen=True)
class Facts:
    """What the chain says about one case now; times are the chain's.

    ``committed_at``: 0 when there is no usable commitment. ``session_end``: no game is opened after it.
    ``leaving``: the node asked for its stake back; ``gone``: it has none any more. ``covered``: gas of a game opened
    now is paid back when the node is convicted. ``bond``: wei that an opening needs; ``top_up``: that the next pick
    must bring, ``margin``: more of it, should the base fee rise meanwhile; ``gas_price``: wei, for the budget.
    """

    now: int
    convicted: bool
    session_end: int
    committed_at: int
    bond: int
    gas_price: int
    leaving: bool = False
    gone: bool = False
    covered: bool = True
    top_up: int = 0
    margin: int = 0
    game: GameRecord | None = None


@dataclass(frozen=True)
class Commit:
    """Send the commitment."""


@dataclass(frozen=True)
class Open:
    """Open the game; ``only_covered``: or have it refused where it would not be."""

    only_covered: bool = True


@dataclass(frozen=True)
class Show:
    """Show the two signatures that contradict each other."""


@dataclass(frozen=True)
class Play:
    """It is our turn: answer what ``state`` asks, with ``top_up`` wei for the bond."""

    state: GameState
    top_up: int = 0


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


Move = Commit | Open | Show | Play | Timeout | Void | Wait | End

_FINAL = {
    GameState.CONVICTED: "convicted",
    GameState.ACQUITTED: "acquitted",
    GameState.VOID: "void",
}
#: Moves that are refused while the bond is too small; the others may be verdicts, which need none.
_PICKS = (GameState.PICK_TENSOR, GameState.PICK_SUBTREE, GameState.PICK_LEAF)
#: A void game that was not covered: half of its bond is gone.
UNCOVERED_VOID = "void, not covered"
#: What outcomes begin with that are our own decision.
GIVEN_UP = "given up"
_ELSEWHERE = "convicted elsewhere"


def _outcome(game: GameRecord) -> str:
    return UNCOVERED_VOID if game.state == GameState.VOID and not game.covered else _FINAL[game.state]


def undone(case: Case, facts: Facts) -> bool:
    """Whether a re-organisation took back what ended ``case``."""
    if case.outcome in (*_FINAL.values(), UNCOVERED_VOID):
        return facts.game is None or not facts.game.state.final or _outcome(facts.game) != case.outcome
    return case.outcome == _ELSEWHERE and not facts.convicted


def next_move(case: Case, facts: Facts, budget: Budget, state: WatchState) -> Move:
    """What to do about ``case`` now."""
    if case.over:
        return End(case.outcome)
    if case.kind in (EQUIVOCATION, CONTRADICTION):
        return _to_show(case, facts, budget, state)
    if case.kind != STEP:
        return End(f"{GIVEN_UP}: no such game exists any more")
    if facts.game is not None:
        return _in_game(case, facts.game, facts, budget, state)
    return _before_game(case, facts, budget, state)


def _in_game(case: Case, game: GameRecord, facts: Facts, budget: Budget, state: WatchState) -> Move:
    if game.state in _FINAL:
        return End(_outcome(game))
    if facts.convicted:
        return Void()
    if facts.now > game.deadline:
        # INVARIANT: our own missed turn is not ended by us: the node's side may do that, we only lose by it.
        return Timeout() if game.nodes_turn else Wait("our turn is over, the game is lost")
    if game.nodes_turn:
        return Wait(f"the node answers {game.state.name}", game.deadline + 1)
    # INVARIANT: a bond grows within the budget only, also where the game is lost without: the base fee may fall again.
    beside = state.spending_beside(case, facts.gas_price)
    spending, refusal = replace(beside, locked=beside.locked + game.bond), ""
    for wei in (facts.top_up + facts.margin, facts.top_up):
        refusal = budget.bond_refusal(wei, spending)
        if not refusal:
            return Play(game.state, wei)
    return Wait(refusal) if game.state in _PICKS else Play(game.state)


def _to_show(case: Case, facts: Facts, budget: Budget, state: WatchState) -> Move:
    # INVARIANT: two signatures stay two signatures: no line's or session's end takes the accusation back.
    if facts.convicted:
        return End(_ELSEWHERE)
    refusal = budget.refusal(0, SHOW_GAS * facts.gas_price, state.spending_beside(case, facts.gas_price))
    return Wait(refusal) if refusal else _committed(facts, Show())


def _before_game(case: Case, facts: Facts, budget: Budget, state: WatchState) -> Move:
    if facts.convicted:
        return End(_ELSEWHERE)
    if facts.gone:
        return End("too late: the node's stake has left")
    if facts.now > facts.session_end:
        return End("too late: the session is over")
    refusal = budget.refusal(facts.bond, GAME_GAS * facts.gas_price, state.spending_beside(case, facts.gas_price))
    if refusal:
        return Wait(refusal)
    # INVARIANT: without cover half the bond is lost to a node that convicts itself: only where there is no other way.
    if not facts.covered and not facts.leaving:
        return Wait("as many games about the node are open as are covered; waiting for one to end")
    return _committed(facts, Open(only_covered=facts.covered))


def _committed(facts: Facts, move: Move) -> Move:
    """``move`` once the commitment is ripe and while it is fresh."""
    age = facts.now - facts.committed_at
    if not facts.committed_at or age > COMMITMENT_LIFE:
        return Commit()
    return move if age >= 1 else Wait("the commitment must be a block old")
