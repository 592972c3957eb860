"""Audits sold by a second node: what it signs, what it refuses, what a restart keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nexus_chain.chain.wallet import Wallet
from nexus_chain.commitments.tensor import commit
from nexus_chain.market.documents import AuditOrder, Line, Receipt, Voucher, recover_digest
from nexus_chain.market.errors import WrongSignerError
from nexus_chain.program.sampling import Sampling
from node.daemon.errors import (
    AuditError,
    ModelNotServedError,
    NotPrepaidError,
    OrderConflictError,
    PositionError,
    PromptError,
)
from node.daemon.serving.admission import Application
from tests.support.workplace import (
    DOMAIN,
    PRICE,
    PROMPT,
    PROMPT_TREE,
    SESSION,
    SPLIT,
    Answer,
    LocalNode,
    linked_nodes,
    make_order,
)

AUDIT_PRICE = 2
TO = len(PROMPT) + 4


class Sold:
    """An answer of TO positions by two nodes, and an auditor for each of its segments."""

    def __init__(self, folder: Path, user: Wallet, nodes: list[LocalNode]) -> None:
        self.user, self.answer = user, Answer(nodes, user, make_order(user), PROMPT)
        self.answer.open()
        self.answer.pay(TO - len(PROMPT))
        self.answer.tokens += self.answer.feed(0, PROMPT).tolist()
        self.answer.decode(TO - len(PROMPT))
        self.originals = [Receipt.from_json(text) for text, _ in self.answer.close(TO)]
        self.auditors = [LocalNode(folder / f"auditor{start}", user, start, end) for start, end in SPLIT]
        for auditor in self.auditors:
            auditor.model = replace(auditor.model, audit_wei_per_token=AUDIT_PRICE)
            auditor.restart()

    def rows(self, segment: int) -> Tensor:
        """What the segment took in for positions [0, TO)."""
        tokens = torch.tensor(self.answer.sequence()[:TO], dtype=torch.int32)
        return tokens if segment == 0 else self.answer.nodes[1].core.rows.read(self.answer.digest, 0, TO)

    def audit(self, segment: int, **changes: object) -> AuditOrder:
        root, node = self.originals[segment].in_root, self.auditors[segment].wallet.address
        return replace(AuditOrder(self.answer.digest, node, segment, TO, root, TO * AUDIT_PRICE), **changes)  # type: ignore[arg-type]

    def application(self, audit: AuditOrder, signer: Wallet | None = None) -> Application:
        order = self.answer.order
        prompt = torch.tensor(PROMPT, dtype=torch.int32)
        return Application(
            order,
            self.user.sign(order, DOMAIN),
            audit.segment,
            len(PROMPT),
            prompt,
            PROMPT_TREE,
            audit=audit,
            audit_signature=(signer or self.user).sign(audit, DOMAIN),
        )

    def open(self, audit: AuditOrder, paid: int | None = None, signer: Wallet | None = None) -> bytes:
        voucher = Voucher(SESSION, (Line(audit.node, audit.price if paid is None else paid),))
        serving = self.auditors[audit.segment].core.serving
        return serving.open_order(self.application(audit, signer), voucher, self.user.sign(voucher, DOMAIN))[0]

    def bought(self, segment: int) -> tuple[Receipt, bytes]:
        """Buy the audit of a segment; the receipt and who signed it."""
        digest, serving = self.open(self.audit(segment)), self.auditors[segment].core.serving
        _, outputs = serving.forward(digest, 0, self.rows(segment))
        assert len(outputs) == 0
        text, signature = serving.close_chunk(digest, 0, TO, ())
        assert serving.close_chunk(digest, 0, TO, ()) == (text, signature)
        return Receipt.from_json(text), signature


@pytest.fixture
def sold(tmp_path: Path) -> Iterator[Sold]:
    user = Wallet.ephemeral()
    with linked_nodes(tmp_path, user, SPLIT) as nodes:
        made = Sold(tmp_path, user, nodes)
        yield made
        for auditor in made.auditors:
            auditor.core.close()


@pytest.mark.parametrize("segment", [0, 1])
def test_an_auditor_signs_the_same_roots_without_having_seen_them(sold: Sold, segment: int) -> None:
    receipt, signature = sold.bought(segment)
    original, audit, auditor = sold.originals[segment], sold.audit(segment), sold.auditors[segment]
    assert receipt == replace(
        original,
        node=auditor.wallet.address,
        predecessors=(audit.digest(DOMAIN),),
        price=TO * AUDIT_PRICE,
    )
    assert recover_digest(receipt.digest(DOMAIN), signature) == auditor.core.serving.identity.receipt_key.address
    assert auditor.core.ledger.state.session(SESSION).computed == TO * AUDIT_PRICE
    assert auditor.core.rows.length(audit.digest(DOMAIN)) == TO  # what it defends itself with


def test_an_audit_goes_on_after_a_restart(sold: Sold) -> None:
    audit, auditor = sold.audit(1), sold.auditors[1]
    digest = sold.open(audit)
    auditor.core.serving.forward(digest, 0, sold.rows(1)[:3])
    auditor.restart()
    application, voucher = sold.application(audit), Voucher(SESSION, (Line(audit.node, audit.price),))
    opened = auditor.core.serving.open_order(application, voucher, sold.user.sign(voucher, DOMAIN))
    assert opened == (digest, 3)
    auditor.core.serving.forward(digest, 3, sold.rows(1)[3:])
    first = auditor.core.serving.close_chunk(digest, 0, TO, ())
    auditor.restart()
    assert auditor.core.serving.close_chunk(digest, 0, TO, ()) == first
    assert Receipt.from_json(first[0]).out_root == sold.originals[1].out_root
    assert auditor.core.ledger.state.session(SESSION).computed == audit.price


def test_nothing_is_computed_before_all_of_it_is_paid(sold: Sold) -> None:
    with pytest.raises(NotPrepaidError):
        sold.open(sold.audit(0), paid=TO * AUDIT_PRICE - 1)


def test_other_rows_than_those_named_get_no_receipt(sold: Sold) -> None:
    serving, digest = sold.auditors[1].core.serving, sold.open(sold.audit(1))
    serving.forward(digest, 0, sold.rows(1) + 1)
    with pytest.raises(AuditError, match="not those that the audit names"):
        serving.close_chunk(digest, 0, TO, ())


def test_a_part_of_the_rows_gets_no_receipt(sold: Sold) -> None:
    serving, digest = sold.auditors[1].core.serving, sold.open(sold.audit(1))
    serving.forward(digest, 0, sold.rows(1)[:-1])
    with pytest.raises(AuditError):
        serving.close_chunk(digest, 0, TO - 1, ())
    with pytest.raises(PositionError):
        serving.forward(digest, TO - 1, sold.rows(1)[:2])


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"price": TO * (AUDIT_PRICE - 1)}, AuditError),
        ({"price": TO * AUDIT_PRICE + 1}, AuditError),
        ({"to_position": len(PROMPT) - 1, "price": 100 * (len(PROMPT) - 1)}, AuditError),
        ({"to_position": len(PROMPT) + 40, "price": 100 * (len(PROMPT) + 40)}, AuditError),
        ({"order_digest": bytes(32)}, AuditError),
        ({"node": "0x" + "12" * 20}, AuditError),
    ],
)
def test_what_is_not_sold_is_refused(sold: Sold, changes: dict[str, object], error: type[Exception]) -> None:
    serving = sold.auditors[0].core.serving
    with pytest.raises(error):
        serving.open_order(sold.application(sold.audit(0, **changes)), None, b"")
    assert not serving._ledger.state.orders


def test_only_the_session_key_buys(sold: Sold) -> None:
    with pytest.raises(WrongSignerError):
        sold.open(sold.audit(0), signer=Wallet.ephemeral())


def test_another_segment_is_refused(sold: Sold) -> None:
    audit = replace(sold.audit(0), segment=1)
    with pytest.raises(ModelNotServedError):
        sold.auditors[0].core.serving.open_order(sold.application(audit), None, b"")


def test_a_node_without_a_price_sells_none(sold: Sold) -> None:
    node = sold.answer.nodes[0]
    with pytest.raises(AuditError):
        node.core.serving.open_order(sold.application(sold.audit(0, node=node.wallet.address)), None, b"")


def test_a_node_does_not_audit_what_it_serves(sold: Sold) -> None:
    auditor, order = sold.auditors[0], sold.answer.order
    voucher = Voucher(SESSION, (Line(auditor.wallet.address, 100 * PRICE),))
    prompt = torch.tensor(PROMPT, dtype=torch.int32)
    application = Application(order, sold.user.sign(order, DOMAIN), 0, len(PROMPT), prompt, PROMPT_TREE)
    auditor.core.serving.open_order(application, voucher, sold.user.sign(voucher, DOMAIN))
    with pytest.raises(OrderConflictError):
        sold.open(sold.audit(0))


def test_an_order_that_is_too_old_to_be_served_can_still_be_audited(sold: Sold) -> None:
    for auditor in sold.auditors:
        auditor.facts.time = sold.answer.order.deadline + 1000
    assert sold.bought(0)[0].out_root == sold.originals[0].out_root


def test_the_tokens_that_went_in_do_not_tell_what_comes_out(tmp_path: Path) -> None:
    """One node for all layers: a sampled token that is not the program's shows an auditor that copies."""
    user = Wallet.ephemeral()
    with linked_nodes(tmp_path, user, [(0, 3)]) as (auditor,):
        auditor.model = replace(auditor.model, audit_wei_per_token=AUDIT_PRICE)
        auditor.restart()
        order = make_order(user, asks=(replace(make_order(user).asks[0], layer_end=3),))
        altered = [*PROMPT, 7, 8, 9]
        audit = AuditOrder(
            order.digest(DOMAIN),
            auditor.wallet.address,
            0,
            len(altered),
            commit(torch.tensor(altered, dtype=torch.int32), order.salt),
            len(altered) * AUDIT_PRICE,
        )
        voucher = Voucher(SESSION, (Line(audit.node, audit.price),))
        prompt = torch.tensor(PROMPT, dtype=torch.int32)
        application = Application(
            order,
            user.sign(order, DOMAIN),
            0,
            len(PROMPT),
            prompt,
            PROMPT_TREE,
            audit=audit,
            audit_signature=user.sign(audit, DOMAIN),
        )
        serving = auditor.core.serving
        digest, _ = serving.open_order(application, voucher, user.sign(voucher, DOMAIN))
        serving.forward(digest, 0, torch.tensor(altered, dtype=torch.int32))
        receipt = Receipt.from_json(serving.close_chunk(digest, 0, len(altered), ())[0])
        sampled = auditor.engine.open(len(PROMPT), Sampling(), len(altered))
        right = auditor.engine.forward([(sampled, torch.tensor(altered, dtype=torch.int32))])[0].tolist()
        assert receipt.out_root == commit(torch.tensor([*PROMPT, *right], dtype=torch.int32), order.salt)
        assert right[:3] != altered[len(PROMPT) :]


def test_an_auditor_is_told_the_prompts_own_length(sold: Sold) -> None:
    """An inner segment sees no tokens, and the length decides what a game is about."""
    application = replace(sold.application(sold.audit(0)), prompt_length=len(PROMPT) - 1)
    with pytest.raises(PromptError):
        sold.auditors[0].core.serving.open_order(application, None, b"")
