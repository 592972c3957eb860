"""Against real nodes on a real chain: nobody works who is not bound by what it signs, or for more than its stake."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace

import pytest

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.exposure import unsettled_lines
from nexus_chain.chain.local import DEVELOPMENT_KEYS
from nexus_chain.chain.wallet import Wallet
from nexus_chain.client import line_watch
from nexus_chain.client.client import Client
from nexus_chain.client.errors import NoSpareError, SessionStateError
from nexus_chain.client.nodes_source import FreshNodes
from nexus_chain.client.order import AskOptions
from nexus_chain.client.session import Session
from nexus_chain.evidence.verify import verify_proof
from nexus_chain.market.documents import Line
from nexus_chain.routing.errors import NoNodeForLayersError, StakeTooSmallError
from nexus_chain.wire.peer import NodeContact, ShardPeer
from nexus_chain.wire.tls_peer import dial
from tests.support.live_network import PRICE, STAKE, LiveNetwork, live_network
from tests.support.network import PASSWORD

PROMPT = "def fib(n):"
CHUNK = 32


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    # Nodes that look at the chain once an hour: they go on with a line that is closed, as liars would.
    with live_network(tmp_path_factory.mktemp("live"), options=("--settle-interval", "3600")) as made:
        yield made


@pytest.fixture(autouse=True)
def _everybody_up(live: LiveNetwork) -> None:
    live.start_all()


def contracts_of(live: LiveNetwork, node: str) -> Contracts:
    """The chain with the wallet of a node's operator."""
    process = next(p for group in live.nodes for p in group if p.address == node)
    wallet = Wallet.load(process.folder / "wallet.json", PASSWORD)
    return Contracts.at(live.net.chain.connection, live.net.deployment, wallet)


def primaries(client: Client, session: Session) -> list[str]:
    """Who has a line, in the order of layers."""
    lines = client.store.lines(session.id)
    nodes = {node.node_id: node.layer_start for node in client.user.nodes.candidates(session.record.model_version)}
    return sorted(lines, key=lambda address: nodes[address])


def others(live: LiveNetwork, segment: int, node: str) -> str:
    return next(p.address for p in live.nodes[segment] if p.address != node)


def lock(live: LiveNetwork, node: str, wei: int) -> bytes:
    """Another user's session with one line of ``wei``."""
    wallet = Wallet.from_hex(DEVELOPMENT_KEYS[2])
    market = Contracts.at(live.net.chain.connection, live.net.deployment, wallet).market
    key = Wallet.ephemeral().address
    session, _ = market.open(key, market.now() + 600, [Line(node, wei)], secrets.token_bytes(32))
    return session


def release(live: LiveNetwork, session: bytes, node: str) -> None:
    """End that session; its money comes back."""
    wallet = Wallet.from_hex(DEVELOPMENT_KEYS[2])
    market = Contracts.at(live.net.chain.connection, live.net.deployment, wallet).market
    market.close(session)
    live.net.chain.advance(61)
    market.settle(session, node)


def test_no_order_goes_to_a_node_that_closed_its_line(live: LiveNetwork) -> None:
    client = live.client()
    session, _ = client.open_session(live.version, live.files, tokens=200)
    front, back = primaries(client, session)
    contracts_of(live, back).market.close_line(session.id)
    with pytest.raises(SessionStateError, match=f"node {back} closed its line") as raised:
        session.start(PROMPT, AskOptions(max_tokens=4))
    assert "allot" in raised.value.advice
    assert not client.store.order_digests(session.id)
    spare = others(live, 1, back)
    session.allot(spare, PRICE * 200)
    asking = session.start(PROMPT, AskOptions(max_tokens=4))
    assert "".join(asking) == live.files.codec.decode(live.expected(PROMPT, 4))
    assert {receipt.node for receipt, _ in asking.answer.proof.receipts} == {front, spare}


@pytest.mark.parametrize("segment", [0, 1])
def test_a_line_closed_under_way_is_noticed_before_the_next_chunk(
    live: LiveNetwork, segment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_watch, "OLDEST_SECONDS", 0.0)
    client = live.client()
    session, _ = client.open_session(live.version, live.files, tokens=250)
    closing = primaries(client, session)[segment]
    prompt = len(live.files.codec.encode(PROMPT))
    asking = session.start(PROMPT, AskOptions(max_tokens=100))
    pieces = iter(asking)
    next(pieces)
    contracts_of(live, closing).market.close_line(session.id)
    for _ in pieces:
        pass
    answer = asking.answer
    assert list(answer.tokens) == live.expected(PROMPT, 100)
    (event,) = answer.failovers
    first = min(receipt.to_position for receipt, _ in answer.proof.receipts)  # the end of the chunk under way
    assert prompt < first <= prompt + CHUNK
    assert (event.segment, event.failed, event.position) == (segment, closing, first)
    assert "closed its line of this session" in event.reason
    assert event.spare == others(live, segment, closing)
    (closed,) = [receipt for receipt, _ in answer.proof.receipts if receipt.node == closing]
    assert closed.to_position == first
    line = client.store.lines(session.id)[closing]
    assert line.promised == line.used == PRICE * first
    assert verify_proof(answer.proof, live.model).passed


