"""A second client: finds nodes on the chain, buys one answer from them, checks every receipt, keeps the evidence.

Written from docs/wire.md, whose sections the comments name; it imports nothing of this repository.
Left out, because an answer does not need them: spares, drafts, audits, encoders, the sum that hangs on a node.
"""

from __future__ import annotations

import argparse
import json
import math
import secrets
import socket
import ssl
import struct
import time
from collections import namedtuple
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from coincurve import PublicKey
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from eth_abi.abi import decode, encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from tokenizers import Tokenizer
from web3 import Web3
from web3.middleware import SignAndSendRawMiddlewareBuilder


class Refused(Exception):
    """Why a node or this client says no."""


Rows = np.ndarray[Any, np.dtype[np.int32]]
Document = dict[str, Any]  # values as JSON spells them; where it is signed, {"document": ..., "signature": "0x..."}
Answer = Callable[[int, Any], Any]  # a message that came: the value of a field, or a default
Node = namedtuple("Node", "address receipt_key tls_key_hash endpoint layers wei")
LARGEST_MESSAGE, ROWS_BYTES, LONGEST_JSON, CHUNK, FIRST_CHUNK, SESSION_SECONDS = 4 << 20, 2 << 20, 1 << 17, 32, 4, 900
HALF_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 // 2
FAULTS = (Refused, OSError, DecodeError, UnsupportedAlgorithm, ValueError, OverflowError, struct.error)
TYPES = {
    "Ask": "uint16 layerStart,uint16 layerEnd,uint128 weiPerToken",
    "Order": "bytes32 session,bytes32 salt,bytes32 modelVersion,bytes32 promptRoot,uint32 maxTokens,"
    "bytes32 samplingSeed,uint32 sampling,uint128 maxPrice,Ask[] asks,uint64 deadline",
    "TokenFeed": "bytes32 orderDigest,uint32 to,bytes32 root",
    "Receipt": "bytes32 orderDigest,address node,uint16 segment,uint32 from,uint32 to,bytes32 inRoot,bytes32 outRoot,"
    "bytes32[] predecessors,uint128 price",
    "Line": "address node,uint128 cumulative",
    "Voucher": "bytes32 session,Line[] lines",
}


def spell(value: int | bytes) -> int | str:
    """The one JSON spelling of a number or of bytes (section 7)."""
    return f"0x{value.hex()}" if isinstance(value, bytes) else value if value < 2**53 else str(value)


def digest_of(kind: str, document: Document, domain: Document) -> bytes:
    """The 32 bytes that are signed."""
    types = {
        name: [dict(zip(("type", "name"), member.split(), strict=True)) for member in TYPES[name].split(",")]
        for name in (kind, *{"Order": ["Ask"], "Voucher": ["Line"]}.get(kind, []))
    }
    message = encode_typed_data(domain, types, document)
    return keccak(b"\x19" + message.version + message.header + message.body)


def signer_of(digest: bytes, signature: bytes) -> str:
    """Who signed; Refused for any but the one accepted form, ValueError where no key comes out."""
    if len(signature) != 65 or signature[64] not in (27, 28) or int.from_bytes(signature[32:64], "big") > HALF_ORDER:
        raise Refused("a signature is not r || s || v with low s")
    recoverable = signature[:64] + bytes([signature[64] - 27])
    point = PublicKey.from_signature_and_message(recoverable, digest, hasher=None).format(compressed=False)
    return to_checksum_address(keccak(point[1:])[12:])


def check_receipt(answer: Answer, expected: Document, key: str, domain: Document, evidence: list[Document]) -> Document:
    """The receipt in an answer; Refused, and perhaps ``evidence``, unless ``key`` signed what is ``expected``."""
    try:
        receipt = json.loads(answer(1, b"")[:LONGEST_JSON])
        signer = signer_of(digest_of("Receipt", receipt, domain), answer(2, b""))
    except Exception as error:
        raise Refused(f"what node {expected['node']} sends is no receipt") from error
    if signer != key or set(receipt) != set(expected) or receipt["node"] != expected["node"]:
        raise Refused(f"the receipt of node {expected['node']} fails step 1")
    signed = {"document": receipt, "signature": spell(answer(2, b""))}
    for step, names in enumerate(("orderDigest segment", "from to", "inRoot outRoot", "predecessors", "price"), 2):
        if any(receipt[name] != expected[name] for name in names.split()):
            evidence += [signed] if step > 2 else []
            raise Refused(f"the receipt of node {expected['node']} fails step {step}")
    return signed


