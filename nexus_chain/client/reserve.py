"""Spares of an answer's route, and the money for them."""

from __future__ import annotations

from collections.abc import Sequence

from nexus_chain.client.answer import Transaction
from nexus_chain.client.line_watch import LineWatch
from nexus_chain.client.network import ClientRoute
from nexus_chain.client.purse import AnswerAccount
from nexus_chain.client.session_money import SessionMoney
from nexus_chain.wire.peer import NodeContact


class RouteReserve:
    """Implements ``Reserve`` with a route's candidates; their caps are raised by transaction, from the user's wallet.

    ``limit_wei`` bounds what failovers of one order may lock beside the order itself. ``transactions`` takes what was
    sent.
    """

    def __init__(
        self,
        route: ClientRoute,
        watch: LineWatch,
        money: SessionMoney,
        account: AnswerAccount,
        limit_wei: int,
        transactions: list[Transaction],
    ) -> None:
        self._route, self._watch, self._money, self._account = route, watch, money, account
        self._left, self._transactions = limit_wei, transactions

    def spare(self, segment: int, failed: Sequence[str]) -> NodeContact | None:
        """The first candidate of the segment that has not failed, and whose line and stake are in order by now."""
        left = [candidate for candidate in self._route.segments[segment] if candidate.address not in failed]
        return self._watch.fit_spare(left) if left else None

    def fund(self, node: NodeContact, wei: int) -> None:
        """Raise the node's cap where it does not suffice. Raises CapTooLowError beyond the limit."""
        self._left -= self._money.claim(self._account, node.address, wei, self._transactions, self._left)
