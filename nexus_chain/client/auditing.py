"""Audits after an answer: a second staked node recomputes a receipt, and the two roots are compared.

A receipt is drawn once it is signed, by randomness of this process, so no node knows which ones are looked at.
The auditor is drawn among those that sell audits of the segment and had no part in the answer. It gets the order,
the rows in and their root; never the root that it will be compared with. Two staked nodes with different
roots for one input: the program convicts one of them. Both receipts go into the answer file, for the watcher.

Decoys: with the weights at hand the client also audits inputs of its own, one token altered, whose right root it
computes itself. To an auditor that computes nothing they look like any other audit.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
from coincurve import PrivateKey

from nexus_chain.client.audit_buyer import AuditBuyer, Question
from nexus_chain.client.network import contact_of
from nexus_chain.client.recomputing import compute_segment
from nexus_chain.client.store import DONE
from nexus_chain.commitments.tensor import commit
from nexus_chain.errors import NexusError
from nexus_chain.market.documents import Domain, Receipt, sign
from nexus_chain.routing.registry_view import ShardNode
from nexus_chain.routing.route import RoutePolicy
from nexus_chain.wire.peer import RowArray, SignedOrder, SignedReceipt

if TYPE_CHECKING:
    from nexus_chain.program.model import IntegerModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AuditPolicy:
    """Share of receipts to audit, decoys bought per audit, and what one order's audits may cost, wei."""

    rate: float
    decoys: float
    budget_wei: int


@dataclass(frozen=True)
class AuditResult:
    """What came of one audit that was bought. ``node``: whose receipt was looked at, empty for a decoy.

    ``wrong``: who signed a root that the program does not give, where this machine has the weights.
    """

    segment: int
    to_position: int
    node: str
    auditor: str
    price: int
    agreed: bool
    wrong: tuple[str, ...] = ()


class Seen(Protocol):
    """What the client knows of an answer's rows (``client.boundary_rows``)."""

    def inputs(self, segment: int, start: int, stop: int) -> RowArray:
        """Rows that ``segment`` took in."""


