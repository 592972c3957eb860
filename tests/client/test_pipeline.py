"""The pipeline against nodes that keep the protocol's rules: tokens, money, receipts, failover."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus_chain.client import node_connections, replacement
from nexus_chain.client.errors import CapTooLowError, NoSpareError
from nexus_chain.client.pipeline import Pipeline
from nexus_chain.client.purse import SessionPurse
from nexus_chain.client.referee import Referee
from nexus_chain.client.store import ClientStore, StoredLine, StoredSession
from nexus_chain.commitments.tensor import commit
from nexus_chain.market.documents import DISCARDS_PER_POSITION, Ask, Order, address_of, sign
from nexus_chain.wire.errors import NodeUnreachableError
from nexus_chain.wire.peer import NodeContact, RowArray
from tests.support.toy_network import DOMAIN, VOCABULARY, WIDTH, ToyNode, ToyPeer, ToyReferee, expected_tokens

SESSION = bytes([7]) * 32
SESSION_KEY = bytes([3]) * 32
CAP = 10_000_000


class ToyReserve:
    """Spares by segment; funding raises the cap in the store, as a transaction would."""

    def __init__(self, store: ClientStore, spares: dict[int, list[ToyNode]]) -> None:
        self.store, self.spares, self.funded = store, spares, []

    def spare(self, segment: int, failed: Sequence[str]) -> NodeContact | None:
        left = [node for node in self.spares.get(segment, []) if node.address not in failed]
        return left[0].contact if left else None

    def fund(self, node: NodeContact, wei: int) -> None:
        line = self.store.lines(SESSION).get(node.address)
        if line is None or line.cap - line.used <= wei:
            self.store.set_cap(SESSION, node.address, (line.used if line else 0) + wei + 1)
            self.funded.append(node.address)


class Network:
    """Primaries, spares and one session over them, in ``folder``. ``signed``: chunks that each signed before."""

    def __init__(self, folder: Path, segments: int = 2, spares: int = 1, cap: int = CAP, signed: int = 9) -> None:
        signer = address_of(SESSION_KEY)
        keys = iter(bytes([0] * 30 + [1, i]) for i in range(100))
        self.segments = segments
        self.nodes = [ToyNode(next(keys), (i, i + 1), segments, signer) for i in range(segments)]
        self.spares = {
            i: [ToyNode(next(keys), (i, i + 1), segments, signer) for _ in range(spares)] for i in range(segments)
        }
        self.store = ClientStore(folder / "client.sqlite")
        record = StoredSession(SESSION, 31337, DOMAIN.verifying_contract, signer, signer, bytes(32), 2**40, False)
        self.store.add_session(record, [StoredLine(node.address, cap) for node in self.nodes])
        self.purse = SessionPurse(self.store, SESSION, SESSION_KEY, DOMAIN)
        self.reserve = ToyReserve(self.store, self.spares)
        self.receipted = False
        self.referee: Referee | None = None
        self.by_address = {n.address: n for n in [*self.nodes, *(s for group in self.spares.values() for s in group)]}
        with self.store._write() as db:
            tracks = [(address, signed, signed) for address in self.by_address]
            db.executemany("INSERT INTO tracks (node, signed, verified) VALUES (?,?,?)", tracks)

    def pipeline(self, prompt: Sequence[int], max_tokens: int, salt: bytes = bytes(32)) -> Pipeline:
        asks = tuple(Ask(i, i + 1, 10) for i in range(self.segments))
        root = commit(np.array(prompt, np.int32), salt)
        order = Order(SESSION, salt, bytes(32), root, max_tokens, bytes(32), 0, CAP, asks, 2**40)
        signature = sign(order, SESSION_KEY, DOMAIN)
        self.store.add_order(order.digest(DOMAIN), order, signature, prompt)
        return Pipeline(
            (order, signature),
            prompt,
            WIDTH,
            [node.contact for node in self.nodes],
            domain=DOMAIN,
            session_key=SESSION_KEY,
            account=self.purse.open_account(),
            store=self.store,
            dial=lambda contact: ToyPeer(self.by_address[contact.address]),
            reserve=self.reserve,
            vocab=VOCABULARY,
            referee=self.referee,
            receipted=self.receipted,
        )


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacement, "RECONNECT_SECONDS", 0.0)


@pytest.mark.parametrize("segments", [1, 2, 3])
def test_answer_receipts_and_money(tmp_path: Path, segments: int) -> None:
    network = Network(tmp_path, segments)
    prompt = [5, 6, 7, 8]
    run = network.pipeline(prompt, 70)
    assert list(run.run()) == expected_tokens(prompt, 70, segments)
    # 4 + 69 positions are fed: chunks of 4 + 32, 32 and 5, each with a receipt of every segment
    assert [(r.from_position, r.to_position) for r, _ in run.receipts if r.segment == 0] == [
        (0, 36),
        (36, 68),
        (68, 73),
    ]
    for node in network.nodes:
        line = network.store.lines(SESSION)[node.address]
        assert line.used == 730 == node.computed
        assert node.paid == line.promised
        assert line.used <= line.promised <= line.used + 32 * 10
    stored = network.store.order(run.digest)
    assert list(stored.tokens) == run.seen.tokens
    assert sorted(s for _, s in stored.receipts) == sorted(s for _, s in run.receipts)
    assert [feed.to_position for feed, _ in stored.feeds] == [36, 68, 73]


def test_stops_at_an_end_token_and_carries_the_prepaid_rest_over(tmp_path: Path) -> None:
    network = Network(tmp_path)
    prompt = [1, 2, 3]
    whole = expected_tokens(prompt, 40, 2)
    end = whole[10]
    stop = whole.index(end) + 1
    assert list(network.pipeline(prompt, 40).run(frozenset({end}))) == whole[:stop]
    used = (3 + stop - 1) * 10
    assert network.store.lines(SESSION)[network.nodes[0].address].used == used
    assert list(network.pipeline(prompt, 5, bytes([1]) * 32).run()) == whole[:5]
    assert network.store.lines(SESSION)[network.nodes[0].address].used == used + 70


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_failover_at_any_moment_gives_the_same_tokens(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    segments = data.draw(st.integers(1, 3))
    network = Network(tmp_path_factory.mktemp("net"), segments, spares=2)
    for group in ([node] for node in network.nodes):
        group[0].dies_after = data.draw(st.none() | st.integers(0, 60))
    for group in network.spares.values():
        group[0].dies_after = data.draw(st.none() | st.integers(0, 60))
    prompt, count = [9, 8, 7], data.draw(st.integers(1, 70))
    run = network.pipeline(prompt, count)
    assert list(run.run()) == expected_tokens(prompt, count, segments)
    stop = len(prompt) + count - 1
    final = [r for r, _ in run.receipts if r.to_position == stop]
    assert {r.segment for r in final} == set(range(segments))
    for node in network.by_address.values():
        line = network.store.lines(SESSION).get(node.address, StoredLine(node.address, 0))
        assert node.computed <= node.paid <= line.cap
        assert line.used >= node.computed or node.dies_after is not None


@pytest.mark.parametrize(
    ("dies_after", "bills"), [(20, [(0, 34), (34, 41)]), (38, [(34, 41)])]
)  # in the middle of the first chunk, and of the second
def test_spare_is_funded_and_bills_what_nobody_signed_before(
    tmp_path: Path, dies_after: int, bills: list[tuple[int, int]]
) -> None:
    network = Network(tmp_path)
    network.nodes[1].dies_after = dies_after
    run = network.pipeline([4, 4], 40)
    tokens = list(run.run())
    assert tokens == expected_tokens([4, 4], 40, 2)
    (event,) = run.failovers
    spare = network.spares[1][0]
    assert (event.segment, event.failed, event.spare) == (1, network.nodes[1].address, spare.address)
    assert network.reserve.funded == [spare.address]
    billed = [(r.from_position, r.to_position) for r, _ in run.receipts if r.node == spare.address]
    assert billed == bills
    assert spare.computed == sum(stop - start for start, stop in bills) * spare.ask


@pytest.mark.parametrize("rows", [1, 7, 34, 35])
@pytest.mark.parametrize("segment", [0, 1])
def test_a_replay_in_several_messages_is_compared_once_the_spare_has_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, segment: int
) -> None:
    """A spare tells nothing before it has what the receipt shown to it covers."""
    monkeypatch.setattr(node_connections, "MESSAGE_BYTES", 4 * WIDTH * rows)
    network = Network(tmp_path, spares=2)
    network.nodes[segment].dies_after = 45 if rows > 1 else 46
    liar, spare = network.spares[segment]
    liar.lies = 1
    network.referee = ToyReferee(2, 2)
    run = network.pipeline([4, 4], 50)
    assert list(run.run()) == expected_tokens([4, 4], 50, 2)
    assert [event.spare for event in run.failovers] == [liar.address, spare.address]
    (case,) = run.disagreements
    assert (case.later, case.position, case.wrong) == (liar.address, segment, (liar.address,))
    billed = [(r.from_position, r.to_position) for r, _ in run.receipts if r.node == spare.address]
    assert billed == [(34, 51)]


def test_a_node_that_comes_back_continues_where_it_was(tmp_path: Path) -> None:
    network = Network(tmp_path, spares=0)
    node = network.nodes[0]
    node.dies_after = 10
    reached = ToyPeer.__init__

    def revive(peer: ToyPeer, toy: ToyNode) -> None:
        if toy.dies_after is not None and toy.dies_after < 0:
            toy.dies_after = None
        reached(peer, toy)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ToyPeer, "__init__", revive)
        run = network.pipeline([4, 4], 40)
        assert list(run.run()) == expected_tokens([4, 4], 40, 2)
    assert [(r.from_position, r.to_position) for r, _ in run.receipts if r.segment == 0] == [(0, 34), (34, 41)]
    assert node.computed == 410


def test_nobody_left_keeps_what_was_received(tmp_path: Path) -> None:
    network = Network(tmp_path, spares=0)
    network.nodes[0].dies_after = 40
    run = network.pipeline([4, 4], 60)
    received: list[int] = []
    with pytest.raises(NoSpareError, match="Ask again"):
        received.extend(run.run())
    stored = network.store.order(run.digest)
    assert stored.tokens[2:] == tuple(expected_tokens([4, 4], len(stored.tokens) - 2, 2))
    assert len(stored.receipts) == 2
    assert all(line.used == line.promised for line in network.store.lines(SESSION).values())


@pytest.mark.parametrize("forged", ["in_root", "out_root", "price"])
def test_forged_receipt_is_not_paid_for_and_replaced(tmp_path: Path, forged: str) -> None:
    network = Network(tmp_path)
    network.nodes[1].forges = forged
    run = network.pipeline([4, 4], 40)
    assert list(run.run()) == expected_tokens([4, 4], 40, 2)
    assert network.nodes[1].paid == (2 + 32) * 10  # what its first chunk prepaid
    assert {r.node for r, _ in run.receipts if r.segment == 1} == {network.spares[1][0].address}


def test_spare_with_other_bits_is_refused(tmp_path: Path) -> None:
    network = Network(tmp_path, spares=2)
    network.nodes[0].dies_after = 20
    network.spares[0][0].lies = 1
    network.referee = ToyReferee(2, 2)
    run = network.pipeline([4, 4], 40)
    assert list(run.run()) == expected_tokens([4, 4], 40, 2)
    assert [e.spare for e in run.failovers] == [node.address for node in network.spares[0]]
    assert "other bits" in run.failovers[1].reason


def test_cap_ends_the_answer_with_all_receipts(tmp_path: Path) -> None:
    network = Network(tmp_path, cap=351)
    run = network.pipeline([4, 4], 60)
    received: list[int] = []
    with pytest.raises(CapTooLowError, match="allot"):
        received.extend(run.run())
    assert received == expected_tokens([4, 4], 33, 2)
    assert len(run.receipts) == 2


def test_early_stop_leaves_nothing_unreceipted(tmp_path: Path) -> None:
    network = Network(tmp_path)
    run = network.pipeline([4, 4], 60)
    stream = run.run()
    assert [next(stream) for _ in range(10)] == expected_tokens([4, 4], 10, 2)
    stream.close()
    assert max(r.to_position for r, _ in run.receipts) == 11
    assert network.store.lines(SESSION)[network.nodes[0].address].used == 110


def test_interrupt_from_the_keyboard_leaves_nothing_unreceipted(tmp_path: Path) -> None:
    network = Network(tmp_path)
    run = network.pipeline([4, 4], 60)
    stream = run.run()
    for _ in range(40):
        next(stream)
    with pytest.raises(KeyboardInterrupt):
        stream.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    assert max(r.to_position for r, _ in run.receipts) == 41


def interrupted(monkeypatch: pytest.MonkeyPatch, node: ToyNode, after: int) -> None:
    """A keypress while an answer of ``node`` is on its way: it has computed the rows."""
    honest, left = ToyPeer.forward, [after]

    def forward(peer: ToyPeer, *given: Any, **more: Any) -> RowArray:
        out = honest(peer, *given, **more)
        if peer.node is node:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
        return out

    monkeypatch.setattr(ToyPeer, "forward", forward)


@pytest.mark.parametrize("segment", [0, 1])
@pytest.mark.parametrize("after", [1, 2, 20, 33, 34, 40])
def test_an_interrupt_in_the_middle_of_an_exchange_leaves_the_session_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, segment: int, after: int
) -> None:
    network = Network(tmp_path, spares=0)
    with monkeypatch.context() as patch:
        interrupted(patch, network.nodes[segment], after)
        with pytest.raises(KeyboardInterrupt):
            list(network.pipeline([4, 4], 60).run())
    for node in network.nodes:
        line = network.store.lines(SESSION)[node.address]
        assert node.computed <= line.used
        # Where a chunk was under way there are receipts for all of it: what is prepaid and not used carries over.
        assert after in (1, 2, 34) or line.used == node.computed
    assert list(network.pipeline([5, 6, 7], 40).run()) == expected_tokens([5, 6, 7], 40, 2)


def test_a_node_that_never_answers_is_not_thought_to_have_computed_nothing(tmp_path: Path) -> None:
    network = Network(tmp_path, spares=0)
    honest = ToyPeer.forward
    with pytest.MonkeyPatch.context() as patch:

        def forward(peer: ToyPeer, *given: Any, **more: Any) -> RowArray:
            honest(peer, *given, **more)
            raise NodeUnreachableError("no answer", advice="Wait.")

        patch.setattr(ToyPeer, "forward", forward)
        with pytest.raises(NoSpareError):
            list(network.pipeline([4, 4], 60).run())
    assert list(network.pipeline([5, 6, 7], 40).run()) == expected_tokens([5, 6, 7], 40, 2)


def test_the_first_segment_has_its_next_rows_before_the_reader_has_the_tokens(tmp_path: Path) -> None:
    network = Network(tmp_path)
    stream = network.pipeline([4, 4], 20).run()
    received = [next(stream)]
    for _ in range(12):  # within the chunk after the prompt's
        received.append(next(stream))
        assert [node.rounds for node in network.nodes] == [len(received) + 1, len(received)]
        assert list(network.store.order(network.store.order_digests()[0]).tokens) == [4, 4, *received]
    stream.close()
    for node in network.nodes:
        assert network.store.lines(SESSION)[node.address].used == node.computed == (2 + len(received) - 1) * 10


@pytest.mark.parametrize("chunk", [0, 1])
def test_a_voucher_that_was_signed_ahead_is_not_kept_when_the_last_receipt_is_wrong(tmp_path: Path, chunk: int) -> None:
    network = Network(tmp_path, spares=0)
    stream = network.pipeline([4, 4], 90).run()
    for _ in range((1, 34)[chunk]):
        next(stream)
    network.nodes[1].forges = "price"
    before = network.store.last_voucher(SESSION)
    with pytest.raises(NoSpareError):
        list(stream)
    assert network.store.last_voucher(SESSION) == before
    assert [node.paid for node in network.nodes] == [(34, 66)[chunk] * 10] * 2


def test_a_pause_of_the_reader_is_not_the_nodes_fault(tmp_path: Path) -> None:
    """A node hangs up on a quiet connection: what was open before the pause is not used after it."""
    network = Network(tmp_path)
    run = network.pipeline([4, 4], 60)
    stream = run.run()
    received = [next(stream) for _ in range(40)]
    dials = [node.dials for node in network.nodes]
    for segment in run._state.segments:
        segment.last_use -= 2 * node_connections.QUIET_SECONDS
    assert received + list(stream) == expected_tokens([4, 4], 60, 2)
    assert [node.dials for node in network.nodes] == [before + 1 for before in dials]
    assert run.failovers == []
    assert all(node.computed == 610 for node in network.nodes)


@pytest.mark.parametrize("segment", [0, 1])
@pytest.mark.parametrize("lost", [1, 2, 20, 34])
def test_an_answer_that_is_lost_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, segment: int, lost: int
) -> None:
    network = Network(tmp_path, spares=0)
    honest, left = ToyPeer.forward, [lost]

    def forward(peer: ToyPeer, *given: Any, **more: Any) -> RowArray:
        out = honest(peer, *given, **more)
        left[0] -= peer.node is network.nodes[segment]
        if left[0] == 0:
            left[0] = -1
            raise NodeUnreachableError("the connection broke", advice="Dial again.")
        return out

    monkeypatch.setattr(ToyPeer, "forward", forward)
    assert list(network.pipeline([4, 4], 60).run()) == expected_tokens([4, 4], 60, 2)
    assert all(node.computed == 610 for node in network.nodes)


@pytest.mark.parametrize("token", [-1, 101, 2**31 - 1])
def test_a_token_that_is_none_is_the_fault_of_who_sampled_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: int
) -> None:
    network = Network(tmp_path)
    honest = ToyPeer.forward

    def forward(peer: ToyPeer, order_digest: bytes, start: int, rows: RowArray, **more: Any) -> RowArray:
        out = honest(peer, order_digest, start, rows, **more)
        return np.full_like(out, token) if peer.node is network.nodes[1] else out

    monkeypatch.setattr(ToyPeer, "forward", forward)
    run = network.pipeline([5, 6], 3)
    assert list(run.run()) == expected_tokens([5, 6], 3, 2)
    assert [(event.segment, event.failed) for event in run.failovers] == [(1, network.nodes[1].address)]


# -------------------------------------------------------------------------- drafts


class Oracle:
    """Drafts of the true tokens, each wrong with a chance."""

    def __init__(self, truth: Sequence[int], wrong: float, seed: int) -> None:
        self._truth, self._wrong, self._random = truth, wrong, random.Random(seed)
        self.judged: list[tuple[int, int]] = []

    def propose(self, tokens: Sequence[int], most: int) -> list[int]:
        count = self._random.randint(0, min(most, 12))
        drafts = (list(self._truth) + [1] * 12)[len(tokens) : len(tokens) + count]
        return [(one + 1) % VOCABULARY if self._random.random() < self._wrong else one for one in drafts]

    def judge(self, proposed: int, right: int) -> None:
        self.judged.append((proposed, right))


def drafted(network: Network, prompt: list[int], count: int, wrong: float, seed: int = 1) -> tuple[Pipeline, Oracle]:
    run = network.pipeline(prompt, count)
    oracle = Oracle(prompt + expected_tokens(prompt, count, network.segments), wrong, seed)
    run._rounds.drafts = oracle  # type: ignore[assignment]
    return run, oracle


@pytest.mark.parametrize("segments", [1, 2, 3])
@pytest.mark.parametrize("wrong", [0.0, 0.3, 1.0])
def test_drafts_change_the_number_of_rounds_and_nothing_else(tmp_path: Path, segments: int, wrong: float) -> None:
    network = Network(tmp_path, segments)
    prompt = [5, 6, 7, 8]
    run, oracle = drafted(network, prompt, 70, wrong)
    assert list(run.run()) == expected_tokens(prompt, 70, segments)
    assert [(r.from_position, r.to_position) for r, _ in run.receipts if r.segment == 0] == [
        (0, 36),
        (36, 68),
        (68, 73),
    ]
    waste = sum(proposed - right for proposed, right in oracle.judged)
    for node in network.nodes:
        assert network.store.lines(SESSION)[node.address].used == 730 == node.computed
        assert node.dropped == waste
    assert list(network.store.order(run.digest).tokens) == run.seen.tokens
    rounds = network.nodes[0].rounds
    assert rounds < 40 if wrong == 0.0 else rounds <= 70


@given(st.integers(0, 2**32), st.floats(0, 1), st.integers(2, 40), st.integers(0, 1), st.integers(0, 20))
@settings(deadline=None, max_examples=40)
def test_a_node_that_dies_in_the_middle_of_a_draft_is_replaced(
    seed: int, wrong: float, count: int, segment: int, dies_after: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        network = Network(Path(folder))
        network.nodes[segment].dies_after = dies_after
        run, _ = drafted(network, [5, 6], count, wrong, seed)
        assert list(run.run()) == expected_tokens([5, 6], count, 2)
        served = [node for node in network.by_address.values() if node.orders]
        assert all(node.computed <= node.paid for node in served)
        assert max(r.to_position for r, _ in run.receipts) == 2 + count - 1


def test_a_draft_does_not_go_past_an_end_token(tmp_path: Path) -> None:
    network = Network(tmp_path)
    prompt = [5, 6, 7, 8]
    truth = expected_tokens(prompt, 60, 2)
    end = truth.index(truth[20])
    run, _ = drafted(network, prompt, 60, wrong=0.0)
    assert list(run.run(frozenset({truth[20]}))) == truth[: end + 1]
    assert max(r.to_position for r, _ in run.receipts) == 4 + end
    assert all(node.computed == (4 + end) * 10 for node in network.nodes)


def test_wrong_drafts_stop_before_a_node_refuses_them(tmp_path: Path) -> None:
    network = Network(tmp_path)
    run, _ = drafted(network, [5, 6], 30, wrong=1.0)
    assert list(run.run()) == expected_tokens([5, 6], 30, 2)
    assert all(0 < node.dropped <= DISCARDS_PER_POSITION * 31 for node in network.nodes)
