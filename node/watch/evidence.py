"""From an answer file to accusations, and from an accusation to the trace that proves it. Sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from nexus_chain.chain.dispute_game import GameOpening
from nexus_chain.client.peer import SignedReceipt
from nexus_chain.client.proof import InferenceProof
from nexus_chain.client.verify import in_order, judge_receipts, recompute
from nexus_chain.commitments.tensor import tensor_tree
from nexus_chain.disputes.trace import Sequence, Trace
from nexus_chain.disputes.witnesses import PublishedModel
from nexus_chain.engine.fast import Engine
from nexus_chain.errors import NexusError
from nexus_chain.keccak import keccak256
from nexus_chain.market.documents import Receipt, TokenFeed, require_signer
from nexus_chain.market.receipts import check_receipt
from nexus_chain.program import IntegerModel
from nexus_chain.program.sampling import Sampling
from node.watch.cases import LINK, STEP


@dataclass(frozen=True)
class Accusation:
    """A receipt that is wrong, and by which kind of game that is shown."""

    signed: SignedReceipt
    kind: str


@dataclass(frozen=True)
class Judgement:
    """Receipts with whether their nodes did right, and whom to accuse of what.

    ``complete``: about every usable receipt something could be said. Else the file was altered, or lacks documents.
    """

    verdicts: tuple[tuple[SignedReceipt, bool], ...]
    accusations: tuple[Accusation, ...]
    complete: bool

    @property
    def word(self) -> str:
        """What the book says about the answer."""
        if self.accusations:
            return "wrong"
        return "right" if self.complete else "incomplete"


def usable(proof: InferenceProof, receipt_keys: Mapping[str, str], signer: str) -> InferenceProof:
    """The answer with those receipts that their nodes really signed, for this order, and the feeds that ``signer`` did.

    ``signer`` is the session key on the chain. Others accuse nobody.
    """
    kept = []
    for receipt, signature in proof.receipts:
        key = receipt_keys.get(receipt.node, receipt.node)
        try:
            check_receipt(
                receipt,
                signature,
                proof.domain,
                proof.order,
                receipt_key=key,
                prompt_length=proof.prompt_length,
                audits=[audit for audit, _ in proof.audits],
            )
        except NexusError:
            continue
        if receipt.to_position < len(proof.tokens):
            kept.append((receipt, signature))
    feeds = tuple(signed for signed in proof.feeds if _is_signed(proof, *signed, signer))
    return replace(proof, receipts=tuple(kept), feeds=feeds)


def _is_signed(proof: InferenceProof, feed: TokenFeed, signature: bytes, signer: str) -> bool:
    try:
        require_signer(feed, signature, proof.domain, signer)
    except NexusError:
        return False
    return feed.order_digest == proof.order_digest


def identity_of(proof: InferenceProof) -> bytes:
    """What was looked at: the same order with other tokens or receipts is another answer.

    Otherwise a file that leaves a liar's receipts out would keep the whole one from ever being judged.
    """
    receipts = sorted(receipt.digest(proof.domain) for receipt, _ in proof.receipts)
    feeds = sorted(feed.digest(proof.domain) for feed, _ in proof.feeds)
    return keccak256(repr((proof.order_digest, proof.prompt_length, proof.tokens, receipts, feeds)).encode())


def judge(proof: InferenceProof, model: IntegerModel) -> Judgement:
    """Recompute an answer whose receipts are ``usable``. Raises ModelFilesError."""
    verdicts: list[tuple[SignedReceipt, bool]] = []
    accused: dict[str, Accusation] = {}
    receipts = in_order(proof.receipts)
    # INVARIANT: a verdict belongs to the receipt it was found for: a node may have signed several for one place.
    for signed, fragment in zip(receipts, judge_receipts(proof, recompute(proof, model)), strict=True):
        handed = _handed(proof, signed[0])
        # A node that worked honestly on what a liar handed it did nothing wrong.
        if fragment.verified or (not fragment.to_blame and signed[0].in_root in handed):
            verdicts.append((signed, True))
        elif fragment.to_blame or handed:
            verdicts.append((signed, False))
            # The earliest wrong chunk has the smallest trace, and a stake is taken once.
            accused.setdefault(signed[0].node, Accusation(signed, STEP if fragment.to_blame else LINK))
    complete = 0 < len(verdicts) == len(receipts)
    return Judgement(tuple(verdicts), tuple(accused.values()), complete)


def _handed(proof: InferenceProof, receipt: Receipt) -> set[bytes]:
    """Roots of the rows that were handed to the receipt's node, by the documents in the file.

    INVARIANT: what a file leaves out accuses nobody. The node may hold the document that vouches for its rows; a
    link game on an incomplete file is then lost, bond and all, and whoever made the file so wins from it.
    """
    if receipt.segment == 0 and receipt.to_position == proof.prompt_length:
        return {proof.order.prompt_root}
    if receipt.segment == 0:
        return {feed.root for feed, _ in proof.feeds if feed.to_position == receipt.to_position}
    before = (receipt.segment - 1, receipt.to_position)
    return {other.out_root for other, _ in proof.receipts if (other.segment, other.to_position) == before}


def claim_of(receipt: Receipt) -> bytes:
    """What a receipt vouches for without its output: two with one claim and two outputs are an equivocation."""
    place = receipt.segment.to_bytes(2, "big") + receipt.to_position.to_bytes(4, "big")
    return keccak256(receipt.order_digest + bytes.fromhex(receipt.node[2:]) + place + receipt.in_root)


@dataclass(frozen=True)
class Evidence:
    """One accused receipt with everything that a game about it needs."""

    proof: InferenceProof
    signed: SignedReceipt
    model: IntegerModel

    @property
    def receipt(self) -> Receipt:
        return self.signed[0]

    @property
    def digest(self) -> bytes:
        """The receipt's digest."""
        return self.receipt.digest(self.proof.domain)

    @cached_property
    def prompt(self) -> Tensor:
        """i32[P]."""
        return torch.tensor(self.proof.tokens[: self.proof.prompt_length], dtype=torch.int32)

    @cached_property
    def published(self) -> PublishedModel:
        """Openings of program and weights."""
        return PublishedModel(self.model.program, self.model.weights)

    @cached_property
    def trace(self) -> Trace:
        """What the program gives for the receipt's rows."""
        order, ask = self.proof.order, self.proof.order.asks[self.receipt.segment]
        sampling = Sampling(order.sampling, order.sampling_seed)
        tokens = torch.tensor(self.proof.tokens[: self.receipt.to_position], dtype=torch.int32)
        rows = tokens
        if ask.layer_start:
            engine = Engine(self.model.program, self.model.weights, 0, ask.layer_start)
            state = engine.open(self.proof.prompt_length, sampling, len(tokens))
            rows = engine.forward([(state, tokens)])[0]
        sequence = Sequence(rows, self.prompt, sampling, order.salt)
        return Trace(self.model.program, self.model.weights, (ask.layer_start, ask.layer_end), sequence)

    @cached_property
    def roots(self) -> list[bytes]:
        """The right tensor roots."""
        return self.trace.roots()

    def opening(self, salt: bytes) -> GameOpening:
        """What the game is opened with; ``salt`` is the commitment's."""
        return GameOpening(
            order=self.proof.order,
            order_signature=self.proof.order_signature,
            receipt=self.receipt,
            receipt_signature=self.signed[1],
            prompt_length=self.proof.prompt_length,
            prompt_tree=tensor_tree(self.prompt).root(),
            salt=salt,
        )
