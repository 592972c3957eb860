#!/usr/bin/env python
"""Golden vectors that Python and Solidity both check: EIP-712 documents, Merkle openings.

Deterministic: running it again changes no byte (``tests/market/test_vectors.py``). The key is
Anvil's first public development key. CIDs (``cid.jsonl``) come from an independent importer
and are not regenerated here.

    python scripts/make_vectors.py           write tests/vectors/{eip712,merkle}.jsonl
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from eth_abi.abi import encode  # noqa: E402

from nexus_chain.commitments.merkle import MerkleTree, leaf_hash  # noqa: E402
from nexus_chain.commitments.tensor import commit  # noqa: E402
from nexus_chain.market.documents import (  # noqa: E402
    Ask,
    AuditOrder,
    Document,
    Domain,
    Line,
    Order,
    Receipt,
    TokenFeed,
    Voucher,
    address_of,
    sign,
)
from tests.support.openings import open_rows  # noqa: E402

TARGET = ROOT / "tests" / "vectors"
#: Anvil's first development key: public, worthless.
KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
DOMAINS = (
    Domain(31337, "0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9"),
    Domain(1, "0x00000000000000000000000000000000000000ff"),
)


def eip712_vectors() -> Iterator[dict[str, Any]]:
    """Extremes of every document, then random ones, each in both domains."""
    source = random.Random("nexus.vectors.eip712.v1")
    documents = [*_extremes(zero=True), *_extremes(zero=False)]
    for _ in range(3):
        documents += _random_documents(source)
    for document in documents:
        for domain in DOMAINS:
            yield _eip712_vector(document, domain)


def _eip712_vector(document: Document, domain: Domain) -> dict[str, Any]:
    return {
        "document": document.STRUCT,
        "chainId": domain.chain_id,
        "verifyingContract": domain.verifying_contract,
        "domainSeparator": _hex(domain.separator),
        "message": document.to_dict(),
        # The arguments of Solidity's hash(...), so that a test there needs no JSON reader for nested lists.
        "encoded": _hex(abi_encoded(document)),
        "structHash": _hex(document.struct_hash()),
        "digest": _hex(document.digest(domain)),
        "signer": address_of(KEY),
        "signature": _hex(sign(document, KEY, domain)),
    }


def abi_encoded(document: Document) -> bytes:
    """``abi.encode(document)`` of the Solidity struct with the same name."""
    return encode([_abi_type(type(document))], [_abi_value(document)])


def _abi_type(document: type[Document]) -> str:
    parts = []
    for field in document.FIELDS:
        member = document.MEMBERS.get(field.item_type)
        parts.append(field.type.replace(field.item_type, _abi_type(member)) if member else field.type)
    return f"({','.join(parts)})"


def _abi_value(value: Any) -> Any:
    if isinstance(value, Document):
        return tuple(_abi_value(getattr(value, field.attribute)) for field in value.FIELDS)
    if isinstance(value, tuple):
        return [_abi_value(item) for item in value]
    return value


def _extremes(*, zero: bool) -> list[Document]:
    def uint(bits: int) -> int:
        return 0 if zero else 2**bits - 1

    word = bytes(32) if zero else b"\xff" * 32
    node = "0x" + ("00" if zero else "ff") * 20
    ask, line = Ask(uint(16), uint(16), uint(128)), Line(node, uint(128))
    many = 0 if zero else 32
    asks = (ask,) * many
    return [
        ask,
        line,
        Order(word, word, word, word, uint(32), word, uint(32), uint(128), asks, uint(64)),
        TokenFeed(word, uint(32), word),
        Receipt(word, node, uint(16), uint(32), uint(32), word, word, (word,) * (many // 8), uint(128)),
        Voucher(word, (line,) * many),
        AuditOrder(word, node, uint(16), uint(32), word, uint(128)),
    ]


def _random_documents(source: random.Random) -> list[Document]:
    def word() -> bytes:
        return source.randbytes(32)

    def node() -> str:
        return "0x" + source.randbytes(20).hex()

    def wei() -> int:
        return source.getrandbits(source.randint(1, 128))

    layers = source.randint(1, 40)
    asks = tuple(Ask(i * layers, (i + 1) * layers, wei()) for i in range(source.randint(1, 4)))
    lines = tuple(Line(node(), wei()) for _ in range(source.randint(1, 5)))
    start, count = source.randint(0, 1000), source.randint(1, 32)
    return [
        asks[0],
        lines[0],
        Order(
            word(), word(), word(), word(), source.getrandbits(12), word(), source.getrandbits(20), wei(), asks, 2**33
        ),
        TokenFeed(word(), source.getrandbits(11), word()),
        Receipt(word(), node(), source.getrandbits(3), start, start + count, word(), word(), (word(),), wei()),
        Voucher(word(), lines),
        AuditOrder(word(), node(), source.getrandbits(3), start + count, word(), wei()),
    ]


def merkle_vectors() -> Iterator[dict[str, Any]]:
    """RFC 9162 trees with range proofs, then tensors with openings of rows."""
    for size in (0, 1, 2, 3, 5, 8, 33):
        data = [hashlib.sha256(f"leaf {size}.{i}".encode()).digest()[: 1 + i % 32] for i in range(size)]
        yield from _tree_vectors(data)
    source = random.Random("nexus.vectors.merkle.v1")
    for dtype, shape in (
        ("i32", (5,)),
        ("i32", (300,)),
        ("i32", (7, 64)),
        ("i8", (40, 24)),
        ("i64", (3, 200)),
        ("i16", (9, 2)),
    ):
        yield _tensor_vector(source, dtype, shape)


def _tree_vectors(data: list[bytes]) -> Iterator[dict[str, Any]]:
    tree = MerkleTree(leaf_hash(item) for item in data)
    spans = sorted({(0, len(data)), (0, 1), (len(data) // 2, len(data) // 2 + 2), (len(data) - 1, len(data))})
    yield {
        "kind": "tree",
        "leaves": [_hex(item) for item in data],
        "root": _hex(tree.root()),
        "ranges": [
            {"start": a, "stop": b, "siblings": [_hex(node) for node in tree.range_proof(a, b)]}
            for a, b in spans
            if 0 <= a < b <= len(data)
        ],
    }


def _tensor_vector(source: random.Random, dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    kinds = {"i8": torch.int8, "i16": torch.int16, "i32": torch.int32, "i64": torch.int64}
    count = int(torch.tensor(shape).prod())
    raw = bytearray(source.randbytes(count * kinds[dtype].itemsize))
    tensor = torch.frombuffer(raw, dtype=kinds[dtype]).reshape(shape)
    salt = source.randbytes(32)
    start = source.randrange(shape[0])
    stop = source.randint(start + 1, shape[0])
    opening = open_rows(tensor, start, stop)
    return {
        "kind": "tensor",
        "dtype": dtype,
        "shape": list(shape),
        "salt": _hex(salt),
        "bytes": _hex(bytes(raw)),
        "root": _hex(commit(tensor, salt)),
        "opening": {
            "start": start,
            "stop": stop,
            "leaves": _hex(opening.leaves),
            "siblings": [_hex(node) for node in opening.siblings],
        },
    }


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def rendered() -> dict[str, str]:
    """File name -> content."""
    made = {"eip712.jsonl": eip712_vectors(), "merkle.jsonl": merkle_vectors()}
    return {name: "".join(json.dumps(vector) + "\n" for vector in vectors) for name, vectors in made.items()}


if __name__ == "__main__":
    TARGET.mkdir(exist_ok=True)
    for name, content in rendered().items():
        (TARGET / name).write_text(content)
        sys.stdout.write(f"wrote {(TARGET / name).relative_to(ROOT)}: {content.count(chr(10))} vectors\n")
