"""Several answers of one session at once: same tokens, vouchers that cover all, caps that hold, books that add up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nexus_chain.client import replacement
from nexus_chain.client.answer_state import AnswerCancelled
from nexus_chain.client.errors import CapTooLowError, SessionStateError
from nexus_chain.client.headroom import cap_for, spendable, wei_to_lock
from nexus_chain.client.order import AskOptions
from nexus_chain.client.prompt_turns import PROMPTS_AT_ONCE, PromptTurns
from nexus_chain.client.purse import AnswerAccount, SessionPurse
from nexus_chain.client.session import Session
from nexus_chain.client.store import ClientStore, StoredLine, StoredSession
from nexus_chain.market.documents import Receipt, Voucher, address_of
from nexus_chain.wire.errors import NodeRefusedError
from node.daemon.serving.serving import MOST_UNFED
from tests.client.test_pipeline import SESSION, SESSION_KEY, Network
from tests.support.toy_network import DOMAIN, ToyPeer, expected_tokens
from tests.support.toy_session import toy_session

PROMPTS = ([5, 6, 7, 8], [1, 2], [9, 8, 7], [4, 4, 4, 4, 4])
TOKENS = 70


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacement, "RECONNECT_SECONDS", 0.0)


def fed(prompt: Sequence[int], tokens: int = TOKENS) -> int:
    """Positions of an answer."""
    return len(prompt) + tokens - 1


def all_at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Every work in a thread of its own, begun together; their results."""
    gate = threading.Barrier(len(works))

    def begin(work: Callable[[], Any]) -> Any:
        gate.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(begin, works))


def vouchers_of(store: ClientStore) -> list[Voucher]:
    """All that were ever signed, in order."""
    return [Voucher.from_json(str(json)) for (json,) in store._read("SELECT json FROM vouchers ORDER BY number")]


def assert_vouchers_grow(store: ClientStore) -> None:
    """No line ever falls from one voucher to the next."""
    best: dict[str, int] = {}
    for voucher in vouchers_of(store):
        for line in voucher.lines:
            assert line.cumulative >= best.get(line.node, 0)
            best[line.node] = line.cumulative
    assert all(best.get(node, 0) == line.promised for node, line in store.lines(SESSION).items())


def assert_lines_hold(network: Network) -> None:
    for node in network.by_address.values():
        line = network.store.lines(SESSION).get(node.address, StoredLine(node.address, 0))
        assert node.computed <= node.paid <= line.promised
        assert node.computed <= line.used <= line.promised <= spendable(line.cap)
    assert_vouchers_grow(network.store)


def ask(session: Session, prompt: Sequence[int], tokens: int = TOKENS) -> list[int]:
    return list(session.start(prompt, AskOptions(tokens, audit_rate=0.0)).result().tokens)


@pytest.mark.parametrize("segments", [1, 2])
def test_answers_at_once_are_those_one_after_the_other_and_are_billed_the_same(tmp_path: Path, segments: int) -> None:
    network = Network(tmp_path, segments)
    session = toy_session(network, tmp_path)
    found = all_at_once([lambda prompt=prompt: ask(session, prompt) for prompt in PROMPTS])
    assert found == [expected_tokens(prompt, TOKENS, segments) for prompt in PROMPTS]
    assert_lines_hold(network)
    for node in network.nodes:
        assert network.store.lines(SESSION)[node.address].used == sum(map(fed, PROMPTS)) * node.ask == node.computed
        assert node.dials == len(PROMPTS)
    orders = [network.store.order(digest) for digest in network.store.order_digests(SESSION)]
    assert {order.state for order in orders} == {"done"}
    billed = sum(receipt.price for order in orders for receipt, _ in order.receipts)
    assert billed == sum(line.used for line in network.store.lines(SESSION).values())
    assert network.purse.commitment(network.nodes[0].address) == network.purse.line(network.nodes[0].address).used