def leaves(rows: Rows) -> list[bytes]:
    """Leaf hashes of tokens [t] or rows [t, width] (section 6)."""
    data, size, pieces = rows.astype("<i4").tobytes(), 4 * math.prod(rows.shape[1:]), 1
    while size > pieces * 8192 and size % (8 * pieces) == 0:
        pieces *= 2
    leaf = size // pieces if size >= 1024 else size << (1024 // size).bit_length() - 1
    return [sha256(b"\x00" + data[at : at + leaf]).digest() for at in range(0, len(data), leaf)]


def tree(hashes: list[bytes]) -> bytes:
    """The root over leaf hashes."""
    if len(hashes) < 2:
        return hashes[0] if hashes else sha256(b"").digest()
    middle = 1 << (len(hashes) - 1).bit_length() - 1
    return sha256(b"\x01" + tree(hashes[:middle]) + tree(hashes[middle:])).digest()


def root(rows: Rows, salt: bytes) -> int | str:
    """The salted tensor root, as it is spelled."""
    shape = struct.pack(f">BB{rows.ndim}Q", 3, rows.ndim, *rows.shape)
    return spell(sha256(b"nexus.tensor.v1" + salt + shape + tree(leaves(rows))).digest())


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def message(fields: dict[int, Any]) -> bytes:
    """A message by its fields' numbers (section 5): a list is a repeated field, a dict is a SignedDocument."""
    out = b""
    for number, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                one = message({1: json.dumps(one["document"]).encode(), 2: bytes.fromhex(one["signature"][2:])})
            whole = isinstance(one, int)
            out += varint(number << 3 | (0 if whole else 2)) + (varint(one) if whole else varint(len(one)) + one)
    return out


def fields_of(data: bytes) -> Answer:
    """The value of each field of a message, or a default: also for one of another kind, as in protobuf."""
    found = {one.field_number: one.data for one in UnknownFieldSet(Empty.FromString(data))}
    return lambda field, other: value if isinstance(value := found.get(field, other), type(other)) else other


class Peer:
    """Section 4: one connection to a node. Raises FAULTS, which are all that a node can bring about."""

    def __init__(self, node: Node) -> None:
        self.node, self._number, self.access = node, 0, b""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        host, _, port = node.endpoint.rpartition(":")
        self.socket = context.wrap_socket(socket.create_connection((host.strip("[]"), int(port)), 5))
        self._stream = self.socket.makefile("rb")
        key = x509.load_der_x509_certificate(self.socket.getpeercert(binary_form=True) or b"").public_key()
        if sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest() != node.tls_key_hash:
            self.socket.close()
            raise Refused(f"somebody else answers at the address of node {node.address}")

    def ask(self, kind: int, call: dict[int, Any], answer: int, seconds: float = 120) -> Answer:
        """What a call of field ``kind`` is answered with, which is of field ``answer``."""
        self._number += 1
        data = message({1: self.access, 15: self._number, kind: message(call)})
        self.socket.settimeout(seconds)
        self.socket.sendall(struct.pack(">I", len(data)) + data)
        size = int.from_bytes(self._stream.read(4), "big")
        if not 0 < size <= LARGEST_MESSAGE or len(data := self._stream.read(size)) < size:
            raise Refused(f"node {self.node.address} hung up, or sends no message")
        found = fields_of(data)
        if found(15, 0) != self._number or not found(answer, b""):
            refusal = fields_of(found(1, b""))
            raise Refused(f"node {self.node.address} does not answer: {[refusal(one, b'')[:300] for one in (1, 2)]}")
        return fields_of(found(answer, b""))


def fits(node: Node, version: bytes, positions: int) -> bool:
    """Whether a node answers, signs what the chain says about it, and has room for a text of ``positions``."""
    try:
        challenge, peer = secrets.token_bytes(32), Peer(node)
        with peer.socket:
            found = peer.ask(2, {1: challenge}, 2, 5)
        start, end, wei = found(3, 0), found(4, 0), int(found(5, b""))
        text = b"nexus.describe.v1" + challenge + found(1, b"") + found(2, b"") + struct.pack(">II", start, end)
        text += wei.to_bytes(32, "big") + struct.pack(">IIQ", *(found(field, 0) for field in (6, 7, 8)))
        text += int(found(20, b"")).to_bytes(32, "big") if found(20, b"") else b""
        said = signer_of(keccak(text), found(9, b"")), found(2, b""), (start, end), wei
        return said == (node.receipt_key, version, node.layers, node.wei) and found(6, 0) >= positions
    except FAULTS:
        return False


