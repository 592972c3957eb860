"""Credit that is kept for an answer: reserved before it is served, settled or released afterwards, once.

What an answer can cost at most leaves the caller's account before anything is asked of a node, so credit is never spent
twice, however many answers and gateways there are. A reservation has a deadline, which its gateway moves on while it
lives. One whose gateway died is released after it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from node.gateway.accounts import Bill
from node.gateway.errors import ForbiddenError, LimitReachedError, PaymentRequiredError
from node.gateway.ledger.books import (
    FEES,
    GAS,
    LOSSES,
    NODES,
    OPERATOR,
    PUBLISHERS,
    VAULT,
    OverdrawnError,
    insert_new,
    post,
    reserved,
    user,
)
from node.gateway.ledger.session_books import add_spending
from node.gateway.ledger.tables import RESERVATIONS, SPENDING

DAY_SECONDS = 86_400
_OPEN, _SETTLED, _RELEASED, _EXPIRED = "open", "settled", "released", "expired"
_OVERDUE_AT_ONCE = 100
# Built once, as those of ``books`` are.
_FIND = select(RESERVATIONS).where(RESERVATIONS.c.answer == bindparam("of_answer")).with_for_update()
_ADD = insert(RESERVATIONS)
_END = (
    update(RESERVATIONS)
    .where(RESERVATIONS.c.answer == bindparam("of_answer"))
    .values(state=bindparam("new_state"), paid=bindparam("new_paid"))
)
_DAY = (
    (SPENDING.c.account == bindparam("of_account"))
    & (SPENDING.c.api_key == bindparam("of_key"))
    & (SPENDING.c.day == bindparam("of_day"))
)
_COUNTED = select(SPENDING.c.spent, SPENDING.c.reserved).where(_DAY).with_for_update()
_COUNT = update(SPENDING).where(_DAY).values(spent=bindparam("now_spent"), reserved=bindparam("now_reserved"))


@dataclass(frozen=True)
class WantedCredit:
    """What is to be kept. ``api_key``: public id, empty where none was used; ``wei_per_day``: its limit."""

    account: str
    answer: str
    wei: int
    api_key: str = ""
    wei_per_day: int | None = None

    def __post_init__(self) -> None:
        if self.wei < 0:
            raise ValueError(f"{self.wei} wei cannot be kept")


class _Counted(NamedTuple):
    """Wei of a key's day."""

    spent: int
    reserved: int


