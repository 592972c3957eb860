"""From an accusation to the trace that proves it: what a dispute game about one receipt is opened and played with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from nexus_chain.chain.dispute_game import GameOpening
from nexus_chain.commitments.tensor import tensor_tree
from nexus_chain.disputes.trace import Trace, TracedSequence
from nexus_chain.disputes.witnesses import PublishedModel
from nexus_chain.engine.engine import Engine
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.market.documents import Receipt
from nexus_chain.program import IntegerModel
from nexus_chain.program.sampling import Sampling
from nexus_chain.wire.peer import SignedReceipt


@dataclass(frozen=True)
class Accusation:
    """One wrong receipt with everything that a game about it needs; the answer file is its evidence."""

    proof: InferenceProof
    signed: SignedReceipt
    model: IntegerModel

    @property
    def receipt(self) -> Receipt:
        """The accused receipt."""
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
        sequence = TracedSequence(rows, self.prompt, sampling, order.salt)
        return Trace(self.model.program, self.model.weights, (ask.layer_start, ask.layer_end), sequence)

    @cached_property
    def roots(self) -> list[bytes]:
        """The right tensor roots."""
        return self.trace.roots()

    def opening(self, salt: bytes, *, only_covered: bool) -> GameOpening:
        """What the game is opened with; ``salt`` is the commitment's; ``only_covered``: else it is refused."""
        return GameOpening(
            order=self.proof.order,
            order_signature=self.proof.order_signature,
            receipt=self.receipt,
            receipt_signature=self.signed[1],
            prompt_length=self.proof.prompt_length,
            prompt_tree=tensor_tree(self.prompt).root(),
            salt=salt,
            only_covered=only_covered,
        )
