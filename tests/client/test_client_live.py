"""The client against ``nexus-node`` processes on a real chain over real TLS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nexus_chain.chain.earnings import sum_settlements
from nexus_chain.chain.errors import UnfundedWalletError
from nexus_chain.chain.wallet import Wallet
from nexus_chain.client.errors import CapTooLowError, SessionStateError
from nexus_chain.client.network import probe_nodes
from nexus_chain.client.order import AskOptions
from nexus_chain.evidence.verify import verify_proof
from nexus_chain.market.errors import OrderExpiredError, PriceError
from nexus_chain.program.sampling import Sampling
from nexus_chain.routing.errors import NoNodeForLayersError
from nexus_chain.versions.errors import PromptTooLongError
from nexus_chain.wire.errors import NodeUnreachableError, TlsKeyMismatchError
from nexus_chain.wire.tls_peer import dial
from tests.support.live_network import PRICE, LiveNetwork, live_network

PROMPT = "def fib(n):"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    with live_network(tmp_path_factory.mktemp("live")) as made:
        yield made


@pytest.fixture(autouse=True)
def _everybody_up(live: LiveNetwork) -> None:
    live.start_all()


def test_session_from_opening_to_withdrawal(live: LiveNetwork) -> None:
    client = live.client()
    session, _ = client.open_session(live.version, live.files, tokens=400)
    locked = sum(line.cap for line in client.store.lines(session.id).values())
    prompt = len(live.files.codec.encode(PROMPT))

    asking = session.start(PROMPT, AskOptions(max_tokens=40))
    text = "".join(asking)
    answer = asking.answer
    assert list(answer.tokens) == live.expected(PROMPT, 40)
    assert text == answer.text == live.files.codec.decode(answer.tokens)
    assert answer.cost_wei == 2 * PRICE * (prompt + 39)
    # Nodes without a record: chunks of 4, 8 and 16 positions after the prompt, and 11 that are left.
    assert len(answer.proof.receipts) == 8
    assert verify_proof(answer.proof, live.model).passed
    assert not answer.failovers

    sampling = AskOptions(max_tokens=20, temperature=0.9, seed=bytes([5]) * 32)
    again = session.start(PROMPT, sampling)
    assert "".join(again) == live.files.codec.decode(again.answer.tokens)
    assert list(again.answer.tokens) == live.expected(PROMPT, 20, Sampling.at_temperature(0.9, bytes([5]) * 32))
    assert verify_proof(again.answer.proof, live.model).passed
    assert verify_proof(client.proof_of(again.answer.order_digest), live.model).passed

    used = answer.cost_wei + again.answer.cost_wei
    with pytest.raises(SessionStateError, match="window"):
        session.settle()
    session.close()
    with pytest.raises(SessionStateError, match="closed"):
        session.start(PROMPT)
    for group in live.nodes:
        for node in group:
            assert node.run("withdraw").returncode == 0
    live.net.chain.advance(61)
    session.settle()
    sums = sum_settlements(client.contracts, session=session.id)
    paid = sums.to_nodes + sums.to_vault
    assert paid + sums.to_users == locked
    assert used <= paid == again.answer.promised_wei
    assert sums.to_vault == sum(line.promised // 10 for line in client.store.lines(session.id).values())
    owed, mined = client.withdraw()
    assert owed == sums.to_users
    assert mined is not None
    assert client.withdraw() == (0, None)


def test_direct_answer(live: LiveNetwork) -> None:
    client = live.client()
    asking = client.start_direct(live.version, live.files, PROMPT, AskOptions(max_tokens=8))
    assert "".join(asking) == live.files.codec.decode(live.expected(PROMPT, 8))
    answer = asking.answer
    assert answer.mode == "direct"
    assert verify_proof(answer.proof, live.model).passed
    assert client.close_direct(answer).gas > 0
    assert client.contracts.market.session_of(answer.session).end > 0


@pytest.mark.parametrize("segment", [0, 1])
def test_killed_node_is_replaced_with_the_same_bits(live: LiveNetwork, segment: int) -> None:
    client = live.client()
    session, _ = client.open_session(live.version, live.files, tokens=200)
    caps = client.store.lines(session.id)
    victim = next(node for node in live.nodes[segment] if node.address in caps)
    asking = session.start(PROMPT, AskOptions(max_tokens=60))
    pieces = iter(asking)
    shown = [next(pieces) for _ in range(40)]
    victim.kill()
    shown += list(pieces)
    answer = asking.answer
    assert list(answer.tokens) == live.expected(PROMPT, 60)
    (event,) = answer.failovers
    assert (event.segment, event.failed) == (segment, victim.address)
    assert event.spare in {node.address for node in live.nodes[segment]} - {victim.address}
    assert [transaction.call for transaction in answer.transactions] == ["allot"]
    assert verify_proof(answer.proof, live.model).passed


def test_killed_client_keeps_its_evidence_and_goes_on(live: LiveNetwork) -> None:
    client = live.client(name="crash")
    session, _ = client.open_session(live.version, live.files, tokens=400)
    pieces = iter(session.start(PROMPT, AskOptions(max_tokens=60)))
    for _ in range(40):
        next(pieces)
    # What a killed process leaves: no clean-up of the order, a released lock.
    snapshot = live.folder / "crash-copy"
    snapshot.mkdir()
    source = live.folder / "crash"
    for path in [*source.glob("client.sqlite*"), *source.glob("session-keys/*.key")]:
        target = snapshot / path.relative_to(source)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    later = live.client(name="crash-copy")
    resumed = later.session(session.id, live.files)
    (digest,) = later.store.order_digests(session.id)
    kept = later.store.order(digest)
    assert len(kept.receipts) == 6  # chunks of 4, 8 and 16
    assert list(kept.tokens[kept.prompt_length :]) == live.expected(PROMPT, 60)[: len(kept.tokens) - kept.prompt_length]
    asking = resumed.start(PROMPT, AskOptions(max_tokens=10))
    assert "".join(asking) == live.files.codec.decode(live.expected(PROMPT, 10))
    assert later.store.order(digest).state == "failed"
    pieces.close()


def test_two_processes_cannot_share_a_session(live: LiveNetwork) -> None:
    client = live.client()
    session, _ = client.open_session(live.version, live.files, tokens=200)
    first = iter(session.start(PROMPT, AskOptions(max_tokens=4)))
    next(first)
    with pytest.raises(SessionStateError, match="another process"):
        next(iter(live.client().session(session.id, live.files).start(PROMPT)))
    first.close()


def test_limits(live: LiveNetwork) -> None:
    client = live.client()
    session, _ = client.open_session(live.version, live.files, tokens=20)
    with pytest.raises(PromptTooLongError, match="context of 200"):
        session.start(PROMPT * 100)
    with pytest.raises(PriceError, match="limit is 5"):
        session.start(PROMPT, AskOptions(max_tokens=4, max_wei=5))
    with pytest.raises(CapTooLowError, match="allot"):
        session.start(PROMPT, AskOptions(max_tokens=100))
    session.money.record = replace(session.record, expiry=client.contracts.market.now() - 1)
    with pytest.raises(OrderExpiredError, match="session close"):
        session.start(PROMPT, AskOptions(max_tokens=2))


def test_unfunded_wallet(live: LiveNetwork) -> None:
    client = live.client(Wallet.ephemeral(), "poor")
    with pytest.raises(UnfundedWalletError, match="Send at least"):
        client.open_session(live.version, live.files, tokens=20)
    with pytest.raises(UnfundedWalletError):
        client.start_direct(live.version, live.files, PROMPT, AskOptions(max_tokens=2))


def test_nobody_for_a_layer_range(live: LiveNetwork) -> None:
    for node in live.nodes[1]:
        node.kill()
    client = live.client()
    with pytest.raises(NoNodeForLayersError, match="nexus nodes"):
        client.open_session(live.version, live.files, tokens=20)
    problems = {probed.node.node_id: probed.problem for probed in probe_nodes(client.contracts, dial, live.version)}
    silent = {node for node, problem in problems.items() if problem}
    assert silent == {node.address for node in live.nodes[1]}


def test_unreachable_node_and_foreign_key(live: LiveNetwork) -> None:
    contact = live.nodes[0][0].contact
    with pytest.raises(NodeUnreachableError, match="Another node"):
        dial(replace(contact, endpoint="127.0.0.1:1"))
    with pytest.raises(TlsKeyMismatchError, match="registered"):
        dial(replace(contact, tls_key_hash=live.nodes[0][1].contact.tls_key_hash))


def test_state_survives_on_disk(live: LiveNetwork, tmp_path: Path) -> None:
    client = live.client()
    states = {record.state for record in client.sessions()}
    assert states <= {"open", "closed", "settled", "opening"}
    assert (live.folder / "home" / "client.sqlite").stat().st_mode & 0o077 == 0
    for key in (live.folder / "home" / "session-keys").glob("*.key"):
        assert key.stat().st_mode & 0o077 == 0
