"""The signed documents: Ask, Order, TokenFeed, Receipt, AuditOrder, Line, Voucher; in disputes Trace and Scores.

Each is a frozen dataclass with one field for each EIP-712 member, in the order of ``SignedDocuments.sol``, which hashes
the same documents. Both sides check ``tests/vectors/eip712.jsonl``. ``from`` and ``to`` of the documents are
``from_position`` and ``to_position`` here. Amounts are wei, times are Unix seconds of the chain, and positions count
tokens from the start of the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from nexus_chain.market.eip712 import (
    Document,
    Domain,
    Field,
    address_of,
    checksum,
    recover,
    recover_digest,
    require_signer,
    sign,
    sign_digest,
)

__all__ = [
    "CHUNK_POSITIONS",
    "DISCARDS_PER_POSITION",
    "MAX_LINES",
    "Ask",
    "AuditOrder",
    "Document",
    "Domain",
    "Line",
    "Order",
    "Receipt",
    "Scores",
    "TokenFeed",
    "TraceDocument",
    "Voucher",
    "address_of",
    "checksum",
    "recover",
    "recover_digest",
    "require_signer",
    "sign",
    "sign_digest",
]

#: Positions per chunk after the prompt: one receipt, one prepaid voucher each.
CHUNK_POSITIONS = 32
#: Rows that a client may have dropped again, for every position of an order: drafts of what comes next.
DISCARDS_PER_POSITION = 2
#: Lines per session, as the contract enforces it.
MAX_LINES = 32


@dataclass(frozen=True)
class Ask(Document):
    """The price at which one segment, layers [layer_start, layer_end), is served."""

    layer_start: int
    layer_end: int
    wei_per_token: int

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("layer_start", "layerStart", "uint16"),
        Field("layer_end", "layerEnd", "uint16"),
        Field("wei_per_token", "weiPerToken", "uint128"),
    )


@dataclass(frozen=True)
class Order(Document):
    """What a user wants computed and what it may cost; signed by the session key.

    ``salt`` is 32 secret random bytes mixed into every root of the order: without it anyone could
    test guessed prompts against public roots. ``sampling`` is beta (0: greedy), ``sampling_seed``
    the 32-byte noise seed. ``asks`` has one entry per segment, contiguous over all layers.
    """

    session: bytes
    salt: bytes
    model_version: bytes
    prompt_root: bytes
    max_tokens: int
    sampling_seed: bytes
    sampling: int
    max_price: int
    asks: tuple[Ask, ...]
    deadline: int

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("session", "session", "bytes32"),
        Field("salt", "salt", "bytes32"),
        Field("model_version", "modelVersion", "bytes32"),
        Field("prompt_root", "promptRoot", "bytes32"),
        Field("max_tokens", "maxTokens", "uint32"),
        Field("sampling_seed", "samplingSeed", "bytes32"),
        Field("sampling", "sampling", "uint32"),
        Field("max_price", "maxPrice", "uint128"),
        Field("asks", "asks", "Ask[]"),
        Field("deadline", "deadline", "uint64"),
    )
    MEMBERS: ClassVar[Mapping[str, type[Document]]] = {"Ask": Ask}


@dataclass(frozen=True)
class TokenFeed(Document):
    """ "I fed these tokens [0, to) to segment 0"; signed by the session key.

    Protects segment 0 inside a chunk, where no receipt of the last segment can exist yet.
    ``root`` is the salted tensor root of the tokens, i32[to].
    """

    order_digest: bytes
    to_position: int
    root: bytes

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("order_digest", "orderDigest", "bytes32"),
        Field("to_position", "to", "uint32"),
        Field("root", "root", "bytes32"),
    )


@dataclass(frozen=True)
class Receipt(Document):
    """A node vouches for positions [0, to) of one segment and bills [from, to).

    Signed by the receipt key registered for ``node``. ``predecessors`` are the digests of the receipts whose rows it
    worked on. In segment 0 it is the digest of the TokenFeed, and nothing for the prompt. In an audit it is the digest
    of the AuditOrder.
    """

    order_digest: bytes
    node: str
    segment: int
    from_position: int
    to_position: int
    in_root: bytes
    out_root: bytes
    predecessors: tuple[bytes, ...]
    price: int

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("order_digest", "orderDigest", "bytes32"),
        Field("node", "node", "address"),
        Field("segment", "segment", "uint16"),
        Field("from_position", "from", "uint32"),
        Field("to_position", "to", "uint32"),
        Field("in_root", "inRoot", "bytes32"),
        Field("out_root", "outRoot", "bytes32"),
        Field("predecessors", "predecessors", "bytes32[]"),
        Field("price", "price", "uint128"),
    )


@dataclass(frozen=True)
class AuditOrder(Document):
    """ "Compute these rows [0, to) of one segment of my order once more"; signed by the session key.

    It buys a receipt of ``node``'s own for the same order, segment, ``to_position`` and ``in_root``, at ``price`` wei
    in all. It names no output root, so there is nothing to copy. No contract reads it.
    """

    order_digest: bytes
    node: str
    segment: int
    to_position: int
    in_root: bytes
    price: int

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("order_digest", "orderDigest", "bytes32"),
        Field("node", "node", "address"),
        Field("segment", "segment", "uint16"),
        Field("to_position", "to", "uint32"),
        Field("in_root", "inRoot", "bytes32"),
        Field("price", "price", "uint128"),
    )


@dataclass(frozen=True)
class Line(Document):
    """What one node may take from a session: a cap when opening, a cumulative amount in a voucher."""

    node: str
    cumulative: int

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("node", "node", "address"),
        Field("cumulative", "cumulative", "uint128"),
    )


@dataclass(frozen=True)
class Voucher(Document):
    """Cumulative payments of one session, one line per node; signed by the session key.

    Lines merge by maximum, so an older or lower voucher never takes anything away.
    """

    session: bytes
    lines: tuple[Line, ...]

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("session", "session", "bytes32"),
        Field("lines", "lines", "Line[]"),
    )
    MEMBERS: ClassVar[Mapping[str, type[Document]]] = {"Line": Line}

    def amount_for(self, node: str) -> int:
        """Cumulative wei for ``node``; 0 when the voucher has no line for it."""
        return max((line.cumulative for line in self.lines if line.node == checksum(node)), default=0)


@dataclass(frozen=True)
class TraceDocument(Document):
    """ "The tensors of this receipt's segment have these roots"; by the receipt key, in a dispute only."""

    STRUCT: ClassVar[str] = "Trace"

    receipt_digest: bytes
    root: bytes

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("receipt_digest", "receiptDigest", "bytes32"),
        Field("root", "root", "bytes32"),
    )


@dataclass(frozen=True)
class Scores(Document):
    """ "The attention behind this element had this row of scores"; by the receipt key, in a dispute only."""

    receipt_digest: bytes
    tensor: int
    leaf: int
    element: int
    root: bytes

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("receipt_digest", "receiptDigest", "bytes32"),
        Field("tensor", "tensor", "uint32"),
        Field("leaf", "leaf", "uint32"),
        Field("element", "element", "uint32"),
        Field("root", "root", "bytes32"),
    )