def test_what_one_failed_answer_loses_is_its_own(tmp_path: Path) -> None:
    """A node that dies for one connection: that answer's chunk is written off there, the others' are billed."""
    network = Network(tmp_path)
    session = toy_session(network, tmp_path)
    streams = [session.start(prompt, AskOptions(TOKENS, drafting=False, audit_rate=0.0)) for prompt in PROMPTS]
    for stream in streams:
        for _ in range(10):
            next(stream)
    victim = network.nodes[1]
    (peer,) = [streams[0]._run.pipeline._state.segments[1].peer]  # type: ignore[union-attr]
    broken: set[int] = {id(peer)}
    honest = ToyPeer.forward

    def forward(peer: ToyPeer, *given: Any, **more: Any) -> Any:
        if id(peer) in broken:
            raise replacement.NodeUnreachableError("this connection broke", advice="-")
        return honest(peer, *given, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ToyPeer, "forward", forward)
        answers = all_at_once([stream.result for stream in streams])
    assert [list(answer.tokens) for answer in answers] == [expected_tokens(prompt, TOKENS, 2) for prompt in PROMPTS]
    assert [len(answer.failovers) for answer in answers] == [1, 0, 0, 0]
    assert_lines_hold(network)
    billed = sum(fed(prompt) for prompt in PROMPTS[1:]) * victim.ask
    promised = (len(PROMPTS[0]) + 32) * victim.ask
    assert network.store.lines(SESSION)[victim.address].used == billed + promised
    assert network.purse.commitment(victim.address) == billed + promised


