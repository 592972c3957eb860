"""The watcher's core: what is next in a game, whatever happened before; budgets, deadlines, restarts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.chain.dispute_game import GameRecord, GameState
from nexus_chain.errors import WriteAheadLogError
from node.watch.cases import (
    EQUIVOCATION,
    GAME_GAS,
    STEP,
    UNCOVERED_VOID,
    AnswerJudged,
    CaseEnded,
    CaseOpened,
    CaseReopened,
    GameFound,
    MoveMined,
    ReceiptJudged,
    TraceSeen,
    WatchEvent,
    WatchState,
    key_of,
    next_state,
)
from node.watch.errors import PolicyError
from node.watch.log import CaseBook
from node.watch.moves import (
    COMMITMENT_LIFE,
    SHOW_GAS,
    Commit,
    End,
    Facts,
    Open,
    Play,
    Show,
    Timeout,
    Void,
    Wait,
    next_move,
    undone,
)
from node.watch.policy import Budget, Spending, parse_policy

NODE, RECEIPT, ORDER = "0x" + "11" * 20, b"\x01" * 32, b"\x02" * 32
OPENED = CaseOpened(RECEIPT, ORDER, NODE, b"\x03" * 32, STEP, "answer.json", b"\x04" * 32)
NOW = 1_000_000
FACTS = Facts(NOW, False, NOW + 1000, NOW - 10, bond=100, gas_price=1)
EQUIVOCATED = replace(OPENED, kind=EQUIVOCATION, other=b"\x05" * 32)
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
        state = next_state(state, event)
    return state


def game(
    state: GameState, *, nodes_turn: bool = False, deadline: int = NOW + 60, covered: bool = True, bond: int = 100
) -> GameRecord:
    place = {"session": OPENED.session, "receipt": RECEIPT, "tensor": 1, "subtree": 0, "leaf": 2, "element": 3}
    times = {"committed_at": NOW - 10, "turn_started_at": NOW, "deadline": deadline, "nodes_turn": nodes_turn}
    money = {"bond": bond, "covered": covered, "refund": 0}
    return GameRecord(state=state, challenger="0x" + "22" * 20, node=NODE, **place, **times, **money)  # type: ignore[arg-type]


def move(facts: Facts, budget: Budget = RICH, state: WatchState | None = None, key: bytes = RECEIPT) -> object:
    state = state or after(OPENED)
    return next_move(state.cases[key], facts, budget, state)


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
    assert move(replace(FACTS, gone=True)) == End("too late: the node's stake has left")
    assert move(replace(FACTS, session_end=NOW - 1)) == End("too late: the session is over")
    assert move(replace(FACTS, session_end=NOW)) == Open()


def test_budgets_stop_openings_but_never_games() -> None:
    poor = Budget(bonds=99, fees=10**18)
    refused = move(FACTS, poor)
    assert isinstance(refused, Wait)
    assert "99 wei" in refused.reason
    assert isinstance(move(FACTS, Budget(10**18, GAME_GAS - 1)), Wait)
    assert move(FACTS, Budget(100, GAME_GAS)) == Open()
    assert move(replace(FACTS, game=game(GameState.PICK_LEAF)), Budget(0, 0)) == Play(GameState.PICK_LEAF)


def lost(number: int, outcome: str = "acquitted", bond: int = 40) -> list[WatchEvent]:
    """A game that took its course."""
    receipt = number.to_bytes(32, "big")
    return [replace(OPENED, receipt=receipt), GameFound(receipt, number, bond), CaseEnded(receipt, outcome, number)]


def test_lost_bonds_count_for_ever() -> None:
    """Regression: only what was locked counted, so a stranger's files could take one bond after the other."""
    budget = Budget(bonds=180, fees=10**18)
    state = after(*lost(10), *lost(11), OPENED)
    assert (state.lost, state.locked) == (80, 0)
    assert move(FACTS, budget, state) == Open()
    refused = move(FACTS, budget, after(*lost(10), *lost(11), *lost(12), OPENED))
    assert isinstance(refused, Wait)
    assert refused.reason == (
        "the budget for bonds is used up: 100 wei more beside 0 wei in open games and 120 wei lost exceed 180 wei"
    )


@pytest.mark.parametrize(
    ("outcome", "wei"),
    [
        ("acquitted", 41),
        ("given up: the node's trace is right", 41),
        (UNCOVERED_VOID, 21),
        ("void", 0),
        ("convicted", 0),
        ("convicted elsewhere", 0),
        ("too late: the session is over", 0),
    ],
)
def test_what_of_a_bond_is_lost(outcome: str, wei: int) -> None:
    state = after(*lost(10, outcome, bond=41))
    assert (state.lost, state.locked) == (wei, 0)
    assert next_state(state, CaseReopened((10).to_bytes(32, "big"))).lost == 0


