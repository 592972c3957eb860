"""What a directory knows is young, and nobody who asks it waits; connections are lent whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nexus_chain.chain.errors import RpcUnreachableError
from nexus_chain.client import directory as directory_module
from nexus_chain.client.connections import LeasedPeer
from nexus_chain.client.directory import NodeDirectory
from nexus_chain.client.store import ClientStore
from nexus_chain.market.documents import address_of
from nexus_chain.routing.reputation import ReputationBook, TrackRecord
from nexus_chain.wire.errors import NodeRefusedError, NodeUnreachableError
from nexus_chain.wire.peer import NodeContact, ShardPeer
from tests.client.test_pipeline import SESSION_KEY, Network
from tests.support.toy_facts import ToyFacts
from tests.support.toy_network import ToyNode, ToyPeer
from tests.support.waiting import wait_until

VERSION = bytes([1]) * 32
SESSION = bytes([7]) * 32


def toy_nodes() -> list[ToyNode]:
    """Two nodes for each of two segments."""
    signer = address_of(SESSION_KEY)
    return [ToyNode(bytes([0] * 31 + [10 * s + i + 1]), (s, s + 1), 2, signer) for s in range(2) for i in range(2)]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _nothing_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory looks again when a test says so."""
    monkeypatch.setattr(directory_module, "REFRESHES", 0.001)


@pytest.fixture
def facts() -> ToyFacts:
    return ToyFacts(toy_nodes())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ClientStore]:
    made = ClientStore(tmp_path / "client.sqlite")
    yield made
    made.close()


@pytest.fixture
def directory(facts: ToyFacts, store: ClientStore, clock: Clock) -> Iterator[NodeDirectory]:
    with NodeDirectory(facts, store, facts.dial, clock=clock) as made:
        yield made


def test_a_warm_directory_lets_nobody_wait(directory: NodeDirectory, facts: ToyFacts) -> None:
    nodes = directory.candidates(VERSION)
    addresses = [node.node_id for node in nodes]
    directory.watch(SESSION, addresses)
    before = facts.of_this_thread()
    reads = directory.reads
    for _ in range(20):
        assert [node.node_id for node in directory.candidates(VERSION)] == addresses
        assert directory.watch(SESSION, addresses[:2]).before_chunk(facts.registered[0].contact) is None
        directory.lease(facts.registered[0].contact).close()
        assert directory.receipt_key_of(addresses[0]) == addresses[0]
        assert directory.now() > 1_000
    assert facts.of_this_thread() == before
    assert directory.reads == reads
    assert directory.connections.dials == 0


def test_nodes_are_told_as_they_were_measured(directory: NodeDirectory, facts: ToyFacts, store: ClientStore) -> None:
    facts.registered[1].dies_after = -1
    facts.known = ReputationBook({facts.registered[0].address: TrackRecord(verified=4, failed=8)})
    store.count_failure(facts.registered[2].address, invalid=True)
    online, gone, invalid, fresh = directory.candidates(VERSION)
    assert (online.online, gone.online) == (True, False)
    assert online.latency_ms < 1_000
    assert (online.reputation, invalid.reputation, fresh.reputation) == (0.5, 0.0, 1.0)


def test_what_is_too_old_is_read_again_or_refused(directory: NodeDirectory, facts: ToyFacts, clock: Clock) -> None:
    directory.candidates(VERSION)
    facts.registered.pop()
    clock.now += 10.0
    assert directory.age == 10.0
    assert len(directory.candidates(VERSION)) == 4
    clock.now += 0.1
    assert len(directory.candidates(VERSION)) == 3
    facts.reachable = False
    clock.now += 10.1
    with pytest.raises(RpcUnreachableError):
        directory.candidates(VERSION)
    with pytest.raises(RpcUnreachableError):
        directory.now()


def test_a_short_challenge_window_makes_facts_old_sooner(facts: ToyFacts, store: ClientStore, clock: Clock) -> None:
    facts.challenge_window = 8
    with NodeDirectory(facts, store, facts.dial, clock=clock) as directory:
        directory.follow(VERSION)
        assert directory.oldest_seconds == 2.0
        clock.now += 2.1
        facts.reachable = False
        with pytest.raises(RpcUnreachableError):
            directory.candidates(VERSION)


def test_it_looks_again_by_itself(facts: ToyFacts, store: ClientStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_module, "REFRESHES", 1_000)
    with NodeDirectory(facts, store, facts.dial) as directory:
        facts.closed_lines = {facts.registered[0].address}
        directory.follow(VERSION)
        watch = directory.watch(SESSION, [facts.registered[0].address])
        facts.registered.pop()
        facts.closed_lines.clear()
        wait_until(lambda: len(directory.candidates(VERSION)) == 3)
        wait_until(lambda: watch.unfit(facts.registered[0].address) is None)
        assert directory.reads == 1  # the first of the session


def test_many_first_answers_read_the_chain_once(directory: NodeDirectory, facts: ToyFacts) -> None:
    with ThreadPoolExecutor(8, thread_name_prefix="asking") as pool:
        found = list(pool.map(lambda _: len(directory.candidates(VERSION)), range(8)))
    assert found == [4] * 8
    assert len([name for name in facts.readers if name.startswith("asking")]) == 3  # window, nodes, time


def test_one_watch_serves_all_answers_of_a_session(directory: NodeDirectory, facts: ToyFacts) -> None:
    first, second, *_ = (node.address for node in facts.registered)
    watch = directory.watch(SESSION, [first])
    assert directory.watch(SESSION, [first]) is watch
    wider = directory.watch(SESSION, [second])
    assert set(wider.facts.nodes) == {first, second}
    assert directory.watch(SESSION, [first]) is wider