def test_no_node_is_brought_more_orders_than_it_lets_wait_for_their_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 answers begin at once; nodes whose prompts take a while refuse where too many wait."""
    network = Network(tmp_path)
    session = toy_session(network, tmp_path)
    honest_open, honest_forward, most = ToyPeer._open_order, ToyPeer.forward, 0

    def open_order(peer: ToyPeer, order: Any, *given: Any) -> Any:
        nonlocal most
        waiting = sum(len(one.rows) < one.prompt_length for one in peer.node.orders.values())
        most = max(most, waiting + 1)
        if waiting >= MOST_UNFED:
            raise NodeRefusedError("too many wait", advice="-", error_name="BusyError")
        return honest_open(peer, order, *given)

    def forward(peer: ToyPeer, digest: bytes, start: int, *given: Any, **more: Any) -> Any:
        if not start:
            time.sleep(0.01)
        return honest_forward(peer, digest, start, *given, **more)

    monkeypatch.setattr(ToyPeer, "_open_order", open_order)
    monkeypatch.setattr(ToyPeer, "forward", forward)
    prompts = [[number + 1, 5, 6] for number in range(40)]
    found = all_at_once([lambda prompt=prompt: ask(session, prompt, 4) for prompt in prompts])
    assert found == [expected_tokens(prompt, 4, 2) for prompt in prompts]
    assert 1 < most <= PROMPTS_AT_ONCE <= MOST_UNFED // 2


def test_an_answer_that_waits_for_its_turn_can_be_cancelled() -> None:
    turns, cancelled = PromptTurns(at_once=1), threading.Event()

    def require_wanted() -> None:
        if cancelled.is_set():
            raise AnswerCancelled

    def wait() -> str:
        try:
            with turns.turn().hold(require_wanted):
                return "had it"
        except AnswerCancelled:
            return "cancelled"

    first = turns.turn()
    with ThreadPoolExecutor(2) as pool, first.hold(require_wanted), first.hold(require_wanted):
        waiting = pool.submit(wait)
        cancelled.set()
        assert waiting.result() == "cancelled"
    cancelled.clear()
    assert wait() == "had it"


def test_a_busy_node_that_nobody_can_replace_is_tried_again(tmp_path: Path) -> None:
    network = Network(tmp_path, spares=0)
    session = toy_session(network, tmp_path)
    network.nodes[0].busy = True
    stream = session.start(
        [1, 2, 3], AskOptions(8, audit_rate=0.0), lambda event: setattr(network.nodes[0], "busy", False)
    )
    network.store.set_cap(SESSION, network.nodes[0].address, 10**6)
    assert list(stream.result().tokens) == expected_tokens([1, 2, 3], 8, 2)
    assert not network.store.track(network.nodes[0].address).failed


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_whatever_fails_the_books_are_right(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("net")
    network = Network(folder, 2, spares=2)
    session = toy_session(network, folder)
    for group in ([node] for node in network.nodes):
        group[0].dies_after = data.draw(st.none() | st.integers(0, 200))
    for group in network.spares.values():
        group[0].dies_after = data.draw(st.none() | st.integers(0, 200))
        for node in group:
            network.store.set_cap(SESSION, node.address, 10**6)
    counts = data.draw(st.lists(st.integers(1, 60), min_size=2, max_size=4))
    stops = data.draw(st.lists(st.none() | st.integers(0, 30), min_size=len(counts), max_size=len(counts)))

    def read(prompt: Sequence[int], count: int, stop: int | None) -> list[int]:
        stream = session.start(prompt, AskOptions(count, audit_rate=0.0))
        for _, _ in zip(range(count if stop is None else stop), stream, strict=False):
            pass
        if stop is not None:
            stream.cancel()
        if stop == 0:
            stream.close()
            return []
        return list(stream.result().tokens)

    works = [
        lambda prompt=prompt, count=count, stop=stop: read(prompt, count, stop)
        for prompt, count, stop in zip(PROMPTS, counts, stops, strict=False)
    ]
    found = all_at_once(works)
    for prompt, count, stop, tokens in zip(PROMPTS, counts, stops, found, strict=False):
        assert tokens == expected_tokens(prompt, count, 2)[: len(tokens)]
        assert (count if stop is None else min(stop, count)) <= len(tokens) <= count
    assert_lines_hold(network)
    for node in network.by_address.values():
        assert network.purse.commitment(node.address) == network.purse.line(node.address).used
    assert ask(session, [3, 3], 5) == expected_tokens([3, 3], 5, 2)


def test_a_cap_is_shared_by_all_answers_and_never_overspent(tmp_path: Path) -> None:
    """Money for two answers and a bit: two begin, the third is refused before anything is signed, and fits later."""
    need = fed(PROMPTS[0]) * 10
    network = Network(tmp_path, cap=cap_for(2 * need + 20))
    session = toy_session(network, tmp_path)
    options = AskOptions(TOKENS, audit_rate=0.0)
    first, second = session.start(PROMPTS[0], options), session.start(PROMPTS[0], options)
    with pytest.raises(CapTooLowError, match="allot"):
        session.start(PROMPTS[0], options)
    first.cancel()
    assert list(first) == []
    third = session.start(PROMPTS[0], options)
    found = all_at_once([second.result, third.result])
    assert [list(answer.tokens) for answer in found] == [expected_tokens(PROMPTS[0], TOKENS, 2)] * 2
    assert_lines_hold(network)
    assert all(network.store.lines(SESSION)[node.address].used == 2 * need for node in network.nodes)
    with pytest.raises(CapTooLowError):
        session.start(PROMPTS[0], options)


def test_an_answer_that_nobody_reads_gives_its_money_back(tmp_path: Path) -> None:
    network = Network(tmp_path, cap=cap_for((len(PROMPTS[0]) + TOKENS) * 10))
    session = toy_session(network, tmp_path)
    stream: object = session.start(PROMPTS[0], AskOptions(TOKENS, audit_rate=0.0))
    del stream
    assert ask(session, PROMPTS[0]) == expected_tokens(PROMPTS[0], TOKENS, 2)


def test_the_lock_is_held_while_any_answer_runs_and_lost_money_is_found_once(tmp_path: Path) -> None:
    network = Network(tmp_path)
    session = toy_session(network, tmp_path)
    options = AskOptions(TOKENS, audit_rate=0.0)
    first, second = session.start(PROMPTS[0], options), session.start(PROMPTS[1], options)
    next(first)
    next(second)
    used = {node: line.used for node, line in network.store.lines(SESSION).items()}
    assert set(used.values()) == {0}  # the first answer is running, not lost
    other = Session(session.user, session.record, session.files)
    first.close()
    with pytest.raises(SessionStateError, match="another process"):
        other.start(PROMPTS[2], options).result()
    second.close()
    assert list(other.start(PROMPTS[2], options).result().tokens) == expected_tokens(PROMPTS[2], TOKENS, 2)


# ------------------------------------------------------------------------- the purse alone

NODES = ["0x" + f"{number:02x}" * 20 for number in (1, 2)]


class Purse(RuleBasedStateMachine):
    """Any number of accounts, in any order: what a node may bill never exceeds what it was promised, nor its cap."""

    @initialize(cap=st.integers(1, 300))
    def open(self, cap: int) -> None:
        self.store = ClientStore(self.folder())
        signer = address_of(SESSION_KEY)
        record = StoredSession(SESSION, 31337, DOMAIN.verifying_contract, signer, signer, bytes(32), 2**40, False)
        self.store.add_session(record, [StoredLine(node, cap) for node in NODES])
        self.purse = SessionPurse(self.store, SESSION, SESSION_KEY, DOMAIN)
        self.accounts: dict[int, AnswerAccount] = {}
        self.may_bill: dict[tuple[int, str], int] = {}
        self.number = 0

    def folder(self) -> Path:
        return self.root / f"{id(self)}.sqlite"

    @rule(needs=st.dictionaries(st.sampled_from(NODES), st.integers(0, 120), max_size=2))
    def start(self, needs: dict[str, int]) -> None:
        fits = all(
            self.purse.commitment(node) + wei <= spendable(self.purse.line(node).cap) for node, wei in needs.items()
        )
        try:
            self.number += 1
            self.accounts[self.number] = self.purse.open_account(needs)
            assert fits
        except CapTooLowError:
            assert not fits

    @precondition(lambda self: self.accounts)
    @rule(data=st.data(), wei=st.integers(0, 120), ahead=st.booleans())
    def prepay(self, data: st.DataObject, wei: int, ahead: bool) -> None:
        index = data.draw(st.sampled_from(sorted(self.accounts)))
        account, node = self.accounts[index], data.draw(st.sampled_from(NODES))
        left = spendable(self.purse.line(node).cap) - self.purse.commitment(node, account)
        try:
            if ahead:
                account.sign_ahead({node: wei})
            account.prepay({node: wei})
            assert wei <= left
            self.may_bill[index, node] = max(wei, self.may_bill.get((index, node), 0))
        except CapTooLowError:
            assert max(wei, account.holding(node)) > left

    @precondition(lambda self: any(self.may_bill.values()))
    @rule(data=st.data())
    def bill(self, data: st.DataObject) -> None:
        index, node = data.draw(st.sampled_from(sorted(key for key, wei in self.may_bill.items() if wei)))
        wei = data.draw(st.integers(1, self.may_bill[index, node]))
        self.number += 1
        used = self.purse.line(node).used
        digest = self.number.to_bytes(32, "big")
        with self.store._write() as db:
            row = (digest, SESSION, "{}", b"", 1, "running", 0.0)
            db.execute("INSERT INTO orders VALUES (?,?,?,?,?,?,?)", row)
        receipt = Receipt(digest, node, 0, 0, self.number, bytes(32), bytes(32), (), wei)
        for _ in range(2):  # the same one again changes nothing
            self.accounts[index].bill(receipt, b"s")
        assert self.purse.line(node).used == used + wei
        self.may_bill[index, node] -= wei

    @precondition(lambda self: any(self.may_bill.values()))
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        index, node = data.draw(st.sampled_from(sorted(key for key, wei in self.may_bill.items() if wei)))
        used = self.purse.line(node).used
        self.accounts[index].write_off(node)
        assert self.purse.line(node).used == used + self.may_bill.pop((index, node))

    @precondition(lambda self: self.accounts)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        index = data.draw(st.sampled_from(sorted(self.accounts)))
        self.accounts.pop(index).close()
        self.may_bill = {key: wei for key, wei in self.may_bill.items() if key[0] != index}

    @rule(node=st.sampled_from(NODES), more=st.integers(0, 100))
    def allot(self, node: str, more: int) -> None:
        self.store.set_cap(SESSION, node, self.purse.line(node).cap + more)

    @invariant()
    def promises_are_kept(self) -> None:
        for node in NODES:
            line = self.purse.line(node)
            still = sum(wei for (_, other), wei in self.may_bill.items() if other == node)
            assert line.used + still <= line.promised <= spendable(line.cap)
            assert self.purse.commitment(node) <= spendable(line.cap)
        assert_vouchers_grow(self.store)

    def teardown(self) -> None:
        self.store.close()
        self.folder().unlink()


@pytest.fixture
def _purse_folder(tmp_path: Path) -> None:
    Purse.root = tmp_path  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_purse_folder")
class TestPurse(Purse.TestCase):
    settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_headroom_is_left_on_top_of_everything() -> None:
    assert [spendable(cap) for cap in (0, 1, 2, 100)] == [0, 0, 1, 99]
    assert [cap_for(wei) for wei in (0, 1, 99)] == [0, 2, 100]
    assert all(spendable(cap_for(wei)) == wei for wei in range(5))
    assert (wei_to_lock(0, 10), wei_to_lock(3, 10)) == (1, 126)