def test_fees_are_kept_for_the_games_that_are_open() -> None:
    """Each of several games was allowed what one may cost, and together they could cost more."""
    playing = [replace(OPENED, receipt=ORDER), GameFound(ORDER, 1, 100), MoveMined(ORDER, "open", "0xaa", 1_000_000, 7)]
    state = after(*playing, OPENED)
    needed = 7 + (GAME_GAS - 1_000_000) + GAME_GAS
    assert move(FACTS, Budget(10**18, needed), state) == Open()
    refused = move(FACTS, Budget(10**18, needed - 1), state)
    assert isinstance(refused, Wait)
    assert refused.reason.startswith("the budget for fees is used up")


def test_a_game_is_opened_under_cover_or_not_yet() -> None:
    taken = replace(FACTS, covered=False)
    assert move(FACTS) == Open(only_covered=True)
    assert isinstance(move(taken), Wait)
    assert isinstance(move(replace(taken, committed_at=0)), Wait), "a commitment would only grow old"
    assert move(replace(taken, leaving=True)) == Open(only_covered=False)
    assert move(replace(FACTS, leaving=True)) == Open(only_covered=True)


def test_an_equivocation_needs_no_bond_and_little_gas() -> None:
    state, key = after(EQUIVOCATED), key_of(EQUIVOCATION, RECEIPT)
    assert move(FACTS, Budget(0, SHOW_GAS), state, key) == Show()
    assert isinstance(move(FACTS, Budget(0, SHOW_GAS - 1), state, key), Wait)


def test_nothing_but_the_verdict_ends_an_equivocation() -> None:
    """Regression: it was dropped when the node's line was over, and the contract knows no such limit."""
    state, key = after(EQUIVOCATED), key_of(EQUIVOCATION, RECEIPT)
    late = replace(FACTS, session_end=0, gone=True, leaving=True, covered=False)
    assert move(replace(late, committed_at=0), RICH, state, key) == Commit()
    assert isinstance(move(replace(late, committed_at=NOW), RICH, state, key), Wait)
    assert move(replace(late, committed_at=NOW - 1), RICH, state, key) == Show()
    assert move(replace(late, committed_at=NOW - COMMITMENT_LIFE - 1), RICH, state, key) == Commit()
    assert move(replace(late, convicted=True), RICH, state, key) == End("convicted elsewhere")


def test_a_receipt_of_a_lost_game_can_still_be_half_of_an_equivocation() -> None:
    """Regression: one case a receipt, so a receipt that was accused of a step was never shown with its twin."""
    state = after(*HISTORY, CaseEnded(RECEIPT, "acquitted", 5), EQUIVOCATED)
    assert move(FACTS, RICH, state, key_of(EQUIVOCATION, RECEIPT)) == Show()
    assert state.cases[RECEIPT].outcome == "acquitted"
    assert next_state(state, EQUIVOCATED) is state


def test_logs_of_before_are_read() -> None:
    """They name an equivocation's moves by its receipt, and have cases of a game that is gone."""
    link = replace(OPENED, receipt=ORDER, kind="link")
    state = after(
        EQUIVOCATED, MoveMined(RECEIPT, "commit", "0xaa", 50_000, 7), CaseEnded(RECEIPT, "convicted elsewhere", 3), link
    )
    assert state.cases[key_of(EQUIVOCATION, RECEIPT)].outcome == "convicted elsewhere"
    assert move(FACTS, RICH, state, key_of("link", ORDER)) == End("given up: no such game exists any more")


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
    "state", [GameState.TRACE, GameState.ROWS, GameState.SUBTREE, GameState.BYTES, GameState.SCORES]
)
def test_waits_for_the_node_and_then_calls_time(state: GameState) -> None:
    assert isinstance(move(replace(FACTS, game=game(state, nodes_turn=True, deadline=NOW))), Wait)
    assert move(replace(FACTS, game=game(state, nodes_turn=True, deadline=NOW - 1))) == Timeout()


@pytest.mark.parametrize("state", [GameState.PICK_TENSOR, GameState.PICK_SUBTREE, GameState.PICK_LEAF])
def test_a_pick_raises_the_bond_within_the_budget(state: GameState) -> None:
    facts = replace(FACTS, game=game(state), top_up=25)
    assert move(facts, Budget(125, 0)) == Play(state, top_up=25)
    refused = move(facts, Budget(124, 0))
    assert isinstance(refused, Wait)
    assert refused.reason.startswith("the budget for bonds is used up: 25 wei more beside 100 wei in open games")
    assert isinstance(move(facts, Budget(164, 0), after(*lost(10), OPENED)), Wait), "lost ones count here too"
    assert move(replace(facts, margin=9), Budget(134, 0)) == Play(state, top_up=34)
    assert move(replace(facts, margin=9), Budget(133, 0)) == Play(state, top_up=25)


def test_a_verdict_needs_no_more_bond() -> None:
    facts = replace(FACTS, game=game(GameState.CONVICT), top_up=25)
    assert move(facts, Budget(0, 0)) == Play(GameState.CONVICT)
    assert move(facts, Budget(125, 0)) == Play(GameState.CONVICT, top_up=25), "attention has one more pick"