def day_of(now: float) -> int:
    """Days since 1970, UTC."""
    return int(now // DAY_SECONDS)


def reserve(connection: Connection, wanted: WantedCredit, now: float, deadline: float) -> None:
    """Keep the credit. The same answer of the same account again changes nothing.

    ``now`` and ``deadline``: Unix seconds. Raises LimitReachedError and PaymentRequiredError: nothing is kept then.
    """
    if (known := _reservation(connection, wanted.answer)) is not None:
        if (known.account, known.wei, known.state) != (wanted.account, wanted.wei, _OPEN):
            raise ForbiddenError("this answer's id was used before", advice="Ask again.")
        return
    day = day_of(now)
    counted = _counted(connection, wanted.account, wanted.api_key, day)
    _require_daily(wanted, counted, now)
    try:
        moves = {user(wanted.account): -wanted.wei, reserved(wanted.account): wanted.wei}
        post(connection, f"reserve:{wanted.answer}", "reserve", moves, is_new=True)
    except OverdrawnError as error:
        raise PaymentRequiredError(
            f"this can cost {wanted.wei} wei, and the account has {error.has} wei",
            advice="Deposit more, or ask for fewer tokens.",
        ) from error
    row = {"answer": wanted.answer, "account": wanted.account, "api_key": wanted.api_key, "wei": wanted.wei, "day": day}
    connection.execute(_ADD, {**row, "deadline": int(deadline), "state": _OPEN, "paid": 0})
    _count(connection, wanted.account, wanted.api_key, day, counted.spent, counted.reserved + wanted.wei)


def _require_daily(wanted: WantedCredit, counted: _Counted, now: float) -> None:
    if wanted.wei_per_day is None or counted.spent + counted.reserved + wanted.wei <= wanted.wei_per_day:
        return
    left = max(0, wanted.wei_per_day - counted.spent - counted.reserved)
    raise LimitReachedError(
        f"this can cost {wanted.wei} wei, and the key may spend {left} wei more today",
        advice="Wait until tomorrow (UTC), ask for fewer tokens, or use another key.",
        retry_after=DAY_SECONDS - now % DAY_SECONDS,
    )


def settle(connection: Connection, answer: str, bill: Bill) -> bool:
    """Pay ``bill`` of what is kept, and give the rest back. False where the reservation was closed before.

    What a bill says beyond the reservation is the operator's loss: a caller never pays more than was reserved.
    """
    if min(bill.nodes_wei, bill.vault_wei, bill.publisher_wei, bill.gas_wei, bill.fee_wei, bill.lost_wei) < 0:
        raise ValueError("a bill has no negative part")
    found = _reservation(connection, answer)
    if found is None or found.state != _OPEN:
        return False
    paid = min(bill.total_wei, found.wei)
    moves = {
        reserved(found.account): -found.wei,
        user(found.account): found.wei - paid,
        NODES: bill.nodes_wei,
        VAULT: bill.vault_wei,
        PUBLISHERS: bill.publisher_wei,
        GAS: bill.gas_wei,
        FEES: bill.fee_wei,
        LOSSES: bill.lost_wei,
        OPERATOR: paid - bill.total_wei - bill.lost_wei,
    }
    add_spending(connection, bill.sessions)
    return _close(connection, found, _SETTLED, paid, moves)


def release(connection: Connection, answer: str) -> bool:
    """Give all of it back. False where the reservation was closed before, or never made."""
    found = _reservation(connection, answer)
    return found is not None and found.state == _OPEN and _give_back(connection, found, _RELEASED)


def extend(connection: Connection, answers: Collection[str], deadline: float) -> None:
    """Move the deadlines of a living gateway's open reservations on."""
    query = update(RESERVATIONS).where(RESERVATIONS.c.answer.in_(list(answers)), RESERVATIONS.c.state == _OPEN)
    connection.execute(query.values(deadline=int(deadline)))


def overdue(connection: Connection, now: float) -> list[str]:
    """Answers whose gateways died before they closed them: some of them where there are many."""
    query = select(RESERVATIONS.c.answer).where(RESERVATIONS.c.state == _OPEN, RESERVATIONS.c.deadline < int(now))
    return list(connection.scalars(query.order_by(RESERVATIONS.c.deadline).limit(_OVERDUE_AT_ONCE)))


def release_overdue(connection: Connection, answer: str, now: float) -> bool:
    """Give back what a gateway that died had reserved; False where it lives after all, or somebody else was here."""
    found = _reservation(connection, answer)
    dead = found is not None and found.state == _OPEN and found.deadline < int(now)
    return dead and found is not None and _give_back(connection, found, _EXPIRED)


def spent_on(connection: Connection, account: str, day: int) -> int:
    """Wei that all keys of an account spent of reservations of that day."""
    query = select(SPENDING.c.spent).where(SPENDING.c.account == account, SPENDING.c.day == day)
    return sum(int(spent) for spent in connection.scalars(query))


def _give_back(connection: Connection, found: Row[Any], state: str) -> bool:
    moves = {reserved(found.account): -found.wei, user(found.account): found.wei}
    return _close(connection, found, state, 0, moves)


def _close(connection: Connection, found: Row[Any], state: str, paid: int, moves: dict[str, int]) -> bool:
    """INVARIANT: one key for every way to close, so an answer is closed once, whoever does it."""
    counted = _counted(connection, found.account, found.api_key, found.day)
    post(connection, f"close:{found.answer}", state, moves, is_new=True)
    connection.execute(_END, {"of_answer": found.answer, "new_state": state, "new_paid": paid})
    _count(connection, found.account, found.api_key, found.day, counted.spent + paid, counted.reserved - int(found.wei))
    return True


def _reservation(connection: Connection, answer: str) -> Row[Any] | None:
    """A reservation, locked."""
    return connection.execute(_FIND, {"of_answer": answer}).first()


def _counted(connection: Connection, account: str, api_key: str, day: int) -> _Counted:
    """The day's row of a key, locked."""
    where = {"of_account": account, "of_key": api_key, "of_day": day}
    if (found := connection.execute(_COUNTED, where).first()) is None:
        row = {"account": account, "api_key": api_key, "day": day, "spent": 0, "reserved": 0}
        connection.execute(insert_new(connection, SPENDING), [row])
        found = connection.execute(_COUNTED, where).one()
    return _Counted(int(found.spent), int(found.reserved))


def _count(connection: Connection, account: str, api_key: str, day: int, spent: int, held: int) -> None:
    where = {"of_account": account, "of_key": api_key, "of_day": day}
    connection.execute(_COUNT, {**where, "now_spent": spent, "now_reserved": held})
