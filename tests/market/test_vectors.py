"""The golden vectors are what the script makes, and what independent code says they should be."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from nexus_chain.market import documents
from nexus_chain.market.documents import Document, Domain, recover

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "vectors"


def vectors(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]


@pytest.mark.parametrize("name", ["eip712.jsonl", "merkle.jsonl"])
def test_regenerating_changes_nothing(name: str) -> None:
    spec = importlib.util.spec_from_file_location("make_vectors", ROOT / "scripts" / "make_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.rendered()[name] == (FOLDER / name).read_text()


def test_every_document_is_covered() -> None:
    assert {v["document"] for v in vectors("eip712.jsonl")} == {
        "Ask",
        "Line",
        "Order",
        "TokenFeed",
        "Receipt",
        "AuditOrder",
        "Voucher",
    }


def test_documents_read_back_and_hash_as_eth_account_does() -> None:
    for vector in vectors("eip712.jsonl"):
        kind: type[Document] = getattr(documents, vector["document"])
        document = kind.from_dict(vector["message"])
        domain = Domain(vector["chainId"], vector["verifyingContract"])
        signable = encode_typed_data(full_message=document.to_typed_data(domain))
        signature = bytes.fromhex(vector["signature"][2:])
        assert "0x" + signable.body.hex() == vector["structHash"] == "0x" + document.struct_hash().hex()
        assert "0x" + signable.header.hex() == vector["domainSeparator"]
        assert "0x" + document.digest(domain).hex() == vector["digest"]
        assert recover(document, signature, domain) == vector["signer"]
        assert Account.recover_message(signable, signature=signature) == vector["signer"]


def rfc9162(leaves: list[bytes]) -> bytes:
    """The tree hash as the RFC writes it down, recursively."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + rfc9162(leaves[:k]) + rfc9162(leaves[k:])).digest()


def test_merkle_roots_follow_the_rfc() -> None:
    trees = [v for v in vectors("merkle.jsonl") if v["kind"] == "tree"]
    assert len(trees) == 7
    for vector in trees:
        leaves = [bytes.fromhex(leaf[2:]) for leaf in vector["leaves"]]
        assert vector["root"] == "0x" + rfc9162(leaves).hex()


def test_tensor_roots_follow_the_written_format() -> None:
    sizes, codes = {"i8": 1, "i16": 2, "i32": 4, "i64": 8}, {"i8": 1, "i16": 2, "i32": 3, "i64": 4}
    for vector in (v for v in vectors("merkle.jsonl") if v["kind"] == "tensor"):
        shape, raw = vector["shape"], bytes.fromhex(vector["bytes"][2:])
        row = sizes[vector["dtype"]] * (shape[-1] if len(shape) > 1 else 1)
        per_leaf = 1
        while row < 1024 and 2 * per_leaf * row <= 1024:
            per_leaf *= 2
        step = row * per_leaf
        tree = rfc9162([raw[i : i + step] for i in range(0, len(raw), step)])
        head = b"nexus.tensor.v1" + bytes.fromhex(vector["salt"][2:]) + bytes([codes[vector["dtype"]], len(shape)])
        dimensions = b"".join(size.to_bytes(8, "big") for size in shape)
        assert vector["root"] == "0x" + hashlib.sha256(head + dimensions + tree).hexdigest()
