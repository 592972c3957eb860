"""The session's money as the client sees it: what is capped, promised and used, per node, and by which answer.

A node computes n more positions only when the best voucher covers everything it has computed in
the session and those n. So before each chunk an answer's account signs a voucher for exactly that: one chunk of
each answer can be lost, never more. What a chunk prepaid and did not use carries over to the session's next
answers.

Several answers of one session run at once, and a node adds up what it computes for all of them. Hence

    promised >= used + what every open account was promised and has not billed         (vouchers cover all)
    cap - 1 >= used + what every open account was promised or still needs, whichever is more   (nobody starves)

Both hold at every moment, under one lock. Knows no network; the store remembers every voucher before it is handed out.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from coincurve import PrivateKey

from nexus_chain.client.errors import CapTooLowError
from nexus_chain.client.headroom import cap_for, spendable
from nexus_chain.client.store import ClientStore, StoredLine
from nexus_chain.market.documents import Domain, Line, Receipt, Voucher, sign
from nexus_chain.market.publisher_share import share_of_costs
from nexus_chain.wire.peer import SignedVoucher


@dataclass(frozen=True)
class AnswerSpending:
    """What one answer took of a session's money, wei by node.

    ``billed``: by receipts, those that were refused later included. ``lost``: written off, which a node may collect
    with the voucher that it has, though it signed no receipt for it. ``share``: what the version's publisher gets
    beside it in that session, basis points.
    """

    session: bytes
    billed: Mapping[str, int]
    lost: Mapping[str, int]
    share: int = 0

    @property
    def wei(self) -> int:
        """All of it that nodes and the vault get."""
        return sum(self.billed.values()) + sum(self.lost.values())

    @property
    def share_wei(self) -> int:
        """What it can add to the publisher's share."""
        return share_of_costs([*self.billed.items(), *self.lost.items()], self.share)


class SessionPurse:
    """Signs the cumulative vouchers of one session with its key. Any thread may use it."""

    def __init__(self, store: ClientStore, session: bytes, key: bytes, domain: Domain) -> None:
        self.store, self.session, self._domain = store, session, domain
        self.share = store.share(session)
        self._key = PrivateKey(key)  # once: making it takes longer than signing with it
        self.lock = threading.RLock()
        self._accounts: list[AnswerAccount] = []

    def line(self, node: str) -> StoredLine:
        """The node's line; all zero when it has none."""
        return self.store.lines(self.session).get(node) or StoredLine(node, 0)

    def open_account(self, needs: Mapping[str, int] | None = None) -> AnswerAccount:
        """An account for one answer; nobody else gets the ``needs`` (wei by node) before it is closed.

        Raises CapTooLowError when the caps do not suffice for them and for the answers that run.
        """
        with self.lock:
            account = AnswerAccount(self)
            for node, wei in (needs or {}).items():
                if missing := account.claim(node, wei):
                    raise CapTooLowError(
                        f"node {node} can earn {wei - missing} wei more here, the answer needs {wei}",
                        advice="Raise its cap with `nexus session allot`, or wait for the answers under way.",
                    )
            self._accounts.append(account)
            return account

    def close_account(self, account: AnswerAccount) -> None:
        """What the account was promised and has not billed is there for others from now on."""
        with self.lock:
            self._accounts = [other for other in self._accounts if other is not account]

    def commitment(self, node: str, but: AnswerAccount | None = None) -> int:
        """Wei of the node's cap that are used, or that open accounts other than ``but`` were promised or need."""
        with self.lock:
            return self.line(node).used + sum(one.reservation(node) for one in self._accounts if one is not but)

    def shortfall(self, node: str, wei: int, but: AnswerAccount | None = None) -> int:
        """By how much the node's cap has to rise to let it bill ``wei`` more; 0 when it suffices."""
        with self.lock:
            return max(0, cap_for(self.commitment(node, but) + wei) - self.line(node).cap)

    def voucher(self, account: AnswerAccount, amounts: Mapping[str, int]) -> Voucher:
        """The voucher that lets each node bill ``amounts[node]`` wei more for an account, beside all other accounts.

        Every line of the session is in it, so that anyone can post it for all. Raises CapTooLowError.
        """
        with self.lock:
            lines = self.store.lines(self.session)
            promised = {node: line.promised for node, line in lines.items()}
            others = [other for other in self._accounts if other is not account]
            for node, wei in amounts.items():
                line, more = lines.get(node) or StoredLine(node, 0), max(wei, account.holding(node))
                left = spendable(line.cap) - line.used - sum(other.reservation(node) for other in others)
                if more > left:
                    raise CapTooLowError(
                        f"node {node} can earn {left} wei more here, the next chunk costs {wei}",
                        advice="Raise its cap with `nexus session allot`, or open a session with a larger --tokens.",
                    )
                promised[node] = max(line.promised, line.used + sum(other.holding(node) for other in others) + more)
            # A node wants to find its own line, even where it asks for nothing.
            named = sorted(node for node, wei in promised.items() if wei or node in amounts)
            return Voucher(self.session, tuple(Line(node, promised[node]) for node in named))

    def sign(self, voucher: Voucher) -> SignedVoucher:
        """Sign a voucher; the last one that was kept has its signature already."""
        last = self.store.last_voucher(self.session)
        if last is not None and last[0] == voucher:
            return last
        return voucher, sign(voucher, self._key, self._domain)

    def write_off_all(self) -> None:
        """Count all that was ever promised as used: a process that ended in the middle of answers left it so."""
        with self.lock:
            for node, line in self.store.lines(self.session).items():
                self.store.set_used(self.session, node, max(line.used, line.promised))
            self._accounts = [account for account in self._accounts if not account.has_promised]


