"""From an answer file to accusations: which receipts are wrong, and who is to blame. Sends nothing.

Whoever made the file is a stranger. Only an output that its own, explained input does not give accuses a node.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from nexus_chain.errors import NexusError
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.evidence.verify import judge_receipts, receipts_in_order, recompute, token_root
from nexus_chain.keccak import keccak256
from nexus_chain.market.documents import Receipt, TokenFeed, require_signer
from nexus_chain.market.receipts import check_receipt
from nexus_chain.program import IntegerModel
from nexus_chain.wire.peer import SignedReceipt


@dataclass(frozen=True)
class Judgement:
    """Receipts whose input is the program's, with whether their output is; of each liar the earliest wrong one.

    ``complete``: that covers every usable receipt, and the file's own documents and tokens fit together.
    """

    verdicts: tuple[tuple[SignedReceipt, bool], ...]
    accusations: tuple[SignedReceipt, ...]
    complete: bool

    @property
    def word(self) -> str:
        """What the book says about the answer."""
        if self.accusations:
            return "wrong"
        return "right" if self.complete else "incomplete"


def keep_signed(proof: InferenceProof, receipt_keys: Mapping[str, str]) -> InferenceProof:
    """The answer with the receipts that their nodes really signed, by the registry's keys. Others accuse nobody."""
    kept = tuple(signed for signed in proof.receipts if _is_signed(proof, *signed, receipt_keys[signed[0].node]))
    return replace(proof, receipts=kept, receipt_keys=dict(receipt_keys))


def keep_usable(proof: InferenceProof, signer: str) -> InferenceProof:
    """The answer with the receipts that follow from its order, and the feeds that ``signer``, the session key, signed.

    ``proof`` is what ``keep_signed`` returned.
    """
    receipts = tuple(signed for signed in proof.receipts if _follows(proof, *signed))
    feeds = tuple(
        signed
        for signed in proof.feeds
        if signed[0].order_digest == proof.order_digest and _is_signed(proof, *signed, signer)
    )
    return replace(proof, receipts=receipts, feeds=feeds)


def _follows(proof: InferenceProof, receipt: Receipt, signature: bytes) -> bool:
    key, given = proof.receipt_keys[receipt.node], proof.prompt_length
    bought = [audit for audit, _ in proof.audits]
    try:
        check_receipt(
            receipt, signature, proof.domain, proof.order, receipt_key=key, prompt_length=given, audits=bought
        )
    except NexusError:
        return False
    return receipt.to_position < len(proof.tokens)


def _is_signed(proof: InferenceProof, document: Receipt | TokenFeed, signature: bytes, signer: str) -> bool:
    try:
        require_signer(document, signature, proof.domain, signer)
    except NexusError:
        return False
    return True


def identity_of(proof: InferenceProof) -> bytes:
    """A digest of everything that the file says, whatever the order of its documents.

    ``proof`` is the answer as it was read, before any document is left out of it.
    """
    # INVARIANT: signatures and audits count: a file that leaves out or breaks what accuses a liar is another answer.
    # Else it would keep the genuine one from ever being judged.
    said = proof.to_dict()
    for documents in ("receipts", "feeds", "audits", "disputed"):
        said[documents] = sorted(json.dumps(document, sort_keys=True) for document in said[documents])
    return keccak256(json.dumps(said, sort_keys=True).encode())


def judge(proof: InferenceProof, model: IntegerModel) -> Judgement:
    """Recompute an answer that ``keep_usable`` returned. Raises ModelFilesError."""
    # INVARIANT: how much of the tokens was given is what the session key ordered, not what the file says: it decides
    # which tokens the program samples, so an honest receipt looks wrong under another length.
    if token_root(proof, proof.prompt_length) != proof.order.prompt_root:
        return Judgement((), (), complete=False)
    verdicts: list[tuple[SignedReceipt, bool]] = []
    accused: dict[str, SignedReceipt] = {}
    receipts, found = receipts_in_order(proof.receipts), recompute(proof, model)
    # INVARIANT: a verdict belongs to the receipt it was found for: a node may have signed several for one place.
    for signed, fragment in zip(receipts, judge_receipts(proof, found), strict=True):
        # INVARIANT: an input that the file does not explain says nothing. Whoever made the file chose its tokens and
        # feeds, and the node may have been handed others: only an output that its own input does not give is a lie.
        if not fragment.verified and not fragment.to_blame:
            continue
        verdicts.append((signed, fragment.verified))
        if fragment.to_blame:
            # The earliest wrong chunk has the smallest trace, and a stake is taken once.
            accused.setdefault(signed[0].node, signed)
    complete = 0 < len(verdicts) == len(receipts) and _consistent(proof)
    return Judgement(tuple(verdicts), tuple(accused.values()), complete)


def _consistent(proof: InferenceProof) -> bool:
    """Whether feeds and last receipts are over the tokens in the file."""
    last = len(proof.order.asks) - 1
    fed = {(feed.to_position, feed.root) for feed, _ in proof.feeds}
    handed_out = {(r.to_position + 1, r.out_root) for r, _ in proof.receipts if r.segment == last}
    return all(to <= len(proof.tokens) and root == token_root(proof, to) for to, root in fed | handed_out)


def claim_of(receipt: Receipt) -> bytes:
    """What a receipt vouches for without its output: two with one claim and two outputs are an equivocation."""
    place = receipt.segment.to_bytes(2, "big") + receipt.to_position.to_bytes(4, "big")
    return keccak256(receipt.order_digest + bytes.fromhex(receipt.node[2:]) + place + receipt.in_root)