def test_a_session_that_another_program_closed_is_refused_and_stopped(
    live: LiveNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_watch, "OLDEST_SECONDS", 0.0)
    client = live.client()
    session, _ = client.open_session(live.version, live.files, tokens=250)
    asking = session.start(PROMPT, AskOptions(max_tokens=100))
    pieces = iter(asking)
    next(pieces)
    client.contracts.market.close(session.id)
    with pytest.raises(SessionStateError, match="was closed while the answer was under way"):
        for _ in pieces:
            pass
    (digest,) = client.store.order_digests(session.id)
    receipts = [receipt for receipt, _ in client.store.order(digest).receipts]
    assert {receipt.from_position for receipt in receipts} == {0}
    assert len(receipts) == 2
    with pytest.raises(SessionStateError, match="was closed, by another program") as raised:
        session.start(PROMPT)
    assert "session open" in raised.value.advice
    assert session.record.state == "closed"


def test_no_more_is_locked_at_a_node_than_its_stake_covers(live: LiveNetwork) -> None:
    client = live.client()
    stake, added = int(STAKE), PRICE * (100 + CHUNK)
    full, free = (process.address for process in live.nodes[0])
    hanging = unsettled_lines(client.contracts)
    first = lock(live, full, stake - hanging.by_node().get(full, 0) - added + 1)
    session, _ = client.open_session(live.version, live.files, tokens=100)
    assert free in client.store.lines(session.id)
    assert full not in client.store.lines(session.id)
    with pytest.raises(StakeTooSmallError, match=f"node {full} stakes {stake} wei") as raised:
        session.allot(full, added)
    assert (raised.value.exposure, raised.value.added) == (stake - added + 1, added)

    second = lock(live, free, stake - unsettled_lines(client.contracts).by_node().get(free, 0))
    with pytest.raises(StakeTooSmallError) as raised:
        client.open_session(live.version, live.files, tokens=100)
    assert {raised.value.node} <= {full, free}
    assert str(raised.value.exposure) in str(raised.value)
    with pytest.raises(StakeTooSmallError):
        client.start_direct(live.version, live.files, PROMPT, AskOptions(max_tokens=100))
    release(live, first, full)
    release(live, second, free)
    again, _ = client.open_session(live.version, live.files, tokens=100)
    assert "".join(again.start(PROMPT, AskOptions(max_tokens=3))) == live.files.codec.decode(live.expected(PROMPT, 3))


def test_an_order_worth_more_than_the_stakes_is_refused(live: LiveNetwork) -> None:
    client = live.client()
    session, _ = client.open_session(live.version, live.files, tokens=200)
    room = int(STAKE) - max(unsettled_lines(client.contracts).by_node().values())
    with pytest.raises(StakeTooSmallError, match="--value-at-risk"):
        session.start(PROMPT, AskOptions(max_tokens=4, value_at_risk=int(STAKE)))
    with pytest.raises(StakeTooSmallError):
        client.start_direct(live.version, live.files, PROMPT, AskOptions(max_tokens=4, value_at_risk=int(STAKE) + 1))
    with pytest.raises(StakeTooSmallError):
        client.open_session(live.version, live.files, tokens=100, value_at_risk=int(STAKE) + 1)
    assert not client.store.order_digests(session.id)
    assert "".join(session.start(PROMPT, AskOptions(max_tokens=3, value_at_risk=room)))


def test_only_operators_that_were_named_ever_hear_of_the_order(live: LiveNetwork) -> None:
    spoken: set[str] = set()

    def noting(contact: NodeContact) -> ShardPeer:
        spoken.add(contact.address)
        return dial(contact)

    client = live.client(name="named")
    client.user = replace(client.user, nodes=FreshNodes(client.contracts, client.user.home, client.store, noting))
    front, back, spare = live.nodes[0][1], live.nodes[1][0], live.nodes[1][1]
    named = (front.address, back.address, spare.address)
    session, _ = client.open_session(live.version, live.files, tokens=300, operators=named)
    asking = session.start(PROMPT, AskOptions(max_tokens=60))
    pieces = iter(asking)
    shown = [next(pieces) for _ in range(4)]
    serving = {node for node in client.store.lines(session.id) if node != front.address}
    next(process for process in (back, spare) if process.address in serving).kill()
    shown += list(pieces)
    assert list(asking.answer.tokens) == live.expected(PROMPT, 60)
    assert {event.spare for event in asking.answer.failovers} == {back.address, spare.address} - serving
    assert spoken == set(named)

    front.kill()
    again = live.client(name="named").session(session.id, live.files)
    with pytest.raises(NoNodeForLayersError, match=r"layers 0-1 of 3 \(among the 3 operators that you named\)"):
        again.start(PROMPT, AskOptions(max_tokens=4))
    with pytest.raises(NoNodeForLayersError, match="among the 2 operators"):
        client.open_session(live.version, live.files, tokens=10, operators=named[1:])
    with pytest.raises(NoNodeForLayersError, match="among the 1 operators"):
        client.start_direct(live.version, live.files, PROMPT, AskOptions(max_tokens=4, operators=named[1:2]))
    assert spoken == set(named)


def test_a_stake_on_its_way_out_serves_neither_first_nor_as_a_spare(live: LiveNetwork) -> None:
    """Last, because nobody can undo it."""
    client = live.client()
    session, _ = client.open_session(live.version, live.files, tokens=300)
    front, back = primaries(client, session)
    asking = session.start(PROMPT, AskOptions(max_tokens=60))
    pieces = iter(asking)
    next(pieces)
    contracts_of(live, others(live, 0, front)).nodes.request_unbond()
    next(process for process in live.nodes[0] if process.address == front).kill()
    with pytest.raises(NoSpareError, match="segment 0"):
        for _ in pieces:
            pass
    contracts_of(live, back).nodes.request_unbond()
    live.start_all()
    with pytest.raises(SessionStateError, match=f"node {back} is taking its stake out"):
        session.start(PROMPT, AskOptions(max_tokens=4))