class Auditor:
    """Draws receipts and auditors, buys, compares, and keeps what came of it.

    ``nodes``: who serves the order's model now. ``model``: its weights, or None where they are not here.
    ``chance`` draws with a probability, ``choose`` one of a number: secret and after the fact, unless a demonstration
    wants to be repeatable.
    """

    def __init__(
        self,
        buyer: AuditBuyer,
        policy: AuditPolicy,
        nodes: Callable[[], Sequence[ShardNode]],
        model: Callable[[], IntegerModel | None],
        *,
        whole: bool = False,
        chance: Callable[[float], bool] | None = None,
        choose: Callable[[int], int] = secrets.randbelow,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """``is_wanted``: no more is bought once it says no."""
        self._is_wanted = is_wanted
        self._buyer, self._policy, self._nodes, self._model = buyer, policy, nodes, model
        self._whole, self._chance, self._choose = whole, chance or draw, choose
        self._left = policy.budget_wei
        self._raises = 0  # caps that may still be raised: their gas is in no budget, so one for each segment
        self.wrong_decoys: list[bytes] = []
        """Digests of decoy orders that an auditor answered wrongly: their answer files convict it."""

    def after(
        self, order: SignedOrder, prompt: Sequence[int], receipts: Sequence[SignedReceipt], seen: Seen
    ) -> list[AuditResult]:
        """Audit each of an answer's receipts with the policy's rate. Failures are logged, never raised."""
        done: list[AuditResult] = []
        self._raises = len(order[0].asks)
        chosen = [receipt for receipt, _ in receipts if self._chance(self._policy.rate)]
        signers = {receipt.node for receipt, _ in receipts}
        for receipt in chosen:
            if not self._is_wanted():
                break
            rows = seen.inputs(receipt.segment, 0, receipt.to_position)
            question = Question(order, receipt.segment, tuple(prompt), rows)
            done += self._guard(partial(self._audit, receipt, question, signers))
            if self._chance(self._policy.decoys):
                done += self._guard(partial(self._decoy, question, signers))
        return done

    @staticmethod
    def _guard(work: Callable[[], Iterator[AuditResult]]) -> list[AuditResult]:
        """An audit that fails costs the answer nothing."""
        try:
            return list(work())
        except NexusError as error:
            log.warning("an audit failed: %s", error)
            return []

    def _audit(self, receipt: Receipt, question: Question, signers: Collection[str]) -> Iterator[AuditResult]:
        bought = self._buy(question, signers)
        if bought is None:
            return
        agreed = bought.out_root == receipt.out_root
        wrong = () if agreed else self._refute(question, (receipt, bought))
        if not agreed and not wrong:  # nobody can tell yet: the watcher, or `nexus verify`, will
            for node in (receipt.node, bought.node):
                self._buyer.store.count_failure(node)
        yield _finding(bought, receipt.node, agreed, wrong)

    def _decoy(self, question: Question, signers: Collection[str]) -> Iterator[AuditResult]:
        model = self._model()
        if model is None:
            return
        decoy, tokens = plant_decoy(question, model, self._buyer.key, self._buyer.domain, self._choose)
        digest = decoy.order[0].digest(self._buyer.domain)
        store = self._buyer.store
        store.add_order(digest, *decoy.order, decoy.prompt)
        store.add_tokens(digest, len(decoy.prompt), tokens[len(decoy.prompt) :])
        store.finish_order(digest, DONE)
        bought = self._buy(decoy, signers)
        if bought is None:
            return
        wrong = self._refute(decoy, (bought,))
        if wrong:
            self.wrong_decoys.append(digest)
        yield _finding(bought, "", not wrong, wrong)

    def _refute(self, question: Question, receipts: Sequence[Receipt]) -> tuple[str, ...]:
        """Who signed a root that the program does not give; written down as well. Nobody where no weights are here."""
        model = self._model()
        if model is None:
            return ()
        right = right_root(question, model)
        wrong = tuple(receipt.node for receipt in receipts if receipt.out_root != right)
        for node in wrong:
            self._buyer.store.count_failure(node, invalid=True)
        return wrong

    def _buy(self, question: Question, signers: Collection[str]) -> Receipt | None:
        """An auditor's receipt; None where nobody sells one within the budget."""
        sellers = list(self._sellers(question, signers))
        if not sellers:
            return None
        node = sellers[self._choose(len(sellers))]
        price = node.audit_wei_per_token
        self._raises -= self._buyer.needs_transaction(node.node_id, price * question.to)
        try:
            signed = self._buyer.buy(question, contact_of(node), price, whole=self._whole, ahead=self._left)
        finally:
            self._left -= price * question.to
        return signed[0]

    def _sellers(self, question: Question, signers: Collection[str]) -> Iterator[ShardNode]:
        ask = question.order[0].asks[question.segment]
        for node in self._nodes():
            fits = (node.layer_start, node.layer_end) == (ask.layer_start, ask.layer_end)
            trusted = node.online and node.reputation >= RoutePolicy.minimum_reputation
            price = node.audit_wei_per_token * question.to
            affordable = 0 < price <= self._left
            free = self._raises > 0 or not self._buyer.needs_transaction(node.node_id, price)
            if fits and trusted and affordable and free and node.node_id not in signers:
                yield node


def draw(share: float) -> bool:
    """True with probability ``share``; nobody can know it before."""
    return secrets.randbelow(1 << 53) < share * (1 << 53)


def _finding(bought: Receipt, node: str, agreed: bool, wrong: tuple[str, ...]) -> AuditResult:
    return AuditResult(bought.segment, bought.to_position, node, bought.node, bought.price, agreed, wrong)


def compute_layers(model: IntegerModel, layers: tuple[int, int], question: Question, rows: RowArray) -> RowArray:
    """What layers [start, end) give for all of ``rows`` at once: i32[t, width], or the sampled tokens i32[n]."""
    return compute_segment(model, layers, question.order[0], len(question.prompt), rows)


def right_root(question: Question, model: IntegerModel) -> bytes:
    """The output root that the program gives for a question."""
    ask = question.order[0].asks[question.segment]
    out = compute_layers(model, (ask.layer_start, ask.layer_end), question, question.rows)
    prompt = np.array(question.prompt, np.int32)
    return question.root(np.concatenate([prompt, out]) if question.is_last else out)


def plant_decoy(
    like: Question, model: IntegerModel, key: PrivateKey, domain: Domain, choose: Callable[[int], int]
) -> tuple[Question, list[int]]:
    """A decoy that looks like ``like``: another salt, one token altered; and its tokens, one more than positions.

    The altered token may be a sampled one: where one node holds all layers, its rows in then contradict what it
    should put out, and an auditor that copies them is wrong.
    """
    order, vocab = like.order[0], model.program.shape.vocab
    tokens = _tokens_of(like, model)
    place = choose(len(tokens))
    tokens[place] = (tokens[place] + 1 + choose(vocab - 1)) % vocab
    salt, prompt = secrets.token_bytes(32), tuple(tokens[: len(like.prompt)])
    other = replace(order, salt=salt, prompt_root=commit(np.array(prompt, np.int32), salt))
    decoy = replace(like, order=(other, sign(other, key, domain)), prompt=prompt)
    rows = np.array(tokens, np.int32)
    if like.segment:
        rows = compute_layers(model, (0, order.asks[like.segment].layer_start), decoy, rows)
    # The file of an answer has one token more than positions; what it is does not matter here.
    return replace(decoy, rows=rows), [*tokens, 0]


def _tokens_of(like: Question, model: IntegerModel) -> list[int]:
    """Tokens for all positions: those of the question where it has them, else its prompt and random ones."""
    if like.segment == 0:
        found: list[int] = like.rows.tolist()
        return found
    more = like.to - len(like.prompt)
    return [*like.prompt, *(secrets.randbelow(model.program.shape.vocab) for _ in range(more))]
