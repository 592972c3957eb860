"""The pure core: whatever events come, the money adds up, and a replay gives the same state."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from immutables import Map

from nexus_chain.event_log import decode, encode
from nexus_chain.market.documents import DISCARDS_PER_POSITION
from nexus_chain.market.errors import VoucherOverCapError
from node.daemon.errors import NotPrepaidError, OrderConflictError, ServingError, SessionNotOpenError, UnknownOrderError
from node.daemon.ledger.effects import CloseLine, ForgetSession, LogReceipt, PostVoucher, SettleLine, vouchers_to_post
from node.daemon.ledger.events import (
    Event,
    OrderReceived,
    PredecessorKept,
    ReceiptSigned,
    RowsDiscarded,
    RowsReceived,
    RowsRecovered,
    SessionForgotten,
    SessionObserved,
    TimePassed,
    VoucherReceived,
)
from node.daemon.ledger.ledger import Ledger
from node.daemon.ledger.state import NodeState, Terms
from node.daemon.ledger.transition import transition
from node.daemon.ledger.write_ahead_log import LOGGED_EVENTS, WriteAheadLog

TERMS = Terms(rows_kept=100, close_idle_after=500)
SESSIONS = [bytes([n]) * 32 for n in (1, 2)]
ORDERS = [bytes([n]) * 32 for n in (11, 12, 13)]


def observed(session: bytes = SESSIONS[0], **changes: object) -> SessionObserved:
    facts = {"signer": "0x" + "22" * 20, "expiry": 1000, "end": 1060, "closing": False, "cap": 300}
    facts |= {"posted": 0, "settled": False, "session_end": 1060}
    return SessionObserved(session=session, **{**facts, **changes})  # type: ignore[arg-type]


def voucher(amount: int, session: bytes = SESSIONS[0], at: int = 0) -> VoucherReceived:
    return VoucherReceived(session, amount, f"voucher of {amount}", bytes([amount % 256]), at)


def order(
    digest: bytes = ORDERS[0], session: bytes = SESSIONS[0], prompt_length: int = 4, credit: int = 0
) -> OrderReceived:
    return OrderReceived(digest, session, "{}", b"s", 0, prompt_length, b"", 2, 60, credit)


def receipt(to: int, digest: bytes = ORDERS[0], start: int = 0) -> ReceiptSigned:
    return ReceiptSigned(digest, start, to, bytes(32), f"receipt up to {to}", b"s")


def after(*events: Event) -> NodeState:
    state = NodeState(TERMS)
    for event in events:
        state, _ = transition(state, event)
    return state


def due(state: NodeState, now: int) -> tuple[object, ...]:
    return transition(state, TimePassed(now))[1]


def is_open(state: NodeState, event: ReceiptSigned) -> bool:
    """The service signs open positions only."""
    known = state.orders.get(event.order)
    return known is not None and known.billed < event.to_position <= known.length


amounts = st.integers(0, 400)
events = st.one_of(
    st.builds(observed, st.sampled_from(SESSIONS), closing=st.booleans(), cap=st.integers(200, 400)),
    st.builds(voucher, amounts, st.sampled_from(SESSIONS), st.integers(0, 2000)),
    st.builds(
        order, st.sampled_from(ORDERS), st.sampled_from(SESSIONS), st.integers(1, 5), st.sampled_from([0, 0, 3, 9])
    ),
    st.builds(RowsReceived, st.sampled_from(ORDERS), st.integers(0, 40), st.integers(0, 40), st.integers(0, 1100)),
    st.builds(RowsDiscarded, st.sampled_from(ORDERS), st.integers(0, 40)),
    st.builds(receipt, st.integers(1, 40), st.sampled_from(ORDERS)),
    st.builds(TimePassed, st.integers(0, 2000)),
)


@given(st.lists(events, max_size=40))
@settings(deadline=None, max_examples=150)
def test_no_history_makes_a_node_compute_more_than_it_was_promised(history: list[Event]) -> None:
    state = NodeState(TERMS)
    for event in history:
        if isinstance(event, ReceiptSigned) and not is_open(state, event):
            continue
        before = state
        try:
            state, _ = transition(state, event)
        except (ServingError, VoucherOverCapError):
            assert state is before
        for session in state.sessions.values():
            mine = [one for one in state.orders.values() if one.session == session.session]
            assert session.computed == sum(max(0, one.length - one.credit) * one.wei_per_token for one in mine)
            assert session.computed <= session.cumulative
            known_before = before.sessions.get(session.session)
            assert session.cumulative >= (known_before.cumulative if known_before else 0)
        assert state.receipts == sum(len(one.receipts) for one in state.orders.values())
        for one in state.orders.values():
            assert one.closed <= one.length <= one.limit
            assert one.discarded <= DISCARDS_PER_POSITION * one.limit
            known = before.orders.get(one.digest)
            assert known is None or one.length >= min(known.length, max(known.billed, known.prompt_length))
            assert known is None or one.credit == known.credit


@given(st.lists(events, max_size=25))
@settings(deadline=None, max_examples=25)
def test_replaying_the_log_gives_the_state_that_was_lost(history: list[Event]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.sqlite"
        ledger = Ledger(WriteAheadLog(path), TERMS)
        for event in history:
            if isinstance(event, ReceiptSigned) and not is_open(ledger.state, event):
                continue
            with contextlib.suppress(ServingError, VoucherOverCapError):
                ledger.dispatch(event)
        # How much was dropped is not remembered: a client cannot restart a node.
        lost = ledger.state
        orders = Map({digest: replace(one, discarded=0) for digest, one in lost.orders.items()})
        lost = replace(lost, orders=orders)
        ledger.close()
        again = Ledger(WriteAheadLog(path), TERMS)
        for known in lost.orders.values():
            again.dispatch(RowsRecovered(known.digest, known.length))
        assert again.state == lost
        again.close()


@given(
    st.one_of(
        st.builds(
            OrderReceived, st.binary(), st.binary(), st.text(), st.binary(), st.integers(), st.integers(), st.binary(),
            st.integers(0, 2**128), st.integers(), st.integers(), st.text(), st.binary(),
        ),
        st.builds(VoucherReceived, st.binary(), st.integers(0, 2**128), st.text(), st.binary(), st.integers()),
        st.builds(ReceiptSigned, st.binary(), st.integers(), st.integers(), st.binary(), st.text(), st.binary()),
        st.builds(SessionForgotten, st.binary()),
    )
)  # fmt: skip
def test_an_event_is_read_back_as_it_was_written(event: Event) -> None:
    assert decode(type(event).__name__, encode(event), LOGGED_EVENTS) == event


def test_an_order_that_an_older_program_logged_has_no_free_positions() -> None:
    written = json.loads(encode(order()))
    for name in ("credit", "credit_receipt", "credit_signature"):
        del written[name]
    assert decode("OrderReceived", json.dumps(written), LOGGED_EVENTS) == order()


def test_free_positions_are_neither_billed_nor_given_later() -> None:
    state = after(observed(), order(credit=9), RowsReceived(ORDERS[0], 0, 9, 0))
    assert state.session(SESSIONS[0]).computed == 0
    with pytest.raises(NotPrepaidError):
        transition(state, RowsReceived(ORDERS[0], 9, 1, 0))
    assert transition(state, order())[0] is state
    with pytest.raises(OrderConflictError):
        transition(state, order(credit=8))
    with pytest.raises(OrderConflictError):
        transition(after(observed(), voucher(8), order()), order(credit=9))


def test_vouchers_merge_by_maximum() -> None:
    state = after(observed(), voucher(50), voucher(30), voucher(50))
    session = state.session(SESSIONS[0])
    assert (session.cumulative, session.voucher) == (50, "voucher of 50")


def test_voucher_over_the_cap_is_refused() -> None:
    with pytest.raises(VoucherOverCapError):
        transition(after(observed()), voucher(301))


def test_what_is_unknown_is_refused() -> None:
    with pytest.raises(SessionNotOpenError):
        transition(after(), voucher(1))
    with pytest.raises(UnknownOrderError):
        transition(after(), RowsReceived(ORDERS[0], 0, 1, 0))


def test_closing_session_takes_no_order_and_no_rows() -> None:
    state = after(observed(), voucher(100), order(), observed(closing=True))
    for event in (order(ORDERS[1]), RowsReceived(ORDERS[0], 0, 4, 0)):
        with pytest.raises(SessionNotOpenError):
            transition(state, event)


def test_rows_after_the_expiry_are_refused() -> None:
    with pytest.raises(SessionNotOpenError):
        transition(after(observed(), voucher(100), order()), RowsReceived(ORDERS[0], 0, 4, 1000))


def test_one_voucher_does_not_pay_two_orders() -> None:
    state = after(observed(), voucher(8), order(), RowsReceived(ORDERS[0], 0, 4, 0))
    with pytest.raises(NotPrepaidError):
        transition(state, order(ORDERS[1]))


def test_the_same_order_again_changes_nothing_and_another_way_is_refused() -> None:
    state = after(observed(), voucher(8), order())
    assert transition(state, order())[0] is state
    with pytest.raises(OrderConflictError):
        transition(state, order(prompt_length=3))


def test_a_receipt_has_to_be_logged() -> None:
    state = after(observed(), voucher(8), order(), RowsReceived(ORDERS[0], 0, 4, 0))
    state, effects = transition(state, receipt(4))
    assert effects == (LogReceipt(0, "receipt up to 4", b"s"),)


# ------------------------------------------------------------------ what is due when


def test_a_running_session_needs_nothing() -> None:
    assert due(after(observed(), voucher(50)), 400) == ()


def test_voucher_is_posted_when_the_session_closes_or_expires() -> None:
    expected = (PostVoucher(SESSIONS[0], "voucher of 50", bytes([50])),)
    assert due(after(observed(), voucher(50), observed(closing=True, end=100)), 60) == expected
    assert due(after(observed(), voucher(50, at=900)), 1000) == expected
    assert due(after(observed(), voucher(50), observed(closing=True, end=100, posted=50)), 60) == ()


def test_idle_line_is_posted_and_closed() -> None:
    posted, closed = due(after(observed(), voucher(50)), 500)
    assert posted == PostVoucher(SESSIONS[0], "voucher of 50", bytes([50]))
    assert closed == CloseLine(SESSIONS[0])


def test_exhausted_line_stays_open_for_what_it_paid() -> None:
    assert due(after(observed(), voucher(300)), 1) == ()


def test_earned_line_is_settled_after_its_end() -> None:
    state = after(observed(), voucher(50), observed(posted=50))
    assert due(state, 1061) == (SettleLine(SESSIONS[0]),)


def test_rows_are_kept_until_nobody_can_dispute_them() -> None:
    state = after(observed(), voucher(50), order(), observed(posted=50, settled=True))
    assert due(state, 1160) == ()
    assert due(state, 1161) == (ForgetSession(SESSIONS[0], (ORDERS[0],)),)
    state = transition(state, SessionForgotten(SESSIONS[0]))[0]
    assert not state.sessions
    assert not state.orders


@pytest.mark.parametrize("end", [100, 1060])
def test_a_line_that_ended_early_keeps_its_rows_until_the_sessions_end(end: int) -> None:
    """The node closed its line, or somebody settled it: games can be opened until the session's own end."""
    closed = {"end": end, "closing": True, "posted": 50, "settled": True}
    state = after(observed(), voucher(50), order(), observed(**closed))
    assert due(state, 1160) == ()
    assert due(state, 1161) == (ForgetSession(SESSIONS[0], (ORDERS[0],)),)