class Chain:
    """Sections 2 and 3: the contracts, for one wallet's account."""

    def __init__(self, rpc: str, deployment: Document, account: Any) -> None:
        self.web3, self.at, self.account = Web3(Web3.HTTPProvider(rpc)), deployment, account
        self.web3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
        self.domain = {"name": "Neural Nexus", "version": "1", "chainId": deployment["chain_id"]}
        self.domain["verifyingContract"] = to_checksum_address(deployment["inference_market"])

    def _call(self, contract: str, call: str, given: tuple[Any, ...], value: int = 0) -> Any:
        types, to = call[call.index("(") :], to_checksum_address(self.at[contract])
        data = keccak(call.encode())[:4] + (encode([types], [given])[32 if "[]" in types else 0 :] if given else b"")
        return {"from": self.account.address, "to": to, "data": data, "value": value}

    def read(self, contract: str, call: str, returns: str, *given: Any) -> Any:
        return decode([returns], self.web3.eth.call(self._call(contract, call, given)))[0]

    def send(self, call: str, *given: Any, value: int = 0) -> None:
        """A transaction to the market, mined."""
        sent = self.web3.eth.send_transaction(self._call("inference_market", call, given, value))
        if self.web3.eth.wait_for_transaction_receipt(sent, 120)["status"] != 1:
            raise Refused(f"the contract refused {call}")

    def node(self, address: str, start: int, end: int, wei: int) -> Node | None:
        """Who made an offer; None where it is leaving or was convicted."""
        record = "(address,uint40,bool,uint128,uint64,bytes32,string)"
        key, left, guilty, _, _, tls, endpoint = self.read("node_registry", "node(address)", record, address)
        names = map(to_checksum_address, (address, key))
        return None if guilty or left else Node(*names, tls, endpoint, (start, end), wei)

    def route(self, tokenizer: bytes, positions: int) -> tuple[bytes, list[Node]]:
        """The newest version with this tokenizer; the cheapest nodes that answer, have room, and cover its layers."""
        record = "(bytes32,bytes32,bytes32,bytes32,uint128,uint16,(uint16,uint16,uint16),string)"
        ids = self.read("model_registry", "versions(uint256,uint256)", "bytes32[]", 0, 10**6)
        known = {one: self.read("model_registry", "version(bytes32)", record, one) for one in ids}
        same = {found[2]: (one, found[5]) for one, found in known.items()}
        version, layers = same.get(sha256(tokenizer).digest(), (bytes(32), -1))
        call, record = "announcements(bytes32,uint256,uint256)", "(address,uint16,uint16,uint128)[]"
        best: dict[int, tuple[float, list[Node]]] = {0: (0, [])}
        for offer in sorted(self.read("node_registry", call, record, version, 0, 10**6), key=lambda one: one[1]):
            before, after = best.get(offer[1], (math.inf, [])), best.get(offer[2], (math.inf, []))
            if before[0] + offer[3] < after[0] and (node := self.node(*offer)) and fits(node, version, positions):
                best[offer[2]] = before[0] + node.wei, [*before[1], node]
        if layers not in best:
            raise Refused("there is no version with this tokenizer, or no nodes that answer cover its layers")
        return version, best[layers][1]


