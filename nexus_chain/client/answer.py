"""What asking gives in the end: text, evidence and the bill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nexus_chain.chain.transactions import Mined
from nexus_chain.client.auditing import AuditResult
from nexus_chain.client.segment import FailoverEvent
from nexus_chain.evidence.proof import InferenceProof


@dataclass(frozen=True)
class Transaction:
    """One transaction this answer needed."""

    call: str
    hash: str
    gas: int
    fee_wei: int

    @classmethod
    def of(cls, call: str, mined: Mined) -> Transaction:
        return cls(call, mined.hash, mined.gas, mined.fee)


def receipts_told(proof: InferenceProof) -> list[dict[str, Any]]:
    """The receipts of an answer file as a list for people, without signatures."""
    return [
        {
            "segment": receipt.segment,
            "node": receipt.node,
            "from": receipt.from_position,
            "to": receipt.to_position,
            "price_wei": str(receipt.price),
            "out_root": "0x" + receipt.out_root.hex(),
        }
        for receipt, _ in proof.receipts
    ]


@dataclass(frozen=True)
class Answer:
    """A finished answer.

    ``tokens`` are the sampled ones (an end token included), ``cost_wei`` what the receipts bill,
    ``promised_wei`` what the vouchers allow the nodes to collect for this order's session so far.
    ``share_wei`` is what the version's publisher gets of ``cost_wei`` beside it, rounded up for each node: a session's
    share is rounded once, when its lines are settled.
    """

    mode: str
    session: bytes
    order_digest: bytes
    prompt: str
    text: str
    tokens: tuple[int, ...]
    cost_wei: int
    promised_wei: int
    seconds: float
    first_token_seconds: float
    failovers: tuple[FailoverEvent, ...]
    proof: InferenceProof
    transactions: tuple[Transaction, ...] = ()
    audits: tuple[AuditResult, ...] = ()
    share_wei: int = 0
    embedding: tuple[int, ...] | None = None  # of an encoder: one number a component, 16 fraction bits

    @property
    def tokens_per_second(self) -> float:
        """Decode speed: tokens after the first over the time after the first."""
        rest = self.seconds - self.first_token_seconds
        return (len(self.tokens) - 1) / rest if rest > 0 and len(self.tokens) > 1 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON value without the proof."""
        return {
            "mode": self.mode,
            "session": "0x" + self.session.hex(),
            "order": "0x" + self.order_digest.hex(),
            "prompt": self.prompt,
            "text": self.text,
            "tokens": list(self.tokens),
            **({} if self.embedding is None else {"embedding": list(self.embedding)}),
            "cost_wei": str(self.cost_wei),
            "share_wei": str(self.share_wei),
            "promised_wei": str(self.promised_wei),
            "seconds": round(self.seconds, 3),
            "first_token_seconds": round(self.first_token_seconds, 3),
            "tokens_per_second": round(self.tokens_per_second, 2),
            "receipts": receipts_told(self.proof),
            "audits": [{**vars(one), "price": str(one.price)} for one in self.audits],
            "failovers": [vars(event) for event in self.failovers],
            "transactions": [
                {"call": t.call, "hash": t.hash, "gas": t.gas, "fee_wei": str(t.fee_wei)} for t in self.transactions
            ],
        }