def test_only_operators_that_were_named_are_spoken_to(facts: ToyFacts, store: ClientStore) -> None:
    named = [facts.registered[0].address, facts.registered[2].address]
    with NodeDirectory(facts, store, facts.dial, operators=named) as directory:
        assert [node.node_id for node in directory.candidates(VERSION)] == named
        assert [node.node_id for node in directory.candidates(VERSION, named[:1])] == named[:1]
    assert [node.dials > 0 for node in facts.registered] == [True, False, True, False]


def test_connections_are_lent_to_one_answer_at_a_time(directory: NodeDirectory, facts: ToyFacts) -> None:
    directory.follow(VERSION)
    contact = facts.registered[0].contact
    first, second, third = (directory.lease(contact) for _ in range(3))
    peers = [lent._kept.peer for lent in (first, second, third) if isinstance(lent, LeasedPeer)]
    assert len({id(peer) for peer in peers}) == 3
    assert directory.connections.dials == 1  # two lay ready
    for lent in (first, second, third, third):
        lent.close()
    assert directory.connections.idle(contact) == 3
    with pytest.raises(NodeUnreachableError, match="given back"):
        first.describe()


def test_only_whole_connections_come_back(directory: NodeDirectory, facts: ToyFacts, tmp_path: Path) -> None:
    network = Network(tmp_path, 2)
    facts.registered[:] = network.nodes
    directory.follow(VERSION)
    run = network.pipeline([5, 6, 7], 4)
    node, (contact, _) = network.nodes[0], [one.contact for one in network.nodes]
    run._connections._dial = directory.lease
    assert len(list(run.run())) == 4
    assert directory.connections.idle(contact) == 2
    digest, rows = run.digest, np.array([1], np.int32)

    refused = directory.lease(contact)
    node.paid = 0  # so that the next row is not paid for
    with pytest.raises(NodeRefusedError, match="not prepaid"):
        refused.begin_forward(digest, 6, rows)()
    refused.close()
    assert directory.connections.idle(contact) == 2  # a refusal breaks nothing

    waiting = directory.lease(contact)
    waiting.begin_forward(digest, 6, rows)
    waiting.close()
    assert directory.connections.idle(contact) == 1  # its answer was never taken

    broken = directory.lease(contact)
    node.dies_after = -1
    with pytest.raises(NodeUnreachableError):
        broken.begin_close_chunk(digest, 0, 6, ())()
    broken.close()
    assert directory.connections.idle(contact) == 0


def test_a_node_that_broke_a_connection_is_gone_until_it_answers(directory: NodeDirectory, facts: ToyFacts) -> None:
    directory.follow(VERSION)
    node = facts.registered[0]
    node.dies_after = -1
    with pytest.raises(NodeUnreachableError):
        directory.lease(node.contact).describe()
    assert [one.online for one in directory.candidates(VERSION)] == [False, True, True, True]
    node.dies_after = None
    directory.refresh()
    assert [one.online for one in directory.candidates(VERSION)] == [True, True, True, True]


def test_a_connection_that_its_node_left_is_made_anew(directory: NodeDirectory, facts: ToyFacts) -> None:
    directory.follow(VERSION)
    node = facts.registered[0]
    lent = directory.lease(node.contact)
    restarted = replace(node)  # the old one's connections are dead, and it answers at the same place
    facts.registered[0], node.dies_after = restarted, -1
    assert lent.describe().context == 512
    assert directory.connections.dials == 1
    node.dies_after = restarted.dies_after = -1
    with pytest.raises(NodeUnreachableError):
        lent.describe()  # once a lease


def test_a_node_that_moved_is_connected_anew(directory: NodeDirectory, facts: ToyFacts) -> None:
    directory.follow(VERSION)
    old = facts.registered[0].contact
    facts.registered[0].ask += 1  # another announcement, another contact
    directory.refresh()
    assert directory.connections.idle(old) == 0
    assert directory.connections.idle(facts.registered[0].contact) == 2


def test_an_interrupt_right_after_a_question_leaves_its_answer_to_nobody(
    directory: NodeDirectory, facts: ToyFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(tmp_path, 2)
    facts.registered[:] = network.nodes
    directory.follow(VERSION)
    contact = network.nodes[0].contact
    lent = directory.lease(contact)
    honest = LeasedPeer._watched

    def interrupted(peer: LeasedPeer, work: Callable[[], object]) -> object:
        honest(peer, work)
        raise KeyboardInterrupt  # the question is on its way, and nobody knows

    monkeypatch.setattr(LeasedPeer, "_watched", interrupted)
    monkeypatch.setattr(ToyPeer, "begin_forward", lambda *_, **__: lambda: None)
    before = directory.connections.idle(contact)
    with pytest.raises(KeyboardInterrupt):
        lent.begin_forward(bytes(32), 0, np.array([1], np.int32))
    lent.close()
    assert directory.connections.idle(contact) == before


def test_who_hangs_up_while_a_lost_connection_is_made_anew_hangs_up_on_the_new_one(
    directory: NodeDirectory, facts: ToyFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.follow(VERSION)
    node = facts.registered[0]
    lent = directory.lease(node.contact)
    facts.registered[0], node.dies_after = replace(node), -1
    dial = directory.connections.dial
    left: list[ToyPeer] = []
    monkeypatch.setattr(ToyPeer, "hang_up", lambda peer: left.append(peer))

    def slow(contact: NodeContact) -> ShardPeer:
        peer = dial(contact)
        lent.hang_up()  # by another thread, which knows only the connection before
        return peer

    monkeypatch.setattr(directory.connections, "dial", slow)
    lent.describe()
    assert [peer.node for peer in left] == [node, facts.registered[0]]
