"""The gateway's sessions and its books: what nodes got, by the client's store and by the chain, is what was booked.

Each answer's bill says what it took of each session: receipts and what was written off. With it ``nodes``, ``vault``
and ``losses`` are booked, and the session's total. The client's store counts the same from the other side: what nodes
may bill by the vouchers that the session key signed. The two are compared while answers are under way, whose spending
is not booked yet. Once a session is settled, the chain says what was paid, and the difference is booked: nodes may have
fetched more than was used, up to the last voucher, or less. The publisher's share is no part of what is compared, as it
follows from it; of a difference that is booked its share is booked too.

A session that was used before these books knew it begins with what was used: that was somebody else's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from nexus_chain.chain.inference_market import LineRecord
from nexus_chain.client.store import SETTLED, ClientStore
from nexus_chain.market.publisher_share import publisher_share, share_at_most
from node.gateway.ledger.books import LOSSES, OPERATOR, UNFETCHED, insert_new, post
from node.gateway.ledger.database import Database
from node.gateway.ledger.tables import SESSION_SPENDING

log = logging.getLogger(__name__)


class LinesOfSessions(Protocol):
    """What the chain says of a session's lines: ``InferenceMarket``."""

    def line_of(self, session: bytes, node: str) -> LineRecord:
        """One node's line. Raises the chain package's errors."""


def add_spending(connection: Connection, spent: Mapping[bytes, int]) -> None:
    """Add what an answer took of each session, in the transaction that books its bill."""
    for session in sorted(spent):
        known = _row(connection, session)
        if known is None:
            connection.execute(insert_new(connection, SESSION_SPENDING).values(session=session, booked=0, settled=0))
            known = _row(connection, session)
        booked = (0 if known is None else int(known.booked)) + spent[session]
        _set_booked(connection, session, booked)


class SessionBooks:
    """Compares. Sessions that another program or another gateway opened elsewhere are not looked at."""

    def __init__(
        self,
        database: Database,
        store: ClientStore,
        market: LinesOfSessions,
        under_way: Callable[[], Mapping[bytes, int]],
        forfeited: Callable[[bytes, Iterable[str]], Collection[str]],
    ) -> None:
        """``under_way``: wei that answers took of each session which are not booked yet. Any thread may call it.

        ``forfeited``: which nodes' lines of a settled session came back whole. Raises the chain package's errors.
        """
        self._database, self._store, self._market, self._under_way = database, store, market, under_way
        self._forfeited = forfeited
        self._differed: dict[bytes, int] = {}

    def begin(self) -> None:
        """Before anything is asked: what a killed gateway spent and did not book is its loss.

        Raises UnavailableError and ClientStoreError.
        """
        for record in self._store.sessions():
            if record.state != SETTLED:
                used, share = self._used(record.id), self._store.share(record.id)
                self._database.write(partial(self._begin_session, session=record.id, used=used, share=share))

    def compare(self) -> list[str]:
        """What is wrong, one sentence each. A difference counts once it is the same twice: answers go on meanwhile.

        Raises UnavailableError, ClientStoreError and the chain package's errors.
        """
        rows = self._database.read(lambda connection: connection.execute(_UNSETTLED).all())
        here = {record.id: record.state for record in self._store.sessions()}
        return [
            alarm
            for row in rows
            if row.session in here
            for alarm in (self._settle(row.session) if here[row.session] == SETTLED else self._compare(row.session))
        ]

    def _compare(self, session: bytes) -> Iterator[str]:
        found = self._database.read(partial(_row, session=session))
        booked = 0 if found is None else int(found.booked)
        used, known = self._used(session), booked + self._under_way().get(session, 0)
        difference = used - known
        before, self._differed[session] = self._differed.get(session, 0), difference
        if difference and difference == before:
            yield (
                f"session 0x{session.hex()}: its nodes may bill {used} wei, and the books say {known} wei: an answer "
                "was not booked, or another program asked in it"
            )

    def _settle(self, session: bytes) -> Iterator[str]:
        """Book what the chain paid beyond what was booked, or less; once. Not where it is wrong: a person decides."""
        paid, is_wrong, lines = 0, False, self._store.lines(session)
        forfeited = self._forfeited(session, lines)
        for node, line in lines.items():
            # INVARIANT: what a convicted node had earned came back, and the publisher's share of it too.
            wei = 0 if node in forfeited else self._market.line_of(session, node).cumulative
            # INVARIANT: no node is paid more than a voucher of ours says.
            if wei > line.promised:
                is_wrong = True
                yield f"session 0x{session.hex()}: node {node} was paid {wei} wei, and promised {line.promised} wei"
            paid += wei
        if not is_wrong:
            share = self._store.share(session)
            self._database.write(partial(_book_settled, session=session, paid=paid, share=share))

    def _used(self, session: bytes) -> int:
        return sum(line.used for line in self._store.lines(session).values())

    def _begin_session(self, connection: Connection, session: bytes, used: int, share: int) -> None:
        known = _row(connection, session)
        if known is None:
            connection.execute(insert(SESSION_SPENDING).values(session=session, booked=used, settled=0))
            return
        if (lost := used - int(known.booked)) > 0:
            log.warning("session 0x%s: %d wei were spent and not booked: they are a loss now", session.hex(), lost)
            wei = lost + share_at_most(lost, share)
            post(connection, f"unbooked:{session.hex()}:{used}", "unbooked", {LOSSES: wei, OPERATOR: -wei})
            _set_booked(connection, session, used)


_UNSETTLED = select(SESSION_SPENDING).where(SESSION_SPENDING.c.settled == 0)


# Built once, as those of ``books`` are.
_OF_SESSION = SESSION_SPENDING.c.session == bindparam("of_session")
_BOOKED = select(SESSION_SPENDING).where(_OF_SESSION).with_for_update()
_BOOK = update(SESSION_SPENDING).where(_OF_SESSION).values(booked=bindparam("now_booked"))


def _row(connection: Connection, session: bytes) -> Row[Any] | None:
    """What is booked of a session, locked."""
    return connection.execute(_BOOKED, {"of_session": session}).first()


def _set_booked(connection: Connection, session: bytes, wei: int) -> None:
    connection.execute(_BOOK, {"of_session": session, "now_booked": wei})


def _book_settled(connection: Connection, session: bytes, paid: int, share: int) -> None:
    known = _row(connection, session)
    if known is None or known.settled:
        return
    more = paid - int(known.booked)
    # What answers were billed for the publisher was rounded up, so of a difference it is rounded down.
    wei = more + publisher_share(more, share) if more > 0 else more - publisher_share(-more, share)
    moves = {LOSSES: wei, OPERATOR: -wei} if more > 0 else {UNFETCHED: wei, OPERATOR: -wei}
    post(connection, f"settled:{session.hex()}", "settled", moves)
    _set_booked(connection, session, paid)
    connection.execute(update(SESSION_SPENDING).where(SESSION_SPENDING.c.session == session).values(settled=1))