def test_a_closed_session_keeps_its_rows_no_longer_than_it_can_be_disputed() -> None:
    state = after(
        observed(), voucher(50), order(), observed(end=400, closing=True, posted=50, settled=True, session_end=400)
    )
    assert due(state, 500) == ()
    assert due(state, 501) == (ForgetSession(SESSIONS[0], (ORDERS[0],)),)


def test_rows_of_a_session_whose_end_is_not_known_are_kept() -> None:
    """A log of before does not tell the end; the first look at the chain does."""
    state = after(observed(session_end=0), voucher(50), order(), observed(posted=50, settled=True, session_end=0))
    assert due(state, 10**9) == ()
    state = after(observed(session_end=0), voucher(50), order(), observed(posted=50, settled=True))
    assert due(state, 1161) == (ForgetSession(SESSIONS[0], (ORDERS[0],)),)


def test_a_log_of_before_is_read(tmp_path: Path) -> None:
    """Its sessions have no end of their own, and it kept documents that nothing asks for any more."""
    path = tmp_path / "events.sqlite"
    old = encode(observed()).replace(',"session_end":1060', "")
    assert "session_end" not in old
    kept = encode(PredecessorKept(ORDERS[0], 4, "{}", b"s"))
    events = [("SessionObserved", old), ("VoucherReceived", encode(voucher(100))), ("OrderReceived", encode(order()))]
    WriteAheadLog(path).close()
    with sqlite3.connect(path) as database:
        rows = [*events, ("PredecessorKept", kept), ("ReceiptSigned", encode(receipt(4)))]
        database.executemany("INSERT INTO event (kind, body) VALUES (?, ?)", rows)
    ledger = Ledger(WriteAheadLog(path), TERMS)
    assert ledger.state == after(observed(session_end=0), voucher(100), order(), receipt(4))
    ledger.close()


