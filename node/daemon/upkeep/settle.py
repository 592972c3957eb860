"""Getting paid: vouchers posted before a line's end, lines closed, settled, balances withdrawn.

A round does what the ledger says is due, in the background or by command. Every step may be repeated: the contracts
take the highest voucher and settle a line once.
"""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import Protocol

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.errors import ContractRevertedError, RpcUnreachableError
from nexus_chain.chain.rpc_answers import BlockHead
from nexus_chain.errors import NexusError
from nexus_chain.market.documents import Voucher
from node.daemon.chain_view import ChainView
from node.daemon.errors import SessionNotOpenError
from node.daemon.ledger.earnings import earned_in
from node.daemon.ledger.effects import CloseLine, Effect, ForgetSession, PostVoucher, SettleLine, vouchers_to_post
from node.daemon.ledger.events import SessionForgotten, SessionObserved, TimePassed
from node.daemon.ledger.ledger import Ledger

log = logging.getLogger(__name__)

#: Market events that change a session; SessionClosed names no node, the others may.
_EVENTS = ("SessionClosed", "LineClosed", "LineSettled", "Allotted", "VoucherPosted")


class KeptOrders(Protocol):
    """Whoever keeps rows and sequences of orders."""

    def forget(self, orders: tuple[bytes, ...]) -> None:
        """Delete what is kept of these orders."""


class Settler:
    """Keeps one node's lines in step with the chain. ``withdraw_above``: wei worth a transaction.

    ``has_stake``: whether the sender is the node itself. Another may post and settle for it, and neither close its
    lines nor take its money: a line then ends with its session.
    """

    def __init__(
        self,
        contracts: Contracts,
        address: str,
        ledger: Ledger,
        view: ChainView,
        kept: KeptOrders | None = None,
        *,
        withdraw_above: int = 0,
        has_stake: bool = True,
    ) -> None:
        self._contracts, self._address = contracts, address
        self._ledger, self._view, self._kept = ledger, view, kept
        self._withdraw_above, self._has_stake = withdraw_above, has_stake
        self._last: BlockHead | None = None
        self._settled_at: bytes | None = None  # the head of the last round that did all it had to
        self._vanished: set[bytes] = set()

    def round(self) -> list[str]:
        """Look at the chain, do all that is due, withdraw; returns what was done, in words.

        Where the chain has not moved since the last round, looking is one request.
        """
        head = self._view.head()
        moved = head.hash != self._settled_at
        if moved:
            self._observe(head)
        done = self._carry_out(self._ledger.dispatch(TimePassed(self._view.now())))
        if moved or done:
            done += self._withdraw()
        self._settled_at = head.hash
        return done

    def post_all(self) -> list[str]:
        """Post every voucher worth more than what the market holds: before the node sleeps."""
        self._observe(self._view.head())
        return self._carry_out(vouchers_to_post(self._ledger.state))

    def close_all(self) -> list[str]:
        """Close every line that earned something, so that it can be settled after the challenge window."""
        self._observe(self._view.head())
        lines = [
            CloseLine(session.session)
            for session in self._ledger.state.sessions.values()
            if session.cumulative and not session.closing and not session.settled
        ]
        return self.post_all() + self._carry_out(tuple(lines))

    # ---------------------------------------------------------------- observing

    def _observe(self, head: BlockHead) -> None:
        """Read again every session that changed on the chain since the last look; after a reorganisation, all."""
        known, last = self._ledger.state.sessions, self._last
        if last is None or not self._still_there(last):
            changed = set(known)
        else:
            changed = self._changed(last.number + 1, head.number) | self._vanished
        for session in changed & set(known):
            self._observe_one(session)
        self._last = head

    def _still_there(self, block: BlockHead) -> bool:
        found = self._contracts.connection.find_block(block.number)
        return found is not None and found.hash == block.hash

    def _changed(self, first: int, head: int) -> set[bytes]:
        if first > head:
            return set()
        events = (event for name in _EVENTS for event in self._contracts.market.events(name, first, head))
        return {bytes(event.arguments["session"]) for event in events}

    def _observe_one(self, session: bytes) -> None:
        try:
            self._ledger.dispatch(self._view.session(session))
            self._vanished.discard(session)
        except SessionNotOpenError as error:
            log.warning("session 0x%s: %s", session.hex(), error)
            self._vanished.add(session)
            self._ledger.dispatch(self._as_closing(session))

    def _as_closing(self, session: bytes) -> SessionObserved:
        """What was known of a session that a reorganisation took away, closing: it pays nothing more."""
        known = self._ledger.state.session(session)
        facts = {entry.name: getattr(known, entry.name) for entry in fields(SessionObserved)}
        return SessionObserved(**{**facts, "closing": True, "posted": 0})

    # ------------------------------------------------------------------- acting

    def _carry_out(self, effects: tuple[Effect, ...]) -> list[str]:
        done = []
        for effect in effects:
            if isinstance(effect, CloseLine) and not self._has_stake:
                continue
            try:
                said = self._do(effect)
            except ContractRevertedError as error:
                # Somebody else was faster, or a game holds the line; the chain's word is read again.
                log.warning("%s was refused: %s", type(effect).__name__, error)
                said = ""
            except RpcUnreachableError:
                raise
            except NexusError as error:
                # INVARIANT: one line's failure never keeps another from being paid; the next round tries again.
                log.warning("%s has to wait: %s", type(effect).__name__, error)
                continue
            if isinstance(effect, (PostVoucher, CloseLine, SettleLine)):
                self._observe_one(effect.session)
            if said:
                log.info(said)
                done.append(said)
        return done

    def _do(self, effect: Effect) -> str:
        market = self._contracts.market
        match effect:
            case PostVoucher():
                voucher = Voucher.from_json(effect.voucher)
                market.post(voucher, effect.signature)
                amount = voucher.amount_for(self._address)
                return f"posted the voucher of session 0x{effect.session.hex()}: {amount} wei"
            case CloseLine():
                market.close_line(effect.session)
                return f"closed the line in session 0x{effect.session.hex()}"
            case SettleLine():
                market.settle(effect.session, self._address)
                return f"settled the line in session 0x{effect.session.hex()}: {self._bill(effect.session)}"
            case ForgetSession():
                if self._kept is None:
                    return ""  # the daemon's business: the rows are its
                self._kept.forget(effect.orders)
                self._ledger.dispatch(SessionForgotten(effect.session))
                return f"forgot session 0x{effect.session.hex()}: its dispute period is over"
            case _:
                return ""

    def _bill(self, session: bytes) -> str:
        answers = earned_in(self._ledger.state, session)
        tokens, wei = sum(one.tokens_processed for one in answers), sum(one.cost_wei for one in answers)
        return f"{len(answers)} answers, {tokens} positions, {wei} wei of receipts"

    def _withdraw(self) -> list[str]:
        balance = self._contracts.market.balance_of(self._address) if self._has_stake else 0
        if balance <= self._withdraw_above:
            return []
        self._contracts.market.withdraw()
        said = f"withdrew {balance} wei"
        log.info(said)
        return [said]
