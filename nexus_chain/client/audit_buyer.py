"""Buying one audit: a node recomputes a receipt's rows for pay, and signs the root that it finds.

It gets the order, the rows in and their root; never the root that it will be compared with. What is audited, and
what follows from it, is decided elsewhere (``client.auditing``).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
from coincurve import PrivateKey

from nexus_chain.client.node_connections import MESSAGE_BYTES
from nexus_chain.client.purse import AnswerAccount, SessionPurse
from nexus_chain.client.store import ClientStore
from nexus_chain.commitments.tensor import RowTree, tensor_tree
from nexus_chain.market.documents import AuditOrder, Domain, Receipt, recover, sign, sign_digest
from nexus_chain.wire.errors import BadReceiptError, PeerError
from nexus_chain.wire.peer import (
    Dial,
    NodeContact,
    RowArray,
    ShardPeer,
    SignedAudit,
    SignedOrder,
    SignedReceipt,
    SignedVoucher,
)

AUDITS_AHEAD = 8
"""Where a transaction raises an auditor's cap, it does so for so many audits, as far as the budget goes."""

Fund = Callable[[AnswerAccount, NodeContact, int, int], None]
"""Makes sure that an account may have ``wei`` more at a node, better ``ahead`` more; may send a transaction."""


@dataclass(frozen=True)
class Question:
    """Rows [0, to) of one segment of an order: what a receipt vouches for, without its answer.

    ``prompt``: token ids; ``rows``: i32[to] tokens or i32[to, width].
    """

    order: SignedOrder
    segment: int
    prompt: tuple[int, ...]
    rows: RowArray

    @property
    def to(self) -> int:
        return len(self.rows)

    @property
    def is_last(self) -> bool:
        return self.segment == len(self.order[0].asks) - 1

    def root(self, rows: RowArray) -> bytes:
        """The salted root of ``rows`` in this order."""
        tree = RowTree(None if rows.ndim == 1 else rows.shape[1], self.order[0].salt)
        tree.append(rows)
        return tree.root(len(rows))


class AuditBuyer:
    """Buys single audits in one session."""

    def __init__(
        self, domain: Domain, session_key: bytes, purse: SessionPurse, store: ClientStore, dial: Dial, fund: Fund
    ) -> None:
        self.accounts: list[AnswerAccount] = []
        """The money of each audit that was begun."""
        self.domain, self.key, self.store = domain, PrivateKey(session_key), store
        self._purse, self._dial, self._fund = purse, dial, fund

    def needs_transaction(self, node: str, wei: int) -> bool:
        """Whether the node's cap has to be raised on the chain before it can earn ``wei`` more."""
        return bool(self._purse.shortfall(node, wei))

    def buy(
        self, question: Question, contact: NodeContact, wei_per_token: int, *, whole: bool, ahead: int
    ) -> SignedReceipt:
        """The auditor's receipt, checked in all but its output root. Raises PeerError, CapTooLowError, ChainError.

        ``whole``: all rows go in one message, as an encoder wants them. ``ahead``: wei for which a cap may be raised.
        """
        price = wei_per_token * question.to
        digest = question.order[0].digest(self.domain)
        root = question.root(question.rows)
        audit = AuditOrder(digest, contact.address, question.segment, question.to, root, price)
        with closing(self._purse.open_account()) as account:
            self.accounts.append(account)
            self._fund(account, contact, price, max(price, min(ahead, AUDITS_AHEAD * price)))
            signature = sign(audit, self.key, self.domain)
            self.store.add_audit(audit, signature)
            voucher = account.prepay({contact.address: price})
            try:
                signed = self._ask(question, contact, (audit, signature), voucher, whole=whole)
                self._check(signed, audit, contact)
            except PeerError:
                account.write_off(contact.address)
                raise
            account.bill(*signed)
        return signed

    def _ask(
        self, question: Question, contact: NodeContact, audit: SignedAudit, voucher: SignedVoucher, *, whole: bool
    ) -> SignedReceipt:
        """The auditor's receipt, unchecked. Raises PeerError."""
        with closing(self._dial(contact)) as peer:
            prompt = question.prompt if question.segment == 0 or question.is_last else ()
            tree = tensor_tree(np.array(question.prompt, np.int32)).root()
            leave = partial(sign_digest, key=self.key)
            peer.open_audit(question.order, audit, len(question.prompt), prompt, voucher, leave, prompt_tree=tree)
            return self._feed(peer, audit[0].digest(self.domain), question, whole=whole)

    @staticmethod
    def _feed(peer: ShardPeer, digest: bytes, question: Question, *, whole: bool) -> SignedReceipt:
        """Hand over the rows and take the receipt; no rows come back."""
        block = max(1, MESSAGE_BYTES // (4 * question.rows[:1].size))
        for start in range(0, question.to, question.to if whole else block):
            peer.begin_forward(digest, start, question.rows[start : question.to if whole else start + block])()
        return peer.begin_close_chunk(digest, 0, question.to, ())()

    def _check(self, signed: SignedReceipt, audit: AuditOrder, contact: NodeContact) -> None:
        receipt, signature = signed
        expected = Receipt(
            audit.order_digest, audit.node, audit.segment, 0, audit.to_position, audit.in_root, receipt.out_root,
            (audit.digest(self.domain),), audit.price,
        )  # fmt: skip
        if receipt != expected or recover(receipt, signature, self.domain) != contact.receipt_key:
            raise BadReceiptError(
                f"node {contact.address} answers the audit of segment {audit.segment} with another receipt",
                advice="Nothing more is bought from it in this session.",
            )
