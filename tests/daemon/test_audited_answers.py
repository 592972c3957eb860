"""A client buys audits of an answer from nodes in this process: real engine, real receipts, real documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nexus_chain.chain.wallet import Wallet
from nexus_chain.client.audit_buyer import AuditBuyer
from nexus_chain.client.auditing import Auditor, AuditPolicy, AuditResult
from nexus_chain.client.purse import AnswerAccount, SessionPurse
from nexus_chain.client.store import DONE, ClientStore, StoredLine, StoredSession
from nexus_chain.evidence.judgement import judge, keep_signed, keep_usable
from nexus_chain.evidence.proof import InferenceProof, generate_proof
from nexus_chain.evidence.verify import verify_proof
from nexus_chain.market.documents import Receipt, TokenFeed, sign
from nexus_chain.routing.registry_view import ShardNode
from nexus_chain.wire.errors import NodeRefusedError
from nexus_chain.wire.peer import NodeContact, PeerStatus, RowArray, ShardPeer, SignedReceipt
from node.daemon.errors import ServingError
from node.daemon.serving.admission import Application
from tests.support.workplace import (
    CAP,
    DOMAIN,
    MODEL,
    PROMPT,
    SESSION,
    SPLIT,
    VERSION,
    Answer,
    LocalNode,
    linked_nodes,
    make_order,
)

AUDIT_PRICE = 2
TO = len(PROMPT) + 4
KEY = bytes([3]) * 32


class CorePeer:
    """What a connection does, without one. ``forges``: the auditor computes nothing and signs a root of its own."""

    def __init__(self, node: LocalNode, *, forges: bool) -> None:
        self.node, self.contact, self._forges = node, contact(node), forges

    def describe(self) -> PeerStatus:
        return PeerStatus(self.node.model.context, 0, self.node.model.audit_wei_per_token)

    def open_order(self, *_: Any, **more: Any) -> int:
        raise AssertionError("an audit opens no order")

    def open_audit(
        self,
        order: Any,
        audit: Any,
        length: int,
        prompt: Sequence[int],
        voucher: Any,
        leave: Any,
        *,
        prompt_tree: bytes,
    ) -> int:
        tokens = torch.tensor(list(prompt), dtype=torch.int32)
        application = Application(
            order[0],
            order[1],
            audit[0].segment,
            length,
            tokens,
            prompt_tree,
            audit=audit[0],
            audit_signature=audit[1],
        )
        try:
            return self.node.core.serving.open_order(application, *voucher)[1]
        except ServingError as error:
            raise NodeRefusedError(error.message, advice=error.advice) from error

    def begin_forward(self, digest: bytes, start: int, rows: RowArray, **_: Any) -> Callable[[], RowArray]:
        return lambda: self.node.core.serving.forward(digest, start, torch.from_numpy(rows))[1].numpy()

    def begin_close_chunk(self, digest: bytes, start: int, stop: int, _: Any) -> Callable[[], SignedReceipt]:
        text, signature = self.node.core.serving.close_chunk(digest, start, stop, ())
        receipt = Receipt.from_json(text)
        return lambda: forged(self.node, receipt) if self._forges else (receipt, signature)

    def close(self) -> None:
        pass


def forged(node: LocalNode, receipt: Receipt) -> SignedReceipt:
    lie = replace(receipt, out_root=bytes([1]) * 32)
    return lie, node.core.serving.identity.receipt_key.sign(lie, DOMAIN)


def contact(node: LocalNode) -> NodeContact:
    key = node.core.serving.identity.receipt_key.address
    return NodeContact(
        node.wallet.address,
        "",
        bytes(32),
        key,
        node.model.layer_start,
        node.model.layer_end,
        5,
    )


def listed(node: LocalNode) -> ShardNode:
    model, key = node.model, node.core.serving.identity.receipt_key.address
    layers = model.layer_start, model.layer_end
    return ShardNode(
        node.wallet.address, "0x" + "00" * 32, (0,), 1.0, 1.0, True, *layers, 5, "", key,
        audit_wei_per_token=model.audit_wei_per_token,
    )  # fmt: skip


class Market:
    """One answer in one session of one user, and auditors of both segments."""

    def __init__(self, folder: Path, nodes: list[LocalNode]) -> None:
        self.user, self.nodes = Wallet.from_hex("0x" + KEY.hex()), nodes
        self.answer = Answer(nodes, self.user, make_order(self.user), PROMPT)
        self.answer.open()
        self.answer.pay(TO - len(PROMPT))
        self.answer.tokens += self.answer.feed(0, PROMPT).tolist()
        self.answer.decode(TO - len(PROMPT))
        self.feeds = self.answer.handed(TO)
        self.receipts = [(Receipt.from_json(text), signature) for text, signature in self.answer.close(TO)]
        self.auditors = [LocalNode(folder / f"auditor{start}", self.user, start, end) for start, end in SPLIT]
        for auditor in self.auditors:
            auditor.model = replace(auditor.model, audit_wei_per_token=AUDIT_PRICE)
            auditor.restart()
        self.everybody = [*nodes, *self.auditors]
        self.by_address = {node.wallet.address: node for node in self.everybody}
        self.forging: set[str] = set()
        self.store = ClientStore(folder / "client.sqlite")
        signer = self.user.address
        record = StoredSession(SESSION, 31337, DOMAIN.verifying_contract, signer, signer, VERSION, 2**40, False)
        self.store.add_session(record, [StoredLine(node.wallet.address, CAP) for node in nodes])
        order = self.answer.order
        self.order = order, sign(order, KEY, DOMAIN)
        self.store.add_order(self.answer.digest, *self.order, PROMPT)
        self.store.add_tokens(self.answer.digest, len(PROMPT), self.answer.tokens)
        self.purse = SessionPurse(self.store, SESSION, KEY, DOMAIN)
        self.funded: list[int] = []
        self.auditor: Auditor | None = None

    def keep(self) -> None:
        """Write down what the answer's nodes signed."""
        for receipt, signature in self.receipts:
            self.store.add_receipt(receipt, signature)
        for text, signature in self.feeds:
            self.store.add_feed(TokenFeed.from_json(text), signature)
        self.store.finish_order(self.answer.digest, DONE)

    def inputs(self, segment: int, start: int, stop: int) -> RowArray:
        return self.nodes[segment].core.rows.read(self.answer.digest, start, stop).numpy()

    def fund(self, account: AnswerAccount, node: NodeContact, wei: int, ahead: int) -> None:
        if self.purse.shortfall(node.address, wei):
            self.funded.append(self.purse.shortfall(node.address, ahead))
            self.store.set_cap(SESSION, node.address, self.purse.line(node.address).cap + self.funded[-1])

    def dial(self, to: NodeContact) -> ShardPeer:
        return CorePeer(self.by_address[to.address], forges=to.address in self.forging)

    def audited(self, *, decoys: float = 0.0, budget: int = 1000, weights: bool = True) -> list[AuditResult]:
        """Audit every receipt of the answer."""
        self.keep()
        self.auditor = Auditor(
            AuditBuyer(DOMAIN, KEY, self.purse, self.store, self.dial, self.fund),
            AuditPolicy(1.0, decoys, budget),
            lambda: [listed(node) for node in self.everybody],
            lambda: MODEL if weights else None,
        )
        return self.auditor.after(self.order, PROMPT, self.receipts, self)

    def proof(self, digest: bytes) -> InferenceProof:
        keys: dict[str, str] = {str(node.wallet.address): contact(node).receipt_key for node in self.everybody}
        return generate_proof(self.store.order(digest), self.user.address, DOMAIN, keys.__getitem__)

    def accused(self, proof: InferenceProof) -> list[str]:
        """Whom a watcher accuses on a file."""
        proof = keep_usable(keep_signed(proof, proof.receipt_keys), self.user.address)
        return [receipt.node for receipt, _ in judge(proof, MODEL).accusations]


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    user = Wallet.from_hex("0x" + KEY.hex())
    with linked_nodes(tmp_path, user, SPLIT) as nodes:
        made = Market(tmp_path, nodes)
        yield made
        made.store.close()
        for auditor in made.auditors:
            auditor.core.close()


