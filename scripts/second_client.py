#!/usr/bin/env python
"""A second client: finds nodes on the chain, buys one answer from them, checks every receipt, keeps the evidence.

Written from docs/wire.md, whose sections the comments name. It imports libraries only and nothing of this
repository. Left out, because an answer does not need it: spares, drafts, audits, encoders.

    python scripts/second_client.py --rpc URL --deployment FILE --wallet KEYSTORE --password-file FILE \
        --tokenizer FILE --out answer.json "def fib(n):"
    python scripts/second_client.py ... --reclaim answer.json.session
"""

from __future__ import annotations

import argparse
import json
import math
import secrets
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from coincurve import PublicKey
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from eth_abi.abi import decode, encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from tokenizers import Tokenizer
from web3 import Web3

Document = dict[str, Any]
Signed = tuple[Document, bytes]
LARGEST_MESSAGE, ROWS_BYTES, LONGEST_JSON = 4 << 20, 2 << 20, 1 << 17
CHUNK, FIRST_CHUNK, ORDER_SECONDS, SESSION_SECONDS = 32, 4, 600, 900
HALF_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 // 2
ENDS = ("<|endoftext|>", "</s>", "<|im_end|>", "<|eot_id|>")


class Refused(Exception):
    """A node, the chain or this client says no. ``evidence``: a receipt that its node did sign."""

    def __init__(self, why: str, evidence: Signed | None = None) -> None:
        super().__init__(why)
        self.evidence = evidence


# ------------------------------------------------------------------- 7, 8: documents and signatures

TYPES = {
    "EIP712Domain": "string name,string version,uint256 chainId,address verifyingContract",
    "Ask": "uint16 layerStart,uint16 layerEnd,uint128 weiPerToken",
    "Order": "bytes32 session,bytes32 salt,bytes32 modelVersion,bytes32 promptRoot,uint32 maxTokens,"
    "bytes32 samplingSeed,uint32 sampling,uint128 maxPrice,Ask[] asks,uint64 deadline",
    "TokenFeed": "bytes32 orderDigest,uint32 to,bytes32 root",
    "Receipt": "bytes32 orderDigest,address node,uint16 segment,uint32 from,uint32 to,bytes32 inRoot,bytes32 outRoot,"
    "bytes32[] predecessors,uint128 price",
    "Line": "address node,uint128 cumulative",
    "Voucher": "bytes32 session,Line[] lines",
}
MEMBERS = {name: [tuple(member.split()) for member in text.split(",")] for name, text in TYPES.items()}
NEEDS = {"Order": ("Ask",), "Voucher": ("Line",)}


def keccak(data: bytes) -> bytes:
    return bytes(Web3.keccak(data))


def digest_of(kind: str, document: Document, domain: Document) -> bytes:
    """The 32 bytes that are signed."""
    names = ("EIP712Domain", kind, *NEEDS.get(kind, ()))
    types = {name: [{"type": type_, "name": member} for type_, member in MEMBERS[name]] for name in names}
    message = encode_typed_data(
        full_message={"types": types, "primaryType": kind, "domain": domain, "message": document}
    )
    return keccak(b"\x19" + message.version + message.header + message.body)


def sign(digest: bytes, key: bytes) -> bytes:
    return bytes(Account.unsafe_sign_hash(digest, key).signature)


def signer_of(digest: bytes, signature: bytes) -> str:
    """Who signed; Refused for any but the one accepted form."""
    if len(signature) != 65 or signature[64] not in (27, 28) or int.from_bytes(signature[32:64], "big") > HALF_ORDER:
        raise Refused("a signature is not r || s || v with low s")
    try:
        compact = signature[:64] + bytes([signature[64] - 27])
        point = PublicKey.from_signature_and_message(compact, digest, hasher=None).format(compressed=False)
    except Exception as error:
        raise Refused("a signature recovers no key") from error
    return Web3.to_checksum_address(keccak(point[1:])[12:])


def to_json(value: Any) -> Any:
    """The one spelling of a document's value."""
    if isinstance(value, dict):
        return {name: to_json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value) if isinstance(value, int) and value > 2**53 - 1 else value


def receipt_of(text: str) -> Document:
    """A node's Receipt; Refused unless it is spelled as it has to be."""
    parse: dict[str, Callable[[Any], Any]] = {"bytes32": lambda raw: bytes.fromhex(raw[2:]), "address": str}
    parse["bytes32[]"] = lambda raw: [bytes.fromhex(item[2:]) for item in raw]
    try:
        raw = json.loads(text[:LONGEST_JSON])
        found = {name: parse.get(type_, int)(raw[name]) for type_, name in MEMBERS["Receipt"]}
        if to_json(found) != raw:
            raise ValueError("another spelling")
        digest_of("Receipt", found, {})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Refused(f"what the node sent is no receipt ({error})") from error
    return found


# ------------------------------------------------------------------------------------------ 6: roots


def leaves(rows: np.ndarray) -> list[bytes]:
    """Leaf hashes of tokens [t] or rows [t, width]."""
    columns = rows.shape[1] if rows.ndim == 2 else 1
    size = 4 * columns
    data, pieces = rows.astype("<i4").tobytes(), 1
    while size > pieces * 8192 and columns % (2 * pieces) == 0:
        pieces *= 2
    leaf = size // pieces if size >= 1024 else size << (1024 // size).bit_length() - 1
    return [sha256(b"\x00" + data[at : at + leaf]).digest() for at in range(0, len(data), leaf)]