def test_before_sleeping_every_better_voucher_is_posted() -> None:
    other = SESSIONS[1]
    state = after(observed(), voucher(50), observed(other), voucher(9, other), observed(other, posted=9))
    assert vouchers_to_post(state) == (PostVoucher(SESSIONS[0], "voucher of 50", bytes([50])),)


def test_a_forgotten_session_leaves_nothing_in_the_log_but_its_receipts_places(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    ledger = Ledger(WriteAheadLog(path), TERMS)
    for digest, session in zip(ORDERS, SESSIONS, strict=False):
        ledger.dispatch(observed(session))
        ledger.dispatch(voucher(100, session))
        received = order(digest, session)
        ledger.dispatch(replace(received, prompt=b"private prompt" + digest))
    for digest in (ORDERS[0], ORDERS[1], ORDERS[0]):
        ledger.dispatch(receipt(4, digest))
    ledger.dispatch(SessionForgotten(SESSIONS[0]))
    ledger.close()
    again = Ledger(WriteAheadLog(path), TERMS)
    assert again.state == ledger.state
    assert again.state.receipts == 3
    assert [one.number for one in again.state.orders[ORDERS[1]].receipts] == [1]
    again.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"private prompt".hex().encode() + ORDERS[0].hex().encode() not in kept
    assert b"private prompt".hex().encode() + ORDERS[1].hex().encode() in kept


def test_a_clock_that_is_ahead_costs_nothing() -> None:
    # A wrong clock, or one wrong block from an RPC server: the chain may still take the voucher.
    state = after(observed(), voucher(100))
    posting = due(state, 1060 + TERMS.rows_kept)
    assert posting == (PostVoucher(SESSIONS[0], "voucher of 100", b"d"),)
    assert due(after(observed(settled=True), voucher(100)), 1061) == ()
