"""InferenceProof: everything needed to check one answer later, as one JSON file.

The name comes from the first sketch, where a node signed a hash of what it said it did. Here the proof is the order,
the tokens and the signed receipts. With the public weights anybody can recompute every root in them by one prefill,
see ``nexus_chain.evidence.verify``. A wrong root convicts its signer. The file holds the order's salt and the tokens,
so whoever gets it can read the conversation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nexus_chain.evidence.errors import ProofFileError
from nexus_chain.evidence.order_record import OrderRecord
from nexus_chain.json_text import parse_json
from nexus_chain.market.documents import AuditOrder, Document, Domain, Order, Receipt, TokenFeed, checksum
from nexus_chain.market.errors import DocumentFormatError
from nexus_chain.wire.peer import SignedAudit, SignedFeed, SignedReceipt

_FORMAT = "nexus.answer.v1"


@dataclass(frozen=True)
class InferenceProof:
    """One answer's evidence.

    ``tokens`` are the prompt's ``prompt_length`` ids and then the sampled ones; ``signer`` is the
    session key's address; ``receipt_keys`` maps each node to the key registered for it when the
    answer was given. ``leaves[s]`` are the leaf hashes of the rows that segment s put out (inner
    boundaries only, may be empty): they locate a wrong row inside a chunk. ``disputed`` are receipts that the client
    refused and that their nodes signed: nobody was paid for them, and they can convict.
    boundaries only, may be empty): they locate a wrong row inside a chunk. ``audits`` are the orders that bought the
    auditors' receipts, which stand among the others.
    """

    domain: Domain
    order: Order
    order_signature: bytes
    signer: str
    prompt_length: int
    tokens: tuple[int, ...]
    receipts: tuple[SignedReceipt, ...]
    feeds: tuple[SignedFeed, ...]
    receipt_keys: Mapping[str, str]
    leaves: tuple[tuple[bytes, ...], ...] = ()
    disputed: tuple[SignedReceipt, ...] = ()
    audits: tuple[SignedAudit, ...] = ()

    @property
    def order_digest(self) -> bytes:
        return self.order.digest(self.domain)

    @property
    def cost_wei(self) -> int:
        """What the receipts bill."""
        return sum(receipt.price for receipt, _ in self.receipts)

    @property
    def with_disputed(self) -> InferenceProof:
        """The same with the refused receipts among the others: what a watcher judges."""
        return replace(self, receipts=self.receipts + self.disputed, disputed=())

    def to_dict(self) -> dict[str, Any]:
        """JSON value; documents in their canonical form, bytes as 0x hex."""
        return {
            "format": _FORMAT,
            "chainId": self.domain.chain_id,
            "market": self.domain.verifying_contract,
            "order": _signed(self.order, self.order_signature),
            "signer": self.signer,
            "promptLength": self.prompt_length,
            "tokens": list(self.tokens),
            "receipts": [_signed(*signed) for signed in self.receipts],
            "feeds": [_signed(*signed) for signed in self.feeds],
            "audits": [_signed(*signed) for signed in self.audits],
            "receiptKeys": dict(self.receipt_keys),
            "leaves": [[leaf.hex() for leaf in boundary] for boundary in self.leaves],
            "disputed": [_signed(*signed) for signed in self.disputed],
        }

    @classmethod
    def from_dict(cls, data: Any) -> InferenceProof:
        """Inverse of ``to_dict``. Raises ProofFileError."""
        try:
            if data["format"] != _FORMAT:
                raise ValueError(f"format {data['format']!r} is not {_FORMAT}")
            return cls(
                Domain(int(data["chainId"]), data["market"]),
                Order.from_dict(data["order"]["document"]),
                _bytes(data["order"]["signature"]),
                checksum(data["signer"]),
                int(data["promptLength"]),
                _tokens(data["tokens"], int(data["promptLength"])),
                tuple((Receipt.from_dict(r["document"]), _bytes(r["signature"])) for r in data["receipts"]),
                tuple((TokenFeed.from_dict(f["document"]), _bytes(f["signature"])) for f in data["feeds"]),
                {checksum(node): checksum(key) for node, key in data["receiptKeys"].items()},
                tuple(tuple(bytes.fromhex(leaf) for leaf in boundary) for boundary in data["leaves"]),
                # Absent in files that were written before refused receipts were kept.
                tuple((Receipt.from_dict(r["document"]), _bytes(r["signature"])) for r in data.get("disputed", ())),
                # Absent in files from before audits were sold.
                audits=tuple(
                    (AuditOrder.from_dict(a["document"]), _bytes(a["signature"])) for a in data.get("audits", ())
                ),
            )
        except (KeyError, TypeError, ValueError, AttributeError, DocumentFormatError) as error:
            raise ProofFileError(
                f"this is not an answer file ({error})", advice="Give the file that `nexus ask` wrote, unchanged."
            ) from error

    def save(self, path: Path) -> Path:
        """Write the file, readable by its owner only (it holds the conversation); returns ``path``."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600, exist_ok=True)
            path.write_text(json.dumps(self.to_dict(), indent=1) + "\n")
        except OSError as error:
            raise ProofFileError(
                f"{path} cannot be written: {error.strerror}", advice="Choose a place you can write to."
            ) from error
        return path

    @classmethod
    def load(cls, path: Path) -> InferenceProof:
        """Read what ``save`` wrote. Raises ProofFileError."""
        try:
            return cls.from_dict(parse_json(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise ProofFileError(
                f"{path} cannot be read ({error})", advice="Give the file that `nexus ask` wrote."
            ) from error


def generate_proof(
    record: OrderRecord,
    signer: str,
    domain: Domain,
    receipt_key_of: Callable[[str], str],
    leaves: tuple[tuple[bytes, ...], ...] = (),
) -> InferenceProof:
    """The evidence of an order as the store has it; ``receipt_key_of`` asks the registry by node address.

    ``signer`` is the session key's address, ``leaves`` those of the rows seen, where they are still known.
    """
    return InferenceProof(
        domain,
        record.order,
        record.signature,
        signer,
        record.prompt_length,
        record.tokens,
        record.receipts,
        record.feeds,
        {node: receipt_key_of(node) for node in {receipt.node for receipt, _ in record.receipts + record.disputed}},
        leaves,
        record.disputed,
        audits=record.audits,
    )


def _signed(document: Document, signature: bytes) -> dict[str, Any]:
    return {"document": document.to_dict(), "signature": "0x" + signature.hex()}


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _tokens(values: Sequence[Any], prompt_length: int) -> tuple[int, ...]:
    tokens = tuple(int(value) for value in values)
    if not 0 < prompt_length <= len(tokens) or not all(-(2**31) <= token < 2**31 for token in tokens):
        raise ValueError("the tokens are not a prompt and its continuation")
    return tokens
