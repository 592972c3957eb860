"""What a liar sends is refused by the second client: receipts, rows, descriptions, other TLS keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nexus_chain.chain.wallet import Wallet
from nexus_chain.market.documents import Domain, Receipt
from nexus_chain.market.eip712 import SECP256K1_ORDER
from nexus_chain.wire import shard_pb2 as wire
from nexus_chain.wire.digests import access_digest, description_digest
from node.daemon.serving.shard_server import ShardServer
from node.daemon.tls import TlsIdentity
from scripts.second_client import FAULTS, Buyer, Node, Peer, Refused, check_receipt, fields_of, fits, message, spell

DOMAIN = Domain(31337, "0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9")
KEY = Wallet(bytes([9]) * 32)
NODE = Wallet(bytes([8]) * 32).address
VERSION = bytes([4]) * 32
RECEIPT = Receipt(
    order_digest=bytes([1]) * 32, node=NODE, segment=1, from_position=12, to_position=20, in_root=bytes([2]) * 32,
    out_root=bytes([3]) * 32, predecessors=(bytes([5]) * 32,), price=8 * 10**15,
)  # fmt: skip
#: An altered member, and the step of section 11 that finds it.
LIES = [
    ("orderDigest", "0x" + "01" * 31 + "00", 2), ("segment", 0, 2), ("from", 11, 3), ("to", 21, 3),
    ("inRoot", "0x" + "02" * 31 + "03", 4), ("outRoot", "0x" + "03" * 31 + "02", 4), ("predecessors", [], 5),
    ("price", 8 * 10**15 + 1, 6), ("price", str(8 * 10**15), 6),
]  # fmt: skip


def said(receipt: dict[str, Any] | str, signature: bytes) -> Callable[[int, Any], Any]:
    """A node's answer to ``close_chunk``."""
    text = receipt if isinstance(receipt, str) else json.dumps(receipt)
    return fields_of(wire.SignedDocument(json=text, signature=signature).SerializeToString())


def checked(answer: Callable[[int, Any], Any], evidence: list[dict[str, Any]]) -> dict[str, Any]:
    return check_receipt(answer, RECEIPT.to_dict(), KEY.address, DOMAIN.to_typed_data(), evidence)


def signed(members: dict[str, Any]) -> bytes:
    """The node's signature under whatever it says, in whatever spelling."""
    spelled = {**members, "price": spell(int(members["price"]))}
    return KEY.sign(Receipt.from_dict(spelled), DOMAIN)


def test_the_right_receipt_passes() -> None:
    evidence: list[dict[str, Any]] = []
    signature = KEY.sign(RECEIPT, DOMAIN)
    found = checked(said(RECEIPT.to_dict(), signature), evidence)
    assert found == {"document": RECEIPT.to_dict(), "signature": "0x" + signature.hex()}
    assert not evidence


@pytest.mark.parametrize(("member", "value", "step"), LIES)
def test_a_signed_lie_is_refused_and_kept(member: str, value: Any, step: int) -> None:
    lie = {**RECEIPT.to_dict(), member: value}
    evidence: list[dict[str, Any]] = []
    with pytest.raises(Refused, match=f"fails step {step}"):
        checked(said(lie, signed(lie)), evidence)
    assert [one["document"] for one in evidence] == ([lie] if step > 2 else [])


@pytest.mark.parametrize("place", range(65))
def test_every_flipped_byte_of_the_signature_is_refused(place: int) -> None:
    signature = bytearray(KEY.sign(RECEIPT, DOMAIN))
    signature[place] ^= 1
    evidence: list[dict[str, Any]] = []
    with pytest.raises(Refused):
        checked(said(RECEIPT.to_dict(), bytes(signature)), evidence)
    assert not evidence