def test_honest_nodes_agree_and_the_auditors_are_paid(market: Market) -> None:
    found = market.audited()
    assert [(one.segment, one.agreed, one.price, one.wrong) for one in found] == [
        (segment, True, TO * AUDIT_PRICE, ()) for segment in (0, 1)
    ]
    for auditor in market.auditors:
        line = market.purse.line(auditor.wallet.address)
        assert line.used == line.promised == auditor.core.ledger.state.session(SESSION).cumulative == TO * AUDIT_PRICE
    proof = InferenceProof.from_dict(market.proof(market.answer.digest).to_dict())
    assert len(proof.receipts) == 4
    assert len(proof.audits) == 2
    report = verify_proof(proof, MODEL)
    assert report.passed, report.steps
    assert market.accused(proof) == []


@pytest.mark.parametrize("segment", [0, 1])
def test_a_liar_is_refuted_by_its_auditor_and_the_file_convicts_it_alone(market: Market, segment: int) -> None:
    liar = market.nodes[segment]
    market.receipts[segment] = forged(liar, market.receipts[segment][0])
    found = {one.segment: one for one in market.audited()}
    assert not found[segment].agreed
    assert found[segment].wrong == (liar.wallet.address,)
    assert found[1 - segment].agreed
    assert market.accused(market.proof(market.answer.digest)) == [liar.wallet.address]
    assert market.store.track(liar.wallet.address).invalid == 1
    assert market.store.track(market.auditors[segment].wallet.address).invalid == 0


