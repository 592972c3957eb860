"""A session's money on the chain: raising caps, closing, settling; and who may have how much of it."""

from __future__ import annotations

import threading
from dataclasses import replace

from nexus_chain.chain.errors import ContractRevertedError
from nexus_chain.chain.transactions import Mined
from nexus_chain.client.answer import Transaction
from nexus_chain.client.errors import CapTooLowError, SessionStateError
from nexus_chain.client.purse import AnswerAccount, SessionPurse
from nexus_chain.client.session_states import read_state
from nexus_chain.client.store import CLOSED, RECOVERED, SETTLED, StoredSession
from nexus_chain.client.user import User
from nexus_chain.durations import about


class SessionEnd:
    """How a session ends. It needs no session key and no model files: the wallet's money comes back without them.

    ``record`` is what this machine knows of it.
    """

    def __init__(self, user: User, record: StoredSession) -> None:
        self.user, self.record = user, record

    def close(self) -> Mined:
        """Start the challenge window; nothing can be asked afterwards."""
        mined = self.user.contracts.market.close(self.record.id)
        self.set_state(CLOSED)
        return mined

    def settle(self) -> Mined | None:
        """After the window: pay every line out and credit what was not used; None where somebody has done so.

        Anyone may do this, and nodes do. Raises SessionStateError before the window is over.
        """
        market, session = self.user.contracts.market, self.record.id
        self._take_in_lines()
        nodes = [node for node in self.user.store.lines(session) if not market.line_of(session, node).settled]
        if not nodes:
            self.set_state(SETTLED)
            return None
        self._require_window_over(max(market.line_of(session, node).end for node in nodes))
        mined = market.settle_many(session, nodes)
        if all(market.line_of(session, node).settled for node in nodes):
            self.set_state(SETTLED)
        return mined

    def _take_in_lines(self) -> None:
        """INVARIANT: no line's money is left behind because the answer to its allotting was lost, or the database is
        an older one: what the chain has more lines of than this machine is looked up there.
        """
        contracts, session = self.user.contracts, self.record.id
        known = self.user.store.lines(session)
        if line_count(self.user, session) <= len(known):
            return
        allotted = contracts.market.events("Allotted", contracts.deployment.block, where={"session": session})
        for node in dict.fromkeys(event.arguments["node"] for event in allotted):
            if node not in known:
                self.user.store.set_cap(session, node, contracts.market.line_of(session, node).cap)

    def _require_window_over(self, end: int) -> None:
        now = self.user.chain_time()
        if end == 0 or now <= end:
            raise SessionStateError(
                f"the challenge window of session 0x{self.record.id.hex()} is not over"
                + (f": it ends in {about(end - now)}" if end else ""),
                advice="Close the session first if it is open, then wait and settle again.",
            )

    def refresh(self) -> None:
        """Bring the remembered state in line with the chain (after a crash, or another program's move)."""
        state = read_state(self.user.contracts, self.user.store, self.record, self.user.chain_time)
        if state != self.record.state:
            self.set_state(state)

    def set_state(self, state: str) -> None:
        """Remember that the session is in ``state``."""
        self.user.store.set_session_state(self.record.id, state)
        self.record = replace(self.record, state=state)


class SessionMoney(SessionEnd):
    """The money of one session. Any thread may use it."""

    def __init__(self, user: User, record: StoredSession, key: bytes) -> None:
        super().__init__(user, record)
        self.purse = SessionPurse(user.store, record.id, key, user.contracts.domain)
        self._allotting = threading.Lock()

    def allot(self, node: str, cap: int) -> Mined:
        """Raise a node's cap to ``cap`` wei by transaction. Raises StakeTooSmallError beyond what its stake covers."""
        # INVARIANT: no cap rises where the next voucher would have to guess what was promised before.
        if self.record.state == RECOVERED:
            raise SessionStateError(
                f"what session 0x{self.record.id.hex()} promised is not known here", advice="Close it; open another."
            )
        market = self.user.contracts.market
        self.user.require_covered(node, max(0, cap - market.line_of(self.record.id, node).cap))
        mined = market.allot(self.record.id, node, cap)
        self.user.store.set_cap(self.record.id, node, cap)
        return mined

    def raise_cap(self, node: str, wei: int) -> Mined:
        """Raise a node's cap by ``wei``, beside what answers raise it by. Raises as ``allot``."""
        with self._allotting:
            self._take_in(node)
            return self.allot(node, self.purse.line(node).cap + wei)

    def claim(
        self, account: AnswerAccount, node: str, wei: int, transactions: list[Transaction], limit: int | None = None
    ) -> int:
        """Keep ``wei`` of a node's cap for an answer, raising the cap where it is too low; what it was raised by.

        Transactions are added to ``transactions``. Raises CapTooLowError where more than ``limit`` is needed.
        """
        raised = 0
        with self._allotting:  # one raises a cap at a time: each counts what the one before it did
            while missing := account.claim(node, wei):
                if self._take_in(node):
                    continue
                raised += missing
                if limit is not None and raised > limit:
                    raise CapTooLowError(
                        f"replacing a node needs {missing} wei more for {node}, the order allows {limit}",
                        advice="Ask again: the route will avoid the node that failed.",
                    )
                mined = self.allot(node, self.purse.line(node).cap + missing)
                transactions.append(Transaction.of("allot", mined))
        return raised

    def _take_in(self, node: str) -> bool:
        """Remember the cap that the chain has where it is higher: the answer to a raise was lost; whether it was."""
        standing = self.user.contracts.market.line_of(self.record.id, node).cap
        known = self.user.store.lines(self.record.id).get(node)
        if standing <= (known.cap if known else 0):
            return False
        self.user.store.set_cap(self.record.id, node, standing)
        return True


def line_count(user: User, session: bytes) -> int:
    """How many lines the chain has for a session; 0 where its opening never arrived."""
    try:
        return user.contracts.market.session_of(session).line_count
    except ContractRevertedError:
        return 0