def tree(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes."""
    if len(hashes) < 2:
        return hashes[0] if hashes else sha256(b"").digest()
    middle = 1 << (len(hashes) - 1).bit_length() - 1
    return sha256(b"\x01" + tree(hashes[:middle]) + tree(hashes[middle:])).digest()


def root(rows: np.ndarray, salt: bytes) -> bytes:
    """The salted tensor root."""
    shape = struct.pack(f">BB{rows.ndim}Q", 3, rows.ndim, *rows.shape)
    return sha256(b"nexus.tensor.v1" + salt + shape + tree(leaves(rows))).digest()


# --------------------------------------------------------------------------- 4, 5: connection, messages


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def message(fields: Mapping[int, Any]) -> bytes:
    """A message of fields by number: integers, bytes, or lists of them."""
    out = b""
    for number, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            whole = isinstance(one, int)
            out += varint(number << 3 | (0 if whole else 2)) + (varint(one) if whole else varint(len(one)) + one)
    return out


class Fields:
    """A message that was read: the last value of each field."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._values = data, 0, dict[int, int | bytes]()
        while self._at < len(data):
            tag = self._varint()
            size = {0: 0, 1: 8, 2: -1, 5: 4}[tag & 7]
            self._values[tag >> 3] = self._varint() if size == 0 else self._take(self._varint() if size < 0 else size)

    def _take(self, size: int) -> bytes:
        self._at += size
        if self._at > len(self._data):
            raise ValueError("the message ends early")
        return self._data[self._at - size : self._at]

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._take(1)[0]) > 127 and shift < 63:
            value, shift = value | (byte & 127) << shift, shift + 7
        return value | byte << shift

    def number(self, field: int) -> int:
        value = self._values.get(field, 0)
        return value if isinstance(value, int) else 0

    def data(self, field: int) -> bytes:
        value = self._values.get(field, b"")
        return value if isinstance(value, bytes) else b""

    def text(self, field: int) -> str:
        return self.data(field).decode()

    def has(self, field: int) -> bool:
        return field in self._values


def signed_message(signed: Signed) -> bytes:
    """A SignedDocument."""
    return message({1: json.dumps(to_json(signed[0]), sort_keys=True).encode(), 2: signed[1]})


@dataclass(frozen=True)
class Node:
    """A node as the chain has it, with its layers and its price for each position."""

    address: str
    receipt_key: str
    tls_key_hash: bytes
    endpoint: str
    stake: int
    layers: tuple[int, int]
    wei: int


class Peer:
    """One connection. Every method raises Refused or OSError."""

    def __init__(self, node: Node) -> None:
        self.node, self._number = node, 0
        host, _, port = node.endpoint.rpartition(":")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        raw = socket.create_connection((host.strip("[]"), int(port)), 5)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(raw)
        key = x509.load_der_x509_certificate(self._socket.getpeercert(binary_form=True) or b"").public_key()
        if sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest() != node.tls_key_hash:
            raise Refused(f"somebody else answers at {node.endpoint}")

    def close(self) -> None:
        self._socket.close()

    def ask(self, kind: int, body: bytes, wanted: int, *, access: bytes = b"", seconds: float = 120) -> Fields:
        """The answer of kind ``wanted`` to a call of ``kind``."""
        self._number += 1
        call = message({1: access, 15: self._number, kind: body})
        self._socket.settimeout(seconds)
        self._socket.sendall(struct.pack(">I", len(call)) + call)
        try:
            answer = self._answer()
            if answer.has(1):
                refusal = Fields(answer.data(1))
                said = "".join(one if one.isprintable() else " " for one in refusal.text(2)[:300])
                raise Refused(f"node {self.node.address}: {refusal.text(1)[:60]!a}: {said}")
            if answer.number(15) != self._number or not answer.has(wanted):
                raise Refused(f"node {self.node.address} answers another question")
            return Fields(answer.data(wanted))
        except (ValueError, KeyError) as error:
            raise Refused(f"node {self.node.address} sends no message ({error})") from error

    def _answer(self) -> Fields:
        (size,) = struct.unpack(">I", self._exactly(4))
        if size > LARGEST_MESSAGE:
            raise Refused(f"node {self.node.address} announces {size} bytes")
        return Fields(self._exactly(size))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            if not (piece := self._socket.recv(size - len(data))):
                raise Refused(f"node {self.node.address} hung up")
            data += piece
        return data

    def describe(self, version: bytes) -> int:
        """The node's context; Refused unless it proves to be who the chain says."""
        challenge = secrets.token_bytes(32)
        found = self.ask(2, message({1: challenge}), 2, seconds=5)
        start, end = found.number(3), found.number(4)
        text = b"nexus.describe.v1" + challenge + found.data(1) + found.data(2) + struct.pack(">II", start, end)
        text += int(found.text(5)).to_bytes(32, "big") + struct.pack(">IIQ", *map(found.number, (6, 7, 8)))
        text += int(found.text(20)).to_bytes(32, "big") if found.data(20) else b""
        if signer_of(keccak(text), found.data(9)) != self.node.receipt_key or found.data(2) != version:
            raise Refused(f"node {self.node.address} does not sign what it says")
        if (start, end) != self.node.layers or int(found.text(5)) > self.node.wei:
            raise Refused(f"node {self.node.address} says something else than the chain")
        return found.number(6)
