"""The next move about an accused receipt: from what the chain says now, what is known and what may be spent. Pure.

Where a game stands is asked of the chain before every move. So a restart, a lost transaction or a re-organised block
leads to the same next move as if nothing had happened.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nexus_chain.chain.dispute_game import GameRecord, GameState
from node.watch.cases import (
    CONTRADICTION,
    EQUIVOCATION,
    GAME_GAS,
    GIVEN_UP,
    STEP,
    UNCOVERED_VOID,
    Case,
    WatchState,
)
from node.watch.policy import Budget

#: An opening needs a commitment that is at most so old, less a margin for the transaction, seconds.
COMMITMENT_LIFE = 3_600 - 300
#: Gas of a commitment and of the transaction that shows two signatures, with room.
SHOW_GAS = 1_000_000


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


CaseMove = Commit | Open | Show | Play | Timeout | Void | Wait | End

_FINAL = {
    GameState.CONVICTED: "convicted",
    GameState.ACQUITTED: "acquitted",
    GameState.VOID: "void",
}
#: Moves that are refused while the bond is too small; the others may be verdicts, which need none.
_PICKS = (GameState.PICK_TENSOR, GameState.PICK_SUBTREE, GameState.PICK_LEAF)
_ELSEWHERE = "convicted elsewhere"


def _outcome(game: GameRecord) -> str:
    return UNCOVERED_VOID if game.state == GameState.VOID and not game.covered else _FINAL[game.state]


def undone(case: Case, facts: Facts) -> bool:
    """Whether a re-organisation took back what ended ``case``."""
    if case.outcome in (*_FINAL.values(), UNCOVERED_VOID):
        return facts.game is None or not facts.game.state.final or _outcome(facts.game) != case.outcome
    return case.outcome == _ELSEWHERE and not facts.convicted


def next_move(case: Case, facts: Facts, budget: Budget, state: WatchState) -> CaseMove:
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


def _in_game(case: Case, game: GameRecord, facts: Facts, budget: Budget, state: WatchState) -> CaseMove:
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


def _to_show(case: Case, facts: Facts, budget: Budget, state: WatchState) -> CaseMove:
    # INVARIANT: two signatures stay two signatures: no line's or session's end takes the accusation back.
    if facts.convicted:
        return End(_ELSEWHERE)
    refusal = budget.refusal(0, SHOW_GAS * facts.gas_price, state.spending_beside(case, facts.gas_price))
    return Wait(refusal) if refusal else _committed(facts, Show())


def _before_game(case: Case, facts: Facts, budget: Budget, state: WatchState) -> CaseMove:
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


def _committed(facts: Facts, move: CaseMove) -> CaseMove:
    """``move`` once the commitment is ripe and while it is fresh."""
    age = facts.now - facts.committed_at
    if not facts.committed_at or age > COMMITMENT_LIFE:
        return Commit()
    return move if age >= 1 else Wait("the commitment must be a block old")
