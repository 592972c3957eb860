"""From an answer file to accusations, and from an accusation to the trace that proves it. Sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from eth_utils.crypto import keccak
from torch import Tensor

from nexus_chain.chain.dispute_game import GameOpening
from nexus_chain.client.peer import SignedReceipt
from nexus_chain.client.proof import InferenceProof
from nexus_chain.client.verify import VerifiedFragment, judge_receipts, recompute
from nexus_chain.commitments.tensor import tensor_tree
from nexus_chain.disputes.trace import Sequence, Trace
from nexus_chain.disputes.witnesses import PublishedModel
from nexus_chain.engine.fast import Engine
from nexus_chain.errors import NexusError
from nexus_chain.market.documents import Receipt
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
    """Every usable receipt with whether its node did right, and whom to accuse of what."""

    verdicts: tuple[tuple[SignedReceipt, bool], ...]
    accusations: tuple[Accusation, ...]


def usable(proof: InferenceProof, receipt_keys: Mapping[str, str]) -> InferenceProof:
    """The answer with those receipts that their nodes really signed, for this order: others accuse nobody."""
    kept = []
    for receipt, signature in proof.receipts:
        key = receipt_keys.get(receipt.node, receipt.node)
        try:
            check_receipt(
                receipt, signature, proof.domain, proof.order, receipt_key=key, prompt_length=proof.prompt_length
            )
        except NexusError:
            continue
        if receipt.to_position < len(proof.tokens):
            kept.append((receipt, signature))
    return replace(proof, receipts=tuple(kept))


def judge(proof: InferenceProof, model: IntegerModel) -> Judgement:
    """Recompute an answer whose receipts are ``usable``. Raises ModelFilesError."""
    fragments = list(judge_receipts(proof, recompute(proof, model)))
    verdicts = tuple((_signed(proof, fragment), _right(proof, fragment)) for fragment in fragments)
    accused: dict[str, Accusation] = {}
    for fragment in fragments:
        kind = _kind(proof, fragment)
        # The earliest wrong chunk has the smallest trace, and a stake is taken once.
        if kind and fragment.node not in accused:
            accused[fragment.node] = Accusation(_signed(proof, fragment), kind)
    return Judgement(verdicts, tuple(accused.values()))


def _right(proof: InferenceProof, fragment: VerifiedFragment) -> bool:
    """A node that worked honestly on what a liar handed it did nothing wrong."""
    return fragment.verified or not _kind(proof, fragment)


def _kind(proof: InferenceProof, fragment: VerifiedFragment) -> str:
    if fragment.verified:
        return ""
    if fragment.to_blame:
        return STEP
    receipt, _ = _signed(proof, fragment)
    return "" if _is_vouched(proof, receipt) else LINK


def _is_vouched(proof: InferenceProof, receipt: Receipt) -> bool:
    """Whether a document in the file says that somebody handed over the rows that the receipt names."""
    if receipt.segment == 0:
        roots = {feed.root for feed, _ in proof.feeds if feed.to_position == receipt.to_position}
        return receipt.in_root in roots | {proof.order.prompt_root}
    return any(
        (other.segment, other.to_position, other.out_root)
        == (receipt.segment - 1, receipt.to_position, receipt.in_root)
        for other, _ in proof.receipts
    )


def _signed(proof: InferenceProof, fragment: VerifiedFragment) -> SignedReceipt:
    wanted = (fragment.segment, fragment.node, fragment.to_position)
    return next(s for s in proof.receipts if (s[0].segment, s[0].node, s[0].to_position) == wanted)


def claim_of(receipt: Receipt) -> bytes:
    """What a receipt vouches for without its output: two with one claim and two outputs are an equivocation."""
    place = receipt.segment.to_bytes(2, "big") + receipt.to_position.to_bytes(4, "big")
    return keccak(receipt.order_digest + bytes.fromhex(receipt.node[2:]) + place + receipt.in_root)


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