def test_fetches_the_bond_when_another_challenger_was_faster() -> None:
    assert move(replace(FACTS, convicted=True, game=game(GameState.ROWS, nodes_turn=True))) == Void()


@pytest.mark.parametrize(
    ("state", "outcome"),
    [(GameState.CONVICTED, "convicted"), (GameState.ACQUITTED, "acquitted"), (GameState.VOID, "void")],
)
def test_final_states_end_the_case(state: GameState, outcome: str) -> None:
    assert move(replace(FACTS, convicted=True, game=game(state, deadline=0))) == End(outcome)


def test_half_the_bond_of_a_void_game_without_cover_is_lost() -> None:
    facts = replace(FACTS, convicted=True, game=game(GameState.VOID, deadline=0, covered=False, bond=0))
    assert move(facts) == End(UNCOVERED_VOID)
    case = after(OPENED, CaseEnded(RECEIPT, UNCOVERED_VOID, 5)).cases[RECEIPT]
    assert not undone(case, facts)
    assert undone(case, replace(facts, game=game(GameState.ROWS, covered=False)))


def test_a_game_that_a_reorganisation_removed_is_opened_again() -> None:
    """The log remembers game 3; the chain does not: the chain is right."""
    state = after(*HISTORY)
    assert move(FACTS, Budget(100, 10**18), state) == Open(), "its bond came back with it"
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
    again = next_state(ended, CaseReopened(RECEIPT))
    assert again.locked == 100
    assert not again.book.records[NODE].convicted
    assert again.book.of(NODE) == 0.0, "the receipt stays proven wrong"
    assert move(replace(FACTS, game=game(GameState.CONVICT)), state=again) == Play(GameState.CONVICT)


def test_a_game_that_is_played_again_pardons_no_conviction_of_another_case() -> None:
    """Regression: whatever case was reopened, the node's conviction was forgotten."""
    other = replace(OPENED, receipt=ORDER)
    convicted = [OPENED, other, CaseEnded(RECEIPT, "convicted", 5)]
    void = after(*convicted, CaseEnded(ORDER, "void", 6), CaseReopened(ORDER))
    assert void.book.records[NODE].convicted
    assert not void.cases[ORDER].over


def test_a_pardon_takes_every_conviction_back() -> None:
    other = replace(OPENED, receipt=ORDER)
    both = [OPENED, other, CaseEnded(RECEIPT, "convicted", 5), CaseEnded(ORDER, "convicted elsewhere", 6)]
    assert after(*both, CaseReopened(ORDER)).book.records[NODE].convicted
    assert after(*both, CaseReopened(RECEIPT)).book.records[NODE].convicted
    assert not after(*both, CaseReopened(RECEIPT), CaseReopened(ORDER)).book.records[NODE].convicted
    elsewhere = replace(other, node="0x" + "33" * 20)
    apart = [OPENED, elsewhere, *both[2:], CaseReopened(RECEIPT)]
    assert not after(*apart).book.records[NODE].convicted
    assert after(*apart).book.records[elsewhere.node].convicted


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
    done = next_state(state, CaseEnded(RECEIPT, "convicted", 5))
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
        with pytest.raises(PolicyError, match="policy"):
            parse_policy(wrong)


@given(*[st.integers(0, 1000)] * 6)
def test_budgets_are_never_exceeded(bond: int, fee: int, locked: int, lost: int, fees: int, reserved: int) -> None:
    budget = Budget(500, 500)
    allowed = not budget.refusal(bond, fee, Spending(locked, lost, fees, reserved))
    assert allowed == ((bond == 0 or locked + lost + bond <= 500) and fees + reserved + fee <= 500)


# ------------------------------------------------------------------------- reputation


@pytest.mark.parametrize("outcome", ["acquitted", "void", UNCOVERED_VOID, "given up: x", "too late: x"])
def test_a_game_that_convicts_nobody_changes_no_record(outcome: str) -> None:
    before = after(ReceiptJudged(ORDER, NODE, "right"), OPENED, GameFound(RECEIPT, 3, 100))
    assert next_state(before, CaseEnded(RECEIPT, outcome, 5)).book == before.book
    assert after(OPENED, CaseEnded(RECEIPT, outcome, 5)).book.of(NODE) == 1.0


def test_the_first_trace_of_a_receipt_is_remembered(tmp_path: Path) -> None:
    book = CaseBook(tmp_path / "watch.sqlite")
    book.write(TraceSeen(RECEIPT, b"\x07" * 32, b"one"))
    book.write(TraceSeen(RECEIPT, b"\x08" * 32, b"two"))
    book.close()
    again = CaseBook(tmp_path / "watch.sqlite")
    assert again.state.traces == {RECEIPT: (b"\x07" * 32, b"one")}
    again.close()
