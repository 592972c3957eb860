"""What docs/wire.md says about calls, refusals and spares, tried on live nodes with the second client's own means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.evidence.verify import verify_proof
from scripts.second_client import TYPES, Answer, Buyer, Chain, Node, Peer, Refused, digest_of, leaves, spell, tree
from tests.support.live_network import LiveNetwork, live_network
from tests.support.network import PRICE

PROMPT = "def fib(n):"
AUDIT_ORDER = "bytes32 orderDigest,address node,uint16 segment,uint32 to,bytes32 inRoot,uint128 price"
OPEN_ORDER, ROWS, CLOSE_CHUNK, BOUNDARY_ROWS, RECEIPTS = range(3, 8)  # calls and their answers have one number


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    """Two nodes, each with all layers, which sell audits too."""
    options = ("--audit-price", str(PRICE // 2))
    with live_network(tmp_path_factory.mktemp("live"), split=((0, 3),), copies=2, options=options) as made:
        yield made


@pytest.fixture
def chain(live: LiveNetwork) -> Chain:
    account = Account.create()
    live.net.chain.set_balance(account.address, 10**19)
    deployment = live.net.deployment
    at = {
        "chain_id": deployment.chain_id,
        "inference_market": deployment.inference_market,
        "model_registry": deployment.model_registry,
        "node_registry": deployment.node_registry,
    }
    return Chain(live.net.chain.rpc_url, at, account)


@pytest.fixture
def buyer(live: LiveNetwork, chain: Chain, tmp_path: Path) -> Iterator[Buyer]:
    """A client with a session of its own, an order for nine tokens at the first node, and nothing fed yet."""
    made = Buyer(chain, live.version, [node(live, chain, 0)], live.files.codec.encode(PROMPT), 9)
    made.open(tmp_path / "session", 0.0)
    yield made
    for peer in made.peers:
        peer.socket.close()


def node(live: LiveNetwork, chain: Chain, copy: int) -> Node:
    found = chain.node(live.nodes[0][copy].address, 0, 3, PRICE)
    assert found
    return found


def voucher(buyer: Buyer, lines: dict[str, int]) -> dict[str, Any]:
    """A voucher that promises these wei."""
    listed = [{"node": address, "cumulative": spell(wei)} for address, wei in lines.items()]
    return buyer.sign("Voucher", {"session": spell(buyer.session), "lines": listed})


def rows(buyer: Buyer, start: int, stop: int, **more: Any) -> dict[int, Any]:
    """A ``rows`` call with the tokens of [start, stop)."""
    tokens = buyer.inputs(0, start, stop).astype("<i4").tobytes()
    return {1: buyer.digest, 2: start, 3: stop - start, 4: tokens, 5: int(more.get("discard", 0))}


def tokens_of(answer: Answer) -> list[int]:
    data = answer(3, b"")
    return [int.from_bytes(data[at : at + 4], "little", signed=True) for at in range(0, len(data), 4)]


def opened(buyer: Buyer, at: Node, more: dict[int, Any], digest: bytes) -> Peer:
    """A connection to another node that took the order, known there by ``digest``; it holds nothing yet."""
    peer, prompt = Peer(at), buyer.inputs(0, 0, buyer.given)
    buyer.peers.append(peer)
    call = {1: buyer.order, 2: 0, 3: buyer.given, 4: prompt.tolist(), 6: tree(leaves(prompt)), **more}
    answer = peer.ask(OPEN_ORDER, call, OPEN_ORDER)
    assert (answer(1, b""), answer(2, 0)) == (digest, 0)
    leave = keccak(b"nexus.access.v1" + digest + bytes.fromhex(at.address[2:]))
    peer.access = bytes(Account.unsafe_sign_hash(leave, buyer.key).signature)
    return peer


def refused(peer: Peer, error: str, kind: int, call: dict[int, Any]) -> None:
    with pytest.raises(Refused, match=f"b'{error}'"):
        peer.ask(kind, call, kind)


def test_refusals_have_the_names_that_are_listed(buyer: Buyer, chain: Chain) -> None:
    given, address = buyer.given, buyer.route[0].address
    buyer.feed(0, given, [buyer.prepay(given + 2)])
    (peer,) = buyer.peers
    assert peer.ask(RECEIPTS, {1: buyer.digest}, RECEIPTS)(3, b"")  # the log's root, and no receipt yet

    # Rows again are answered again; other rows for a position are refused, and so are rows out of place.
    first = tokens_of(peer.ask(ROWS, rows(buyer, 0, given), ROWS))
    assert first == buyer.tokens[given:]
    other = {**rows(buyer, 0, given), 4: bytes(4 * given)}
    refused(peer, "RowsConflictError", ROWS, other)
    refused(peer, "PositionError", ROWS, {**rows(buyer, given, given + 1), 2: given + 1})
    refused(peer, "MalformedRequestError", ROWS, {**rows(buyer, given, given + 1), 3: 2})
    buyer.feed(given, given + 1, [])
    buyer.feed(given + 1, given + 2, [])
    refused(peer, "NotPrepaidError", ROWS, rows(buyer, given + 2, given + 3))
    refused(peer, "VoucherOverCapError", ROWS, {**rows(buyer, given, given + 1), 6: voucher(buyer, {address: 10**18})})
    refused(peer, "VoucherLineError", ROWS, {**rows(buyer, given, given + 1), 6: voucher(buyer, {})})

    # A lower voucher takes nothing away; drafts are dropped and replaced, the prompt is not.
    tokens_of(peer.ask(ROWS, {**rows(buyer, given, given + 1), 6: voucher(buyer, {address: 1})}, ROWS))
    again = tokens_of(peer.ask(ROWS, rows(buyer, given, given + 1, discard=True), ROWS))
    assert again == buyer.tokens[given + 1 : given + 2]
    refused(peer, "PositionError", ROWS, rows(buyer, 0, 1, discard=True))

    # Chunks: what vouches must be there; the end of a chunk again gives the same receipt.
    refused(peer, "PredecessorError", CLOSE_CHUNK, {1: buyer.digest, 2: 0, 3: given + 1})
    refused(peer, "PositionError", CLOSE_CHUNK, {1: buyer.digest, 2: 0, 3: given - 1})
    buyer.close(given + 1)
    receipt = peer.ask(CLOSE_CHUNK, {1: buyer.digest, 2: 0, 3: given + 1}, CLOSE_CHUNK)
    assert "0x" + receipt(2, b"").hex() == buyer.receipts[0]["signature"]

    # Who knows the order only may not feed it, nor read its rows.
    peer.access = bytes(65)
    refused(peer, "NotAuthorisedError", ROWS, rows(buyer, given, given + 1))
    refused(peer, "NotAuthorisedError", BOUNDARY_ROWS, {1: buyer.digest, 2: 1, 3: bytes(65)})
    refused(peer, "UnknownOrderError", RECEIPTS, {1: bytes(32)})


def test_the_owner_reads_back_the_rows_that_it_sent(buyer: Buyer) -> None:
    buyer.feed(0, buyer.given, [buyer.prepay(buyer.given)])
    (peer,) = buyer.peers
    now = buyer.order["document"]["deadline"] - 900
    wanted = b"nexus.rows.v1" + buyer.digest + bytes.fromhex(peer.node.address[2:]) + now.to_bytes(8, "big")
    signature = bytes(Account.unsafe_sign_hash(keccak(wanted), buyer.key).signature)
    found = peer.ask(BOUNDARY_ROWS, {1: buyer.digest, 2: now, 3: signature, 4: 1}, BOUNDARY_ROWS)
    assert (found(2, 0), found(3, 0)) == (1, buyer.given - 1)
    assert found(4, b"") == buyer.inputs(0, 1, buyer.given).astype("<i4").tobytes()


def test_a_spare_replays_for_nothing_what_another_node_signed(live: LiveNetwork, buyer: Buyer, chain: Chain) -> None:
    given, first, spare = buyer.given, buyer.route[0], node(live, chain, 1)
    buyer.feed(0, given, [buyer.prepay(given + 2)])
    buyer.feed(given, given + 1, [])
    buyer.close(given + 1)
    known = buyer.tokens[given:]
    chain.send("allot(bytes32,address,uint128)", buyer.session, spare.address, 20 * PRICE, value=20 * PRICE)

    paid = voucher(buyer, {first.address: PRICE * (given + 2), spare.address: PRICE})
    peer = opened(buyer, spare, {5: paid, 7: buyer.receipts[0]}, buyer.digest)

    # Nothing is told before all that the credit covers is there; then all of it is, and it is the same.
    assert peer.ask(ROWS, rows(buyer, 0, given), ROWS)(2, 0) == 0
    assert tokens_of(peer.ask(ROWS, rows(buyer, given, given + 1), ROWS)) == known[1:]
    assert tokens_of(peer.ask(ROWS, rows(buyer, 0, given), ROWS)) == known[:1]

    # From the credit's end on it bills.
    buyer.tokens += tokens_of(peer.ask(ROWS, rows(buyer, given + 1, given + 2), ROWS))
    refused(peer, "NotPrepaidError", ROWS, rows(buyer, given + 2, given + 3))
    buyer.peers[0].socket.close()
    buyer.route, buyer.peers = [spare], [peer]
    buyer.close(given + 2)
    assert [one["document"]["price"] for one in buyer.receipts] == [PRICE * (given + 1), PRICE]
    assert buyer.tokens[given:] == live.expected(PROMPT, 3)


def test_an_audit_is_a_receipt_of_another_node(
    live: LiveNetwork, buyer: Buyer, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, auditor = buyer.route[0], node(live, chain, 1)
    buyer.ask(set())
    bought = buyer.receipts[0]["document"]
    price = bought["to"] * (PRICE // 2)
    chain.send("allot(bytes32,address,uint128)", buyer.session, auditor.address, 2 * price, value=2 * price)
    audit = {
        "orderDigest": bought["orderDigest"], "node": auditor.address, "segment": 0, "to": bought["to"],
        "inRoot": bought["inRoot"], "price": spell(price),
    }  # fmt: skip
    monkeypatch.setitem(TYPES, "AuditOrder", AUDIT_ORDER)
    signed, digest = buyer.sign("AuditOrder", audit), digest_of("AuditOrder", audit, chain.domain)
    paid = voucher(buyer, {first.address: PRICE * buyer.end, auditor.address: price})
    peer = opened(buyer, auditor, {5: paid, 20: signed}, digest)
    assert peer.ask(ROWS, {**rows(buyer, 0, bought["to"]), 1: digest}, ROWS)(2, 0) == 0
    found = peer.ask(CLOSE_CHUNK, {1: digest, 2: 0, 3: bought["to"]}, CLOSE_CHUNK)

    buyer.route.append(auditor)  # for the file's receipt keys
    buyer.save(tmp_path / "answer.json")
    data = InferenceProof.load(tmp_path / "answer.json").to_dict()
    receipt = {"document": json.loads(found(1, b"")), "signature": "0x" + found(2, b"").hex()}
    assert receipt["document"]["outRoot"] == bought["outRoot"]
    proof = InferenceProof.from_dict({**data, "audits": [signed], "receipts": [*data["receipts"], receipt]})
    assert verify_proof(proof, live.model).passed
