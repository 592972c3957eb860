"""The watcher's core: what is next in a game, whatever happened before; budgets, deadlines, restarts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.chain.dispute_game import GameRecord, GameState
from node.errors import ConfigurationError, WriteAheadLogError
from node.watch.cases import (
    COMMITMENT_LIFE,
    EQUIVOCATION,
    GAME_GAS,
    LINK,
    STEP,
    AnswerJudged,
    CaseEnded,
    CaseOpened,
    CaseReopened,
    Commit,
    End,
    Facts,
    GameFound,
    MoveMined,
    Open,
    Play,
    ReceiptJudged,
    Timeout,
    Void,
    Wait,
    WatchEvent,
    WatchState,
    next_move,
    transition,
    undone,
)
from node.watch.log import CaseBook
from node.watch.policy import Budget, parse_policy

NODE, RECEIPT, ORDER = "0x" + "11" * 20, b"\x01" * 32, b"\x02" * 32
OPENED = CaseOpened(RECEIPT, ORDER, NODE, b"\x03" * 32, STEP, "answer.json", b"\x04" * 32)
NOW = 1_000_000
FACTS = Facts(NOW, False, False, NOW + 1000, NOW - 10, bond=100, gas_price=1)
RICH = Budget(10**18, 10**18)
HISTORY: list[WatchEvent] = [
    AnswerJudged(ORDER, "wrong"),
    ReceiptJudged(RECEIPT, NODE, "wrong"),
    OPENED,
    MoveMined(RECEIPT, "commit", "0xaa", 50_000, 7),
    GameFound(RECEIPT, 3, 100),
    MoveMined(RECEIPT, "open", "0xbb", 400_000, 9),
]


def after(*events: WatchEvent) -> WatchState:
    state = WatchState()
    for event in events:
        state = transition(state, event)
    return state


def game(state: GameState, *, nodes_turn: bool = False, deadline: int = NOW + 60) -> GameRecord:
    return GameRecord(
        state, "0x" + "22" * 20, NODE, OPENED.session, RECEIPT, 100, 0, NOW - 10, NOW, deadline, nodes_turn, 1, 0, 2, 3
    )


def move(facts: Facts, budget: Budget = RICH, state: WatchState | None = None) -> object:
    state = state or after(OPENED)
    return next_move(state.cases[RECEIPT], facts, budget, state)


# --------------------------------------------------------------------- before the game


def test_commits_then_waits_a_block_then_opens() -> None:
    assert move(replace(FACTS, committed_at=0)) == Commit()
    assert isinstance(move(replace(FACTS, committed_at=NOW)), Wait)
    assert move(replace(FACTS, committed_at=NOW - 1)) == Open()


def test_an_old_commitment_is_renewed() -> None:
    assert move(replace(FACTS, committed_at=NOW - COMMITMENT_LIFE)) == Open()
    assert move(replace(FACTS, committed_at=NOW - COMMITMENT_LIFE - 1)) == Commit()


def test_no_game_is_opened_when_it_cannot_count() -> None:
    assert move(replace(FACTS, convicted=True)) == End("convicted elsewhere")
    assert isinstance(move(replace(FACTS, settled=True)), End)
    assert isinstance(move(replace(FACTS, line_end=NOW - 1)), End)
    assert move(replace(FACTS, line_end=NOW)) == Open()


def test_budgets_stop_openings_but_never_games() -> None:
    poor = Budget(bonds=99, fees=10**18)
    refused = move(FACTS, poor)
    assert isinstance(refused, Wait)
    assert "99 wei" in refused.reason
    assert isinstance(move(FACTS, Budget(10**18, GAME_GAS - 1)), Wait)
    assert move(FACTS, Budget(100, GAME_GAS)) == Open()
    assert move(replace(FACTS, game=game(GameState.PICK_LEAF)), Budget(0, 0)) == Play(GameState.PICK_LEAF)


def test_an_equivocation_needs_no_bond() -> None:
    state = after(replace(OPENED, kind=EQUIVOCATION, other=b"\x05" * 32))
    assert move(FACTS, Budget(0, 10**18), state) == Open()
    assert isinstance(move(FACTS, Budget(0, 10**18), after(replace(OPENED, kind=LINK))), Wait)


# ------------------------------------------------------------------------ in the game


@pytest.mark.parametrize(
    "state",
    [GameState.PICK_TENSOR, GameState.PICK_SUBTREE, GameState.PICK_LEAF, GameState.CONVICT, GameState.CONVICT_SCORES],
)
def test_plays_its_turns(state: GameState) -> None:
    assert move(replace(FACTS, game=game(state))) == Play(state)
    assert move(replace(FACTS, game=game(state, deadline=NOW))) == Play(state)
    assert isinstance(move(replace(FACTS, game=game(state, deadline=NOW - 1))), Wait)


@pytest.mark.parametrize(
    "state", [GameState.LINK, GameState.TRACE, GameState.ROWS, GameState.SUBTREE, GameState.BYTES, GameState.SCORES]
)
def test_waits_for_the_node_and_then_calls_time(state: GameState) -> None:
    assert isinstance(move(replace(FACTS, game=game(state, nodes_turn=True, deadline=NOW))), Wait)
    assert move(replace(FACTS, game=game(state, nodes_turn=True, deadline=NOW - 1))) == Timeout()


def test_fetches_the_bond_when_another_challenger_was_faster() -> None:
    assert move(replace(FACTS, convicted=True, game=game(GameState.ROWS, nodes_turn=True))) == Void()


@pytest.mark.parametrize(
    ("state", "outcome"),
    [(GameState.CONVICTED, "convicted"), (GameState.ACQUITTED, "acquitted"), (GameState.VOID, "void")],
)
def test_final_states_end_the_case(state: GameState, outcome: str) -> None:
    assert move(replace(FACTS, convicted=True, game=game(state, deadline=0))) == End(outcome)


def test_a_game_that_a_reorganisation_removed_is_opened_again() -> None:
    """The log remembers game 3; the chain does not: the chain is right."""
    state = after(*HISTORY)
    assert move(FACTS, state=state) == Open()
    assert move(replace(FACTS, committed_at=0), state=state) == Commit()


@pytest.mark.parametrize("outcome", ["convicted", "acquitted", "void"])
def test_a_verdict_that_a_reorganisation_took_back_reopens_the_case(outcome: str) -> None:
    """The game is younger again, gone, or ended otherwise: whatever the chain says is played on."""
    ended = after(*HISTORY, CaseEnded(RECEIPT, outcome, 5))
    case, state = ended.cases[RECEIPT], GameState[outcome.upper()]
    assert not undone(case, replace(FACTS, game=game(state)))
    others = [s for s in (GameState.CONVICTED, GameState.ACQUITTED, GameState.VOID) if s != state]
    for other in (GameState.CONVICT, GameState.ROWS, *others):
        assert undone(case, replace(FACTS, game=game(other)))
    assert undone(case, FACTS)
    again = transition(ended, CaseReopened(RECEIPT))
    assert again.locked == 100
    assert not again.book.records[NODE].convicted
    assert again.book.of(NODE) == 0.0, "the receipt stays proven wrong"
    assert move(replace(FACTS, game=game(GameState.CONVICT)), state=again) == Play(GameState.CONVICT)


def test_a_conviction_elsewhere_can_be_taken_back_too() -> None:
    case = after(OPENED, CaseEnded(RECEIPT, "convicted elsewhere", 5)).cases[RECEIPT]
    assert undone(case, FACTS)
    assert not undone(case, replace(FACTS, convicted=True))
    given_up = replace(case, outcome="given up: the node's trace is right")
    assert not undone(given_up, FACTS)


# ---------------------------------------------------------------------------- the log


def test_a_restart_at_any_point_gives_the_same_state(tmp_path: Path) -> None:
    for length in range(len(HISTORY) + 1):
        path = tmp_path / f"{length}.sqlite"
        book = CaseBook(path)
        for event in HISTORY[:length]:
            book.write(event)
        book.close()
        again = CaseBook(path)
        assert again.state == after(*HISTORY[:length])
        again.close()


def test_money_and_moves_are_counted() -> None:
    state = after(*HISTORY)
    assert (state.locked, state.spent) == (100, 16)
    assert state.cases[RECEIPT].transactions == 2
    assert state.book.of(NODE) == 0.0
    done = transition(state, CaseEnded(RECEIPT, "convicted", 5))
    assert (done.locked, done.spent) == (0, 16)
    assert done.book.records[NODE].convicted
    assert move(FACTS, state=done) == End("convicted")


@given(st.lists(st.sampled_from([OPENED, HISTORY[1], HISTORY[4]]), max_size=6))
def test_what_a_crash_repeats_counts_once(events: list[WatchEvent]) -> None:
    once = after(OPENED, HISTORY[1], HISTORY[4])
    assert after(OPENED, HISTORY[1], HISTORY[4], *events) == once


def test_a_damaged_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "watch.sqlite"
    path.write_bytes(b"not a database, and long enough to be looked at" * 50)
    with pytest.raises(WriteAheadLogError, match="damaged"):
        CaseBook(path)


# ------------------------------------------------------------------------- the policy


def test_policies() -> None:
    assert parse_policy("trust") == 0.0
    assert parse_policy("full") == 1.0
    assert parse_policy("sample=0.25") == 0.25
    for wrong in ("", "sample", "sample=0", "sample=2", "sample=x", "most", "sample=nan"):
        with pytest.raises(ConfigurationError, match="policy"):
            parse_policy(wrong)


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_budgets_are_never_exceeded(bond: int, fee: int, locked: int, spent: int) -> None:
    budget = Budget(500, 500)
    allowed = not budget.refusal(bond, fee, locked, spent)
    assert allowed == (locked + bond <= 500 and spent + fee <= 500)