class Buyer:
    """Sections 9 to 11: one order over a route of nodes, in a session of its own."""

    def __init__(self, chain: Chain, version: bytes, route: list[Node], prompt: list[int], most: int) -> None:
        self.chain, self.version, self.route, self.tokens, self.closed = chain, version, route, list(prompt), 0
        self.given, self.most, self.end = len(prompt), most, len(prompt) + most - 1
        self.key, self.salt, self.nonce, self.seed = (secrets.token_bytes(32) for _ in range(4))
        self.session = keccak(encode(["address", "bytes32"], [chain.account.address, self.nonce]))
        self.rows = [np.empty((0, 1), np.int32) for _ in route[1:]]  # of each boundary between two segments, [t, width]
        self.receipts, self.feeds, self.disputed = list[Document](), list[Document](), list[Document]()
        self.peers: list[Peer] = []

    def sign(self, kind: str, document: Document) -> Document:
        signature = Account.unsafe_sign_hash(digest_of(kind, document, self.chain.domain), self.key).signature
        return {"document": document, "signature": spell(signature)}

    def inputs(self, segment: int, start: int, stop: int) -> Rows:
        """What a segment takes in for positions [start, stop)."""
        return self.rows[segment - 1][start:stop] if segment else np.array(self.tokens[start:stop], np.int32)

    def open(self, secret: Path, temperature: float) -> None:
        """Lock the money and sign the order. What gets the money back is in the file ``secret`` before."""
        caps = [(node.address, max(1, node.wei * self.end)) for node in self.route]
        secret.touch(0o600)
        secret.write_text(json.dumps([self.session.hex(), self.key.hex(), [node for node, _ in caps]]))
        now = max(int(time.time()), self.chain.web3.eth.get_block("latest")["timestamp"])
        expiry = now + min(SESSION_SECONDS, self.chain.read("inference_market", "longestSession()", "uint256") - 60)
        call, signer = "open(address,uint64,(address,uint128)[],bytes32)", Account.from_key(self.key).address
        self.chain.send(call, signer, expiry, caps, self.nonce, value=sum(wei for _, wei in caps))
        order = {
            "session": spell(self.session), "salt": spell(self.salt), "modelVersion": spell(self.version),
            "promptRoot": root(self.inputs(0, 0, self.given), self.salt), "maxTokens": self.most, "deadline": expiry,
            "sampling": round(65536 * math.log2(math.e) / temperature) if temperature else 0,
            "samplingSeed": spell(self.seed), "maxPrice": spell(sum(node.wei for node in self.route) * self.end),
            "asks": [{"layerStart": a, "layerEnd": b, "weiPerToken": spell(wei)} for *_, (a, b), wei in self.route],
        }  # fmt: skip
        self.order, self.digest = self.sign("Order", order), digest_of("Order", order, self.chain.domain)

    def prepay(self, stop: int) -> Document:
        """The voucher for all segments up to ``stop``; Refused where a node is not bound by what it signs any more."""
        record = "(uint128,uint128,uint64,bool,bool,bool,uint256)"
        for node in self.route:
            line = self.chain.read("inference_market", "lineOf(bytes32,address)", record, self.session, node.address)
            if line[3] or line[5] or self.chain.node(node.address, *node.layers, node.wei) is None:
                raise Refused(f"node {node.address} has left")
        lines = [{"node": node.address, "cumulative": spell(node.wei * stop)} for node in self.route]
        return self.sign("Voucher", {"session": spell(self.session), "lines": lines})

    def feed(self, start: int, stop: int, voucher: list[Document]) -> None:
        """Positions [start, stop) through all segments; ``voucher``: at most one, which goes along."""
        for segment, node in enumerate(self.route):
            if segment == len(self.peers):
                self.connect(segment, node, voucher)
            step = max(1, ROWS_BYTES // self.inputs(segment, start, start + 1).nbytes)
            for at in range(start, stop, step):
                self.take(segment, at, self.inputs(segment, at, min(at + step, stop)), voucher)

    def connect(self, segment: int, node: Node, voucher: list[Document]) -> None:
        """Show a segment's node the order, shortly before its first rows."""
        self.peers.append(peer := Peer(node))
        prompt = self.inputs(0, 0, self.given)
        shown, lot = prompt.tolist() if segment in (0, len(self.route) - 1) else [], tree(leaves(prompt))
        peer.ask(3, {1: self.order, 2: segment, 3: self.given, 4: shown, 5: voucher, 6: lot}, 3)
        access = keccak(b"nexus.access.v1" + self.digest + bytes.fromhex(node.address[2:]))
        peer.access = Account.unsafe_sign_hash(access, self.key).signature

    def take(self, segment: int, start: int, rows: Rows, voucher: list[Document]) -> None:
        """Send the rows of one message to a segment, and keep what they give."""
        peer, last = self.peers[segment], segment == len(self.route) - 1
        found = peer.ask(4, {1: self.digest, 2: start, 3: len(rows), 4: rows.astype("<i4").tobytes(), 6: voucher}, 4)
        place = max(start, self.given - 1) + 1 if last else start
        out, count = np.frombuffer(found(3, b""), "<i4"), max(0, start + len(rows) + last - place)
        width = 1 if last else self.rows[segment].shape[1] if start else max(1, out.size // count)
        if (found(1, 0), found(2, 0), out.size) != (place, count, count * width) or (last and out.min(initial=0) < 0):
            raise Refused(f"node {peer.node.address} gives other rows than those asked for")
        if last:
            self.tokens += out.tolist()
        else:
            self.rows[segment] = np.concatenate([self.rows[segment].reshape(-1, width), out.reshape(count, width)])

    def close(self, stop: int) -> None:
        """Have positions [closed, stop) signed for by all segments that work by now, and check what they sign."""
        order, shown, kind = spell(self.digest), list[Document](), "TokenFeed"
        if stop > self.given:
            fed = {"orderDigest": order, "to": stop, "root": root(self.inputs(0, 0, stop), self.salt)}
            self.feeds += (shown := [self.sign(kind, fed)])
        for segment, peer in enumerate(self.peers):
            gave = self.inputs(0, 0, stop + 1) if peer is self.peers[-1] else self.rows[segment][:stop]
            expected = {
                "orderDigest": order, "node": peer.node.address, "segment": segment, "from": self.closed, "to": stop,
                "inRoot": root(self.inputs(segment, 0, stop), self.salt), "outRoot": root(gave, self.salt),
                "predecessors": [spell(digest_of(kind, one["document"], self.chain.domain)) for one in shown],
                "price": spell(peer.node.wei * (stop - self.closed)),
            }  # fmt: skip
            found = peer.ask(5, {1: self.digest, 2: self.closed, 3: stop, 4: shown}, 5)
            shown = [check_receipt(found, expected, peer.node.receipt_key, self.chain.domain, self.disputed)]
            kind, self.receipts = "Receipt", self.receipts + shown
        self.closed = stop

    def ask(self, ends: set[int | None]) -> None:
        """Token after token, chunk after chunk. Every position that was fed is signed for when this returns."""
        chunk, fed, stop = FIRST_CHUNK, 0, 0
        while fed < self.given or (fed < self.end and self.tokens[-1] not in ends):
            voucher = list[Document]()
            if fed == stop:
                self.close(fed)
                stop = min((fed or self.given) + chunk, self.end)
                chunk, voucher = min(2 * chunk, CHUNK), [self.prepay(stop)]
            start, fed = fed, fed + 1 if fed else self.given
            self.feed(start, fed, voucher)
        self.close(fed)

    def save(self, path: Path) -> None:
        """Section 15: the answer file."""
        file = {
            "format": "nexus.answer.v1", "chainId": self.chain.at["chain_id"], "order": self.order,
            "market": self.chain.domain["verifyingContract"], "signer": Account.from_key(self.key).address,
            "promptLength": self.given, "tokens": self.tokens, "receipts": self.receipts, "feeds": self.feeds,
            "receiptKeys": {node.address: node.receipt_key for node in self.route}, "disputed": self.disputed,
            "leaves": [[leaf.hex() for leaf in leaves(rows)] for rows in self.rows],
        }  # fmt: skip
        path.touch(0o600)
        path.write_text(json.dumps(file))


def main() -> str | None:
    """Buy an answer; why that failed, if it did."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("rpc", "deployment", "wallet", "password-file", "tokenizer", "out", "prompt"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--temperature", type=float, default=0.0)
    given = parser.parse_args()
    key = Account.decrypt(Path(given.wallet).read_text(), Path(given.password_file).read_text().splitlines()[0])
    chain = Chain(given.rpc, json.loads(Path(given.deployment).read_text()), Account.from_key(key))
    tokenizer = Tokenizer.from_file(given.tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    prompt = tokenizer.encode(given.prompt, add_special_tokens=False).ids
    version, route = chain.route(Path(given.tokenizer).read_bytes(), len(prompt) + given.max_tokens)
    buyer, failure = Buyer(chain, version, route, prompt, given.max_tokens), None
    buyer.open(Path(given.out + ".session"), given.temperature)
    try:
        buyer.ask({tokenizer.token_to_id(text) for text in ("<|endoftext|>", "</s>", "<|im_end|>", "<|eot_id|>")})
    except FAULTS as error:
        failure = str(error)
    finally:
        print(tokenizer.decode(buyer.tokens[buyer.given :]))
        buyer.save(Path(given.out))
        chain.send("close(bytes32)", buyer.session)
    return failure


if __name__ == "__main__":
    raise SystemExit(main())