class AnswerAccount:
    """One answer's part of a session's money: what nodes were promised for it, and what it has billed.

    Made by ``SessionPurse.open_account``. Amounts are wei by node.
    """

    def __init__(self, purse: SessionPurse) -> None:
        self._purse = purse
        self._promised: dict[str, int] = {}  # since the account was opened
        self._needed: dict[str, int] = {}  # likewise, to the answer's end
        self._receipts: dict[tuple[str, int, int], int] = {}  # billed, by node, segment and position
        self._lost: dict[str, int] = {}  # written off
        self._ahead: SignedVoucher | None = None

    @property
    def has_promised(self) -> bool:
        """Whether any node was promised anything for this answer."""
        return bool(self._promised)

    def holding(self, node: str) -> int:
        """Promised to the node for this answer, and neither billed nor written off."""
        return max(0, self._promised.get(node, 0) - self._spent(node))

    def reservation(self, node: str) -> int:
        """What nobody else may have of the node's cap."""
        return max(0, max(self._promised.get(node, 0), self._needed.get(node, 0)) - self._spent(node))

    def _spent(self, node: str) -> int:
        billed = sum(price for (signer, _, _), price in self._receipts.items() if signer == node)
        return billed + self._lost.get(node, 0)

    @property
    def spending(self) -> AnswerSpending:
        """What the answer took; complete once it is over. Waits for nobody, so an event loop may ask."""
        billed: dict[str, int] = {}
        for (signer, _, _), price in list(self._receipts.items()):
            billed[signer] = billed.get(signer, 0) + price
        return AnswerSpending(self._purse.session, billed, dict(self._lost), self._purse.share)

    def claim(self, node: str, wei: int) -> int:
        """Keep ``wei`` of the node's cap for the rest of this answer; by how much the cap is too low for it, if so."""
        with self._purse.lock:
            missing = self._purse.shortfall(node, wei, self)
            if not missing:
                self._needed[node] = self._spent(node) + wei
            return missing

    def sign_ahead(self, amounts: Mapping[str, int]) -> None:
        """Sign what ``prepay`` would hand out now, and keep it to oneself. Raises CapTooLowError."""
        self._ahead = None
        self._ahead = self._purse.sign(self._purse.voucher(self, amounts))

    def prepay(self, amounts: Mapping[str, int]) -> SignedVoucher:
        """A voucher that lets each node bill ``amounts[node]`` wei more for this answer, and is remembered by now.

        It is the one that was signed ahead, where nothing has been promised or billed otherwise since.
        Raises CapTooLowError.
        """
        purse, ahead = self._purse, self._ahead
        with purse.lock:
            voucher = purse.voucher(self, amounts)
            signed = ahead if ahead is not None and ahead[0] == voucher else purse.sign(voucher)
            purse.store.add_voucher(*signed)
            for node, wei in amounts.items():
                self._promised[node] = max(self._promised.get(node, 0), self._spent(node) + wei)
            self._ahead = None
            return signed

    def bill(self, receipt: Receipt, signature: bytes) -> None:
        """Remember a checked receipt and count it as used; the same one again changes nothing."""
        with self._purse.lock:
            self._purse.store.add_receipt(receipt, signature)
            self._receipts[receipt.node, receipt.segment, receipt.to_position] = receipt.price

    def write_off(self, node: str) -> None:
        """Count what the node was promised for this answer as used: what it computed is not known."""
        with self._purse.lock:
            held = self.holding(node)
            used = self._purse.line(node).used + held
            self._purse.store.set_used(self._purse.session, node, used)
            self._lost[node] = self._lost.get(node, 0) + held

    def close(self) -> None:
        """The answer is over. Twice does nothing."""
        self._purse.close_account(self)