def test_a_high_s_and_a_cut_signature_are_refused() -> None:
    signature = KEY.sign(RECEIPT, DOMAIN)
    high = (SECP256K1_ORDER - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")
    for other in (signature[:32] + high + bytes([55 - signature[64]]), signature[:64], b""):
        with pytest.raises(Refused):
            checked(said(RECEIPT.to_dict(), other), [])


def test_another_nodes_receipt_is_refused() -> None:
    lie = {**RECEIPT.to_dict(), "node": KEY.address}
    with pytest.raises(Refused, match="step 1"):
        checked(said(lie, signed(lie)), [])


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[" * 100_000, "null", '{"node": 1}', json.dumps(RECEIPT.to_dict())[:-1]]
)
def test_what_is_no_receipt_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        checked(said(text, KEY.sign(RECEIPT, DOMAIN)), [])


# --------------------------------------------------------------------------- in an answer


class Told:
    """A peer that answers what it is told to; the calls are in ``asked``."""

    def __init__(self, node: Any, *answers: Any) -> None:
        self.node, self._answers, self.access = node, list(answers), b""
        self.asked: list[dict[int, Any]] = []

    def ask(self, kind: int, call: dict[int, Any], answer: int, seconds: float = 120) -> Callable[[int, Any], Any]:
        self.asked.append(call)
        return fields_of(self._answers.pop(0).SerializeToString())


def buyer(route: list[Any]) -> Buyer:
    """One that has bought nothing yet; its prompt is three tokens."""
    chain: Any = SimpleNamespace(domain=DOMAIN.to_typed_data(), account=KEY, at={"chain_id": 31337})
    made = Buyer(chain, VERSION, route, [1, 2, 3], 8)
    made.digest = RECEIPT.order_digest
    return made


def a_node(layers: tuple[int, int] = (0, 3), endpoint: str = "", tls: bytes = b"") -> Any:
    return Node(NODE, KEY.address, tls, endpoint, layers, 10**15)


def test_a_receipt_over_other_rows_than_those_seen_ends_the_answer() -> None:
    node = a_node()
    one = buyer([node])
    one.tokens.append(7)
    lie = Receipt(one.digest, NODE, 0, 0, 3, bytes(32), bytes([6]) * 32, (), 3 * 10**15)
    peer: Any = Told(node, wire.SignedDocument(json=lie.to_json(), signature=KEY.sign(lie, DOMAIN)))
    one.peers = [peer]
    with pytest.raises(Refused, match="step 4"):
        one.close(3)
    assert [kept["document"] for kept in one.disputed] == [lie.to_dict()]
    assert (one.receipts, one.closed) == ([], 0)


@pytest.mark.parametrize(
    "answer",
    [
        wire.RowsOut(from_position=3, count=2, rows=bytes(8)),  # two tokens for one position
        wire.RowsOut(from_position=2, count=1, rows=bytes(4)),  # another place
        wire.RowsOut(from_position=3, count=1, rows=b"\xff" * 4),  # no token
        wire.RowsOut(from_position=3, count=1, rows=bytes(3)),  # not whole numbers
        wire.RowsOut(),
    ],
)
def test_wrong_tokens_are_refused(answer: wire.RowsOut) -> None:
    one = buyer([a_node()])
    one.peers = [Told(one.route[0], answer)]  # type: ignore[list-item]
    with pytest.raises(FAULTS):
        one.take(0, 0, one.inputs(0, 0, 3), [])
    assert one.tokens == [1, 2, 3]


def test_wrong_rows_are_refused() -> None:
    one = buyer([a_node((0, 1)), a_node((1, 3))])
    right = np.arange(12, dtype="<i4").tobytes()
    answers = (
        wire.RowsOut(from_position=0, count=3, rows=right),
        wire.RowsOut(from_position=3, count=1, rows=right[:20]),  # another width than before
        wire.RowsOut(from_position=0, count=3),
    )
    one.peers = [Told(one.route[0], *answers)]  # type: ignore[list-item]
    one.take(0, 0, one.inputs(0, 0, 3), [])
    assert one.rows[0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    one.tokens.append(4)
    with pytest.raises(Refused, match="other rows"):
        one.take(0, 3, one.inputs(0, 3, 4), [])
    fresh = buyer(one.route)
    fresh.peers = one.peers
    with pytest.raises(Refused, match="other rows"):
        fresh.take(0, 0, fresh.inputs(0, 0, 3), [])


# --------------------------------------------------------------------------- on the line


class Says:
    """A node's end of a connection: one answer to everything."""

    session: bytes | None = None

    def __init__(self, answer: Callable[[wire.Call], wire.Answer]) -> None:
        self._answer = answer
        self.heard: list[wire.Call] = []

    def answer(self, call: wire.Call) -> wire.Answer:
        self.heard.append(call)
        return self._answer(call)

    def afterwards(self) -> None:
        pass


@contextmanager
def listening(folder: Path, answer: Callable[[wire.Call], wire.Answer]) -> Iterator[tuple[Any, Says]]:
    """A node that answers like this, as the chain has it; and what it heard."""
    identity, ear = TlsIdentity.open(folder), Says(answer)
    server = ShardServer(lambda: ear, identity, "127.0.0.1", 0)
    try:
        yield a_node(endpoint=f"127.0.0.1:{server.port}", tls=identity.key_hash), ear
    finally:
        server.stop(0)


def description(call: wire.Call, **other: Any) -> wire.Answer:
    """What an honest node says about itself, but for ``other``."""
    honest: dict[str, Any] = {
        "node": bytes.fromhex(NODE[2:]), "model_version": VERSION, "layer_start": 0, "layer_end": 3, "context": 64,
        "wei_per_token": str(10**15), "active_orders": 1, "time": 1_700_000_000, "audit_wei_per_token": "12",
    }  # fmt: skip
    found = wire.NodeDescription(**{**honest, **other})
    found.signature = KEY.sign_digest(description_digest(found, call.describe.challenge))
    return wire.Answer(description=found)


def test_a_node_that_is_who_the_chain_names(tmp_path: Path) -> None:
    with listening(tmp_path, description) as (node, _):
        assert fits(node, VERSION, 64)
        assert not fits(node, VERSION, 65)
        assert not fits(node, bytes(32), 64)
        assert not fits(node._replace(receipt_key=NODE), VERSION, 64)
        assert not fits(node._replace(endpoint="127.0.0.1:1"), VERSION, 64)
        with pytest.raises(Refused, match="somebody else"):
            Peer(node._replace(tls_key_hash=bytes(32)))


@pytest.mark.parametrize(
    "other", [{"layer_start": 1}, {"layer_end": 4}, {"wei_per_token": str(10**16)}, {"context": 8}]
)
def test_a_node_that_says_something_else_than_the_chain(other: dict[str, Any], tmp_path: Path) -> None:
    with listening(tmp_path, lambda call: description(call, **other)) as (node, _):
        assert not fits(node, VERSION, 64)


@pytest.mark.parametrize("price", ["", "x", "1" * 100])
def test_a_price_that_is_none(price: str, tmp_path: Path) -> None:
    def answer(call: wire.Call) -> wire.Answer:
        return wire.Answer(description=wire.NodeDescription(wei_per_token=price, signature=bytes(65)))

    with listening(tmp_path, answer) as (node, _):
        assert not fits(node, VERSION, 64)


def test_refusals_and_other_answers(tmp_path: Path) -> None:
    answers = iter(
        [
            wire.Answer(refusal=wire.Refusal(error="BusyError", message="no room\x1b[2J")),
            wire.Answer(rows=wire.RowsOut(from_position=1)),
            wire.Answer(),
        ]
    )
    with listening(tmp_path, lambda call: next(answers)) as (node, ear):
        peer = Peer(node)
        peer.access = b"leave"
        with peer.socket:
            with pytest.raises(Refused, match=r"BusyError.*no room\\x1b"):
                peer.ask(5, {1: bytes(32), 2: 0, 3: 4, 4: []}, 5)
            for _ in range(2):
                with pytest.raises(Refused, match="does not answer"):
                    peer.ask(5, {1: bytes(32)}, 5)
    assert [call.number for call in ear.heard] == [1, 2, 3]
    assert ear.heard[0].access == b"leave"
    assert ear.heard[0].close_chunk == wire.CloseChunkRequest(order_digest=bytes(32), to_position=4)


def test_a_node_that_hangs_up(tmp_path: Path) -> None:
    """What is too long for a message is not sent: the node's end breaks the connection instead."""
    too_long = wire.Answer(rows=wire.RowsOut(rows=bytes(5 << 20)))
    with listening(tmp_path, lambda call: too_long) as (node, _):
        peer = Peer(node)
        with peer.socket, pytest.raises(Refused, match="hung up"):
            peer.ask(4, {}, 4)


# ------------------------------------------------------------------------------ messages


def test_messages_are_what_protobuf_writes() -> None:
    ours = wire.OpenOrderRequest(
        order=wire.SignedDocument(json=json.dumps({"a": 1}), signature=b"s"), segment=300, prompt_length=2,
        prompt_tokens=[0, 70_000], prompt_tree=bytes(32),
    )  # fmt: skip
    document = {"document": {"a": 1}, "signature": "0x73"}
    theirs = message({1: document, 2: 300, 3: 2, 4: [0, 70_000], 5: [], 6: bytes(32)})
    assert wire.OpenOrderRequest.FromString(theirs) == ours
    read = fields_of(ours.SerializeToString())
    assert (read(2, 0), read(6, b""), read(5, b""), read(2, b"")) == (300, bytes(32), b"", b"")
    with pytest.raises(FAULTS):
        fields_of(theirs[:-1])


def test_leave_to_feed_is_signed_as_nodes_want_it() -> None:
    one = buyer([a_node()])
    peer = Told(one.route[0], wire.OpenOrderReply(order_digest=one.digest))
    one.order = {"document": {}, "signature": "0x00"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scripts.second_client.Peer", lambda node: peer)
        one.connect(0, one.route[0], [])
    digest = access_digest(one.digest, bytes.fromhex(NODE[2:]))
    assert peer.access == Wallet(one.key).sign_digest(digest)
    assert peer.asked[0][4] == [1, 2, 3]