def test_without_weights_a_disagreement_blames_nobody_and_both_are_used_less(market: Market) -> None:
    market.receipts[0] = forged(market.nodes[0], market.receipts[0][0])
    first, second = market.audited(weights=False, decoys=1.0)
    assert (first.agreed, first.wrong, second.agreed) == (False, (), True)
    both = [market.store.track(node.wallet.address) for node in (market.nodes[0], market.auditors[0])]
    assert [(track.failed, track.invalid) for track in both] == [(1, 0), (1, 0)]


@pytest.mark.parametrize("segment", [0, 1])
def test_a_decoy_convicts_an_auditor_that_computes_nothing(market: Market, segment: int) -> None:
    lazy = market.auditors[segment].wallet.address
    market.forging = {lazy}
    found = [one for one in market.audited(decoys=1.0) if not one.node]
    assert [(one.segment, one.wrong) for one in found if one.wrong] == [(segment, (lazy,))]
    assert market.auditor is not None
    (digest,) = market.auditor.wrong_decoys
    proof = InferenceProof.from_dict(market.proof(digest).to_dict())
    assert proof.order.salt != market.answer.order.salt
    assert market.accused(proof) == [lazy]


def test_honest_auditors_pass_every_decoy(market: Market) -> None:
    found = market.audited(decoys=1.0)
    assert [(bool(one.node), one.agreed) for one in found] == [(True, True), (False, True)] * 2
    assert market.auditor is not None
    assert market.auditor.wrong_decoys == []
    decoy = next(d for d in market.store.order_digests(SESSION) if d != market.answer.digest)
    order = market.store.order(decoy)
    original = market.answer.order
    assert replace(order.order, salt=original.salt, prompt_root=original.prompt_root) == original
    assert market.accused(market.proof(decoy)) == []


def test_the_budget_ends_the_audits(market: Market) -> None:
    assert len(market.audited(budget=2 * TO * AUDIT_PRICE - 1)) == 1
    assert market.funded == [2 * TO * AUDIT_PRICE]  # as far ahead as the budget goes; a wei of a cap is never spent


def test_many_sellers_cost_no_more_transactions_than_segments(market: Market) -> None:
    """Sellers of one wei, each without a line, must not make every audit a transaction."""
    spend = market.fund

    def counted(account: AnswerAccount, node: NodeContact, wei: int, ahead: int) -> None:
        spend(account, node, wei, wei)  # no money ahead: the next audit needs a transaction of its own

    market.fund = counted  # type: ignore[method-assign]
    market.receipts = market.receipts * 4
    assert len(market.audited(budget=10**6)) == len(SPLIT)
    assert len(market.funded) == len(SPLIT)


def test_nobody_is_asked_who_signed_the_answer(market: Market) -> None:
    for node in market.nodes:
        node.model = replace(node.model, audit_wei_per_token=1)
    assert {one.auditor for one in market.audited()} == {node.wallet.address for node in market.auditors}


def test_an_auditor_that_refuses_costs_the_answer_nothing(market: Market) -> None:
    market.auditors[0].facts.closing = True
    (one,) = market.audited()
    assert one.segment == 1
    line = market.purse.line(market.auditors[0].wallet.address)
    assert line.used == line.promised == TO * AUDIT_PRICE  # nobody knows what it computed
