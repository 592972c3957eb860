"""A sent transaction is never lost from sight: lost answers, killed commands, two programs, chains that start again."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from nexus_chain.chain import fees, journal, transactions
from nexus_chain.chain.bound import ChainEvent, in_ranges
from nexus_chain.chain.connection import connect
from nexus_chain.chain.contracts import Contracts, Sending
from nexus_chain.chain.errors import (
    ChainError,
    JournalError,
    RpcKeyRefusedError,
    RpcNonsenseError,
    RpcRefusedError,
    TransactionError,
    TransactionPendingError,
    UnfundedWalletError,
    WrongChainError,
)
from nexus_chain.chain.interfaces import abi
from nexus_chain.chain.journal import FAILED, TOLD, Attempt, Intent, TransactionJournal
from nexus_chain.chain.local import LocalChain
from nexus_chain.chain.nonces import UNKNOWN, NonceUse, user_of
from nexus_chain.chain.provider import RpcProvider
from nexus_chain.chain.rpc_answers import TransactionReceipt
from nexus_chain.chain.transactions import Sender, Wish
from nexus_chain.chain.wallet import Wallet
from nexus_chain.client.client import Client
from nexus_chain.client.home import ClientHome
from nexus_chain.keccak import keccak256
from nexus_chain.routing.registry_view import discover_nodes
from tests.support.chain_world import World
from tests.support.lossy_rpc import LOSSY_URL, Dropped, LossyAdapter, LossyRpc
from tests.support.waiting import WAIT

FUNDS = 10**18
FILES: Any = SimpleNamespace(program=SimpleNamespace(shape=SimpleNamespace(layers=4), embedding_layer=None))


class ChosenRpc(LossyRpc):
    """Faults that a test chooses: answers of ``lost_answers`` are lost, ``lost`` never arrive."""

    def __init__(self, target: str) -> None:
        super().__init__(target, 0, 0.0)
        self.missing, self.legacy, self.batches = set(), False, True
        self.lost: set[str] = set()
        self.lost_answers: set[str] = set()
        self.refused: dict[str, str] = {}
        self.unknown: set[str] = set()
        self.denied = Counter[str]()  # how often a method's answer is still that there is nothing
        self.chain_id = ""
        self.reverts = 0  # how often an estimate is refused still, as in an older state
        self.counts: dict[str, int] = {}  # how many transactions of an account there are, by the block's name
        self.failing_answers: dict[str, str] = {}  # done all the same
        self.nonsense: dict[str, object] = {}  # answers that make no sense
        self.pending_lags = False  # what is pending is a block's state that is older by one
        self.raw: list[str] = []

    def _one(self, call: Any, head: int | None) -> Any:
        if call["method"] == "eth_getTransactionCount" and call["params"][1] in self.counts:
            return {"jsonrpc": "2.0", "id": call["id"], "result": hex(self.counts[call["params"][1]])}
        if call["method"] == "eth_getTransactionCount" and call["params"][1] == "pending" and self.pending_lags:
            older = int(self._ask("eth_blockNumber", [])["result"], 16) - 1
            return super()._one({**call, "params": [call["params"][0], hex(older)]}, None)
        return super()._one(call, head)

    def _with(self, fault: str, document: Any) -> tuple[int, bytes]:
        method = document["method"] if isinstance(document, dict) else ""
        if method == "eth_sendRawTransaction":
            self.raw.append(document["params"][0])
        if method in self.lost:
            raise Dropped
        if method in self.refused:
            return 200, json.dumps(self._error(document["id"], -32000, self.refused[method])).encode()
        if method == "eth_estimateGas" and self.reverts > 0:
            self.reverts -= 1
            return 200, json.dumps(self._error(document["id"], 3, "execution reverted")).encode()
        if method in self.unknown or self.denied[method] > 0:
            self.denied[method] -= 1
            return 200, json.dumps({"jsonrpc": "2.0", "id": document["id"], "result": None}).encode()
        if method == "eth_chainId" and self.chain_id:
            return 200, json.dumps({"jsonrpc": "2.0", "id": document["id"], "result": self.chain_id}).encode()
        answer = super()._with(fault, document)
        if method in self.failing_answers:
            return 200, json.dumps(self._error(document["id"], -32603, self.failing_answers[method])).encode()
        if method in self.nonsense:
            return 200, json.dumps({"jsonrpc": "2.0", "id": document["id"], "result": self.nonsense[method]}).encode()
        if method in self.lost_answers:
            raise Dropped
        return answer


@pytest.fixture
def rpc(local_chain: LocalChain, monkeypatch: pytest.MonkeyPatch) -> ChosenRpc:
    made, session = ChosenRpc(local_chain.rpc_url), requests.Session()
    session.mount(LOSSY_URL, LossyAdapter(made))
    monkeypatch.setattr(RpcProvider, "_session", lambda self: session)
    return made


@pytest.fixture
def wallet(local_chain: LocalChain) -> Wallet:
    made = Wallet.ephemeral()
    local_chain.set_balance(made.address, FUNDS)
    return made


@pytest.fixture
def to() -> str:
    return Wallet.ephemeral().address


@pytest.fixture
def sender(rpc: ChosenRpc, wallet: Wallet, tmp_path: Path) -> Callable[..., Sender]:
    """A new process's sender over the journal of one home."""

    def make(timeout: float = WAIT, **words: Any) -> Sender:
        journal = TransactionJournal(tmp_path / "transactions.sqlite")
        return Sender(connect(LOSSY_URL, retries=0), wallet, timeout=timeout, journal=journal, **words)

    return make


def balance(chain: LocalChain, address: str) -> int:
    return chain.connection.balance(address)


def test_a_transaction_whose_answer_is_lost_is_found_by_its_receipt(
    local_chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], to: str
) -> None:
    rpc.lost_answers = {"eth_sendRawTransaction"}
    assert not sender().transfer(to, 5).found
    assert balance(local_chain, to) == 5


def test_a_repeated_command_goes_on_with_what_the_first_one_sent(
    local_chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], to: str
) -> None:
    rpc.lost_answers = {"eth_sendRawTransaction", "eth_getTransactionReceipt", "eth_getTransactionByHash"}
    with pytest.raises(TransactionPendingError, match=r"0x[0-9a-f]{64}.*was sent and may be mined") as raised:
        sender(0.2).transfer(to, 5)
    rpc.lost_answers = set()
    again = sender().transfer(to, 5)
    assert (again.found, again.hash) == (True, raised.value.hash)
    assert balance(local_chain, to) == 5
    assert not sender().transfer(to, 5).found, "what was told is over"
    assert balance(local_chain, to) == 10


def test_a_look_is_no_older_than_what_was_sent_and_never_told(
    local_chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], to: str
) -> None:
    """As `nexus withdraw` looks, after a settlement whose end its command was not told."""
    rpc.lost_answers = {"eth_sendRawTransaction", "eth_getTransactionReceipt", "eth_getTransactionByHash"}
    with pytest.raises(TransactionPendingError):
        sender(0.2).transfer(to, 5)
    rpc.lost_answers = set()
    rpc.denied["eth_getTransactionReceipt"] = 2  # it lags in this too
    looking, floors = sender(), []
    looking.connection.provider.require_block = floors.append  # type: ignore[method-assign]
    looking.look_from_sent()
    (intent,) = looking.unfinished()
    receipt = local_chain.connection.receipt(intent.attempts[-1].hash)
    assert receipt is not None
    assert max(floors) >= receipt.block


def test_a_dropped_transaction_is_sent_again_byte_by_byte(
    local_chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], to: str
) -> None:
    rpc.lost = {"eth_sendRawTransaction"}
    with pytest.raises(TransactionPendingError):
        sender(0.2).transfer(to, 5)
    assert balance(local_chain, to) == 0
    rpc.lost = set()
    assert sender().transfer(to, 5).found
    assert balance(local_chain, to) == 5
    assert len(set(rpc.raw)) == 1


def test_what_is_on_disk_before_it_is_sent(rpc: ChosenRpc, sender: Callable[..., Sender], to: str) -> None:
    rpc.lost = {"eth_sendRawTransaction"}
    one = sender(0.2)
    with pytest.raises(TransactionPendingError) as raised:
        one.transfer(to, 5)
    (intent,) = sender().unfinished()
    assert (intent.hash, intent.purpose) == (raised.value.hash, "transfer")
    assert "0x" + keccak256(intent.attempts[0].raw).hex() == intent.hash


def test_nothing_is_sent_without_the_journal(
    local_chain: LocalChain, rpc: ChosenRpc, wallet: Wallet, tmp_path: Path, to: str
) -> None:
    file = tmp_path / "transactions.sqlite"
    file.write_bytes(b"no database, however long it may be" * 100)
    with pytest.raises(JournalError, match=str(file)):
        Sender(connect(LOSSY_URL), wallet, journal=TransactionJournal(file)).transfer(to, 5)
    assert rpc.raw == []


def test_commands_at_once_take_each_a_nonce_of_its_own(
    local_chain: LocalChain, sender: Callable[..., Sender], wallet: Wallet, to: str
) -> None:
    threads = [threading.Thread(target=lambda wei=wei: sender().transfer(to, wei)) for wei in (1, 2, 4, 8, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert balance(local_chain, to) == 23
    assert local_chain.connection.transaction_count(wallet.address) == 5


def another_program_is_faster(
    chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], wallet: Wallet, to: str
) -> None:
    """A transfer of 5 wei never arrives; another home of the wallet sends 100 with the same nonce."""
    rpc.lost = {"eth_sendRawTransaction"}
    with pytest.raises(TransactionPendingError):
        sender(0.2).transfer(to, 5)
    rpc.lost = set()
    Sender(chain.connection, wallet).transfer(to, 100)


def test_a_nonce_that_another_program_took_is_not_ours(
    local_chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], wallet: Wallet, to: str
) -> None:
    another_program_is_faster(local_chain, rpc, sender, wallet, to)
    assert not sender().transfer(to, 5).found
    assert balance(local_chain, to) == 105


def test_a_refused_transaction_is_not_gone_on_with(sender: Callable[..., Sender], to: str) -> None:
    one = sender()
    with pytest.raises(UnfundedWalletError):
        one.transfer(to, 2 * FUNDS)
    assert one.unfinished() == []


def test_a_refused_transaction_that_is_wanted_again_is_paid_once(
    local_chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], wallet: Wallet, to: str
) -> None:
    """Regression: the same bytes were not written down again, so their nonce seemed another's, and it was paid anew."""
    rpc.refused = {"eth_sendRawTransaction": "txpool is full"}
    with pytest.raises(TransactionError, match="txpool is full"):
        sender().transfer(to, 5)
    rpc.refused = {}
    sender().transfer(to, 5)
    assert len(set(rpc.raw)) == 1
    assert (balance(local_chain, to), local_chain.connection.transaction_count(wallet.address)) == (5, 1)


def test_a_receipt_that_comes_after_the_nonce_is_waited_for(
    local_chain: LocalChain,
    rpc: ChosenRpc,
    sender: Callable[..., Sender],
    to: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Regression: five looks in less than a second were taken as proof that something else had the nonce."""
    monkeypatch.setattr(transactions, "_SIGHTING_SECONDS", 12.0)
    rpc.unknown = {"eth_getTransactionReceipt", "eth_getTransactionByHash"}
    timer = threading.Timer(2.0, rpc.unknown.clear)
    timer.start()
    assert not sender().transfer(to, 5).found
    timer.join()
    assert balance(local_chain, to) == 5


def test_a_nonce_that_our_own_transaction_used_is_never_taken_for_anothers(
    local_chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], wallet: Wallet, to: str
) -> None:
    """Regression: one server counted the transaction, another one lagged behind its receipt, and it was paid anew."""
    rpc.unknown = {"eth_getTransactionReceipt", "eth_getTransactionByHash"}
    with pytest.raises(TransactionPendingError):
        sender(3 * transactions._SIGHTING_SECONDS).transfer(to, 5)
    assert (balance(local_chain, to), local_chain.connection.transaction_count(wallet.address)) == (5, 1)
    rpc.unknown = set()
    assert sender().transfer(to, 5).found
    assert balance(local_chain, to) == 5


def test_a_count_that_lags_gives_no_nonce_away_twice(
    local_chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], to: str
) -> None:
    """Regression: the second transaction was the first one, byte by byte, whose receipt was taken for its own."""
    rpc.pending_lags, rpc.batches = True, False
    chain_sender = sender()
    assert chain_sender.transfer(to, 5).hash != chain_sender.transfer(to, 5).hash
    assert balance(local_chain, to) == 10


@pytest.mark.parametrize("answer", [None, "zz", "0xzz", 5, [], {}])
def test_an_answer_without_sense_loses_no_transaction(
    local_chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], to: str, answer: object
) -> None:
    """Regression: the hash is known before it is sent, and nothing was said of it."""
    rpc.nonsense = {"eth_sendRawTransaction": answer}
    assert not sender().transfer(to, 5).found
    assert balance(local_chain, to) == 5


def test_a_count_that_leaps_is_not_signed(rpc: ChosenRpc, sender: Callable[..., Sender], to: str) -> None:
    """Regression: one wrong count, and everything that the wallet sent from then on waited for ever."""
    rpc.counts = {"pending": 255}
    one = sender()
    with pytest.raises(RpcNonsenseError, match="tells of 255 transactions"):
        one.transfer(to, 5)
    assert (rpc.raw, one.unfinished()) == ([], [])
    rpc.counts = {}
    assert not one.transfer(to, 5).found


def test_what_has_to_come_before_is_said(
    local_chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], to: str
) -> None:
    rpc.counts = {"pending": 1}  # of another program, whose transaction was dropped
    with pytest.raises(TransactionPendingError, match=r"was sent"):
        sender(0.3).transfer(to, 5)
    rpc.counts = {}
    told = "it has nonce 1, and no transaction of the wallet with nonce 0 is known"
    with pytest.raises(TransactionPendingError, match=told):
        sender(0.3).transfer(to, 5)
    sender().transfer(to, 7)  # takes its place
    assert sender().transfer(to, 5).found
    assert balance(local_chain, to) == 12


def test_whoever_interrupts_is_told_what_was_sent(
    rpc: ChosenRpc,
    sender: Callable[..., Sender],
    to: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def press(seconds: float) -> None:
        raise KeyboardInterrupt

    rpc.unknown = {"eth_getTransactionReceipt", "eth_getTransactionByHash"}
    monkeypatch.setattr(transactions, "time", SimpleNamespace(sleep=press, monotonic=time.monotonic, time=time.time))
    one = sender()
    with pytest.raises(KeyboardInterrupt):
        one.transfer(to, 5)
    (intent,) = one.unfinished()
    assert f"transaction {intent.hash} (transfer) was sent and may be mined. Repeat the same command" in caplog.text


def test_a_refusal_in_an_older_state_is_asked_about_again(
    local_chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], to: str
) -> None:
    rpc.reverts, rpc.batches = 3, False
    sender().transfer(to, 5)
    assert (balance(local_chain, to), rpc.reverts) == (5, 0)


def test_whose_a_used_nonce_is(local_chain: LocalChain, wallet: Wallet, to: str) -> None:
    connection, mined = local_chain.connection, []
    for blocks in (1, 7, 2, 12):
        mined.append(Sender(connection, wallet).transfer(to, 1))
        for _ in range(blocks):
            connection.request("evm_mine")
    for nonce, one in enumerate(mined):
        others = frozenset(other.hash for other in mined if other is not one)
        assert user_of(connection, wallet.address, nonce, frozenset({one.hash})) == NonceUse(True, one.block)
        assert user_of(connection, wallet.address, nonce, others) == NonceUse(False)
    assert user_of(connection, wallet.address, len(mined), frozenset()) == UNKNOWN
    deep = mined[-1].block + 12
    assert connection.block_number() == deep
    assert user_of(connection, wallet.address, 3, frozenset(), confirmations=13) == NonceUse(False)
    assert user_of(connection, wallet.address, 3, frozenset(), confirmations=14) == UNKNOWN


@pytest.mark.parametrize("refusal", [RpcRefusedError, RpcKeyRefusedError])
@pytest.mark.parametrize("kept", [1, 2, 50, 128])
def test_state_that_is_kept_no_more_says_nothing(kept: int, refusal: type[ChainError]) -> None:
    head = 1000

    def count(address: str, block: int) -> int:
        if block <= head - kept:
            raise refusal("missing trie node", advice="")
        return 1

    connection: Any = SimpleNamespace(block_number=lambda: head, transaction_count=count)
    assert user_of(connection, "0x" + "11" * 20, 0, frozenset()) == UNKNOWN


@pytest.mark.parametrize(
    ("seconds", "known", "again"), [(60.0, False, False), (4000.0, False, True), (4000.0, True, False)]
)
def test_a_nonce_whose_user_nobody_knows_is_anothers_after_an_hour(
    local_chain: LocalChain,
    rpc: ChosenRpc,
    sender: Callable[..., Sender],
    wallet: Wallet,
    to: str,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    known: bool,
    again: bool,
) -> None:
    """Servers forget old states and old receipts; who waits for them would wait for ever."""
    another_program_is_faster(local_chain, rpc, sender, wallet, to)
    monkeypatch.setattr(transactions, "user_of", lambda *_, **__: UNKNOWN)
    monkeypatch.setattr(Sender, "_is_seen", lambda self, attempt: known)
    clock = SimpleNamespace(sleep=time.sleep, monotonic=time.monotonic, time=lambda: time.time() + seconds)
    monkeypatch.setattr(transactions, "time", clock)
    one = sender(3 * transactions._SIGHTING_SECONDS)
    (intent,) = one.unfinished()
    if again:
        assert one.resume(intent) is None
    else:
        with pytest.raises(TransactionPendingError, match="nonce 0 is used, and no receipt shows by what"):
            one.resume(intent)


@pytest.mark.parametrize("said", ["request timed out", "Internal error", "upstream connect error"])
def test_a_gateway_that_fails_refuses_nothing(
    local_chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], to: str, said: str
) -> None:
    """Regression: what it had passed on counted as refused, and whoever repeated it paid twice."""
    rpc.failing_answers = {"eth_sendRawTransaction": said}
    rpc.unknown = {"eth_getTransactionByHash"}
    sender().transfer(to, 5)
    assert balance(local_chain, to) == 5


def test_a_server_that_knows_no_first_block_for_once_is_of_the_same_chain(
    local_chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], to: str
) -> None:
    """Regression: the journal was looked up under another chain's name, and it was paid anew."""
    rpc.lost_answers = {"eth_sendRawTransaction", "eth_getTransactionReceipt", "eth_getTransactionByHash"}
    with pytest.raises(TransactionPendingError):
        sender(0.2).transfer(to, 5)
    rpc.lost_answers = set()
    one = sender()
    one._chain, one._chain_id = "31337:", 31337
    assert one.transfer(to, 5).found
    assert balance(local_chain, to) == 5


def test_no_server_makes_gas_dearer_than_its_payer_allows(
    local_chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], to: str
) -> None:
    """Regression: a server's word for a tip was signed, up to all that the wallet holds."""
    with pytest.raises(TransactionError, match="no transaction may cost more than 20000000000000 wei"):
        sender(priority_fee=10**12, max_fee=2 * 10**13).transfer(to, 5)
    assert rpc.raw == []
    assert sender().unfinished() == []


def test_nothing_is_signed_for_another_chain_than_the_one_that_was_checked(
    local_chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], to: str
) -> None:
    one = sender()
    rpc.chain_id = "0x1"
    with pytest.raises(WrongChainError, match="served chain 31337 before, and serves 1 now"):
        one.transfer(to, 5)
    assert rpc.raw == []


def test_an_intent_without_a_signature_was_never_sent(
    local_chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], to: str
) -> None:
    """A command that was killed before it signed."""
    one = sender()
    one.journal.add(one._chain_name(), one.wallet.address, "transfer", Wish("transfer", to, 5, "0x").key, "")
    assert not sender().transfer(to, 5).found
    assert (balance(local_chain, to), sender().unfinished()) == (5, [])


def test_an_attempt_that_succeeded_counts_whatever_became_of_a_later_one(
    rpc: ChosenRpc, sender: Callable[..., Sender], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = tuple(Attempt(name, nonce, b"", {}) for nonce, name in enumerate(("good", "bad")))
    receipts = {name: TransactionReceipt(name, 1, name == "good", 21_000, None, None, ()) for name in ("good", "bad")}
    monkeypatch.setattr(Sender, "_receipt_of", lambda self, attempt: receipts[attempt.hash])
    intent = Intent(1, "transfer", "", "", "sent", 0, 0.0, attempts)
    assert sender()._receipt(intent) == receipts["good"]
    assert sender()._receipt(replace(intent, attempts=attempts[1:])) == receipts["bad"]


def test_chains_without_the_methods_of_fees(
    local_chain: LocalChain, rpc: ChosenRpc, sender: Callable[..., Sender], to: str
) -> None:
    rpc.missing = {"eth_maxPriorityFeePerGas", "eth_feeHistory"}
    first = sender().transfer(to, 1)
    rpc.legacy = True
    second = sender().transfer(to, 2)
    sent = [local_chain.connection.request("eth_getTransactionByHash", mined.hash) for mined in (first, second)]
    assert [int(transaction["type"], 16) for transaction in sent] == [2, 0]
    assert balance(local_chain, to) == 3


def test_a_replacement_pays_what_costs_now_and_an_eighth_more() -> None:
    assert fees.raised({"gasPrice": 80, "to": "x"}, {"gasPrice": 50}) == {"gasPrice": 91, "to": "x"}
    dear = {"maxFeePerGas": 500, "maxPriorityFeePerGas": 1}
    assert fees.raised({"maxFeePerGas": 80, "maxPriorityFeePerGas": 8}, dear) == {
        "maxFeePerGas": 500,
        "maxPriorityFeePerGas": 10,
    }


def test_a_block_that_was_replaced_is_waited_for_again(
    local_chain: LocalChain, sender: Callable[..., Sender], to: str
) -> None:
    """With two confirmations, a receipt that vanishes says nothing."""
    ask = local_chain.connection.request
    state = ask("evm_snapshot")
    patient = sender(0.5, confirmations=2)
    with pytest.raises(TransactionPendingError):
        patient.transfer(to, 5)
    assert balance(local_chain, to) == 5
    ask("evm_revert", state)
    assert balance(local_chain, to) == 0
    done = threading.Thread(target=lambda: sender(confirmations=2).transfer(to, 5))
    done.start()
    while done.is_alive():
        ask("evm_mine")
        done.join(0.1)
    assert balance(local_chain, to) == 5


def call_of_nothing(chain: LocalChain, to: str) -> Any:
    """A call of an address without code, which any arguments do for."""
    return chain.connection.web3.eth.contract(address=to, abi=abi("CreditDeposits")).functions.claim(to, 1)


def test_what_is_handed_in_is_waited_for_by_nobody_and_looked_after_until_it_counts(
    local_chain: LocalChain, sender: Callable[..., Sender], to: str
) -> None:
    ask, call = local_chain.connection.request, call_of_nothing(local_chain, to)
    first = sender(confirmations=2)
    ask("evm_setAutomine", False)
    try:
        assert [first.hand_in(call, wish) for wish in ("a", "b", "a")] == [True, True, False]
        (one, two) = sender(confirmations=2).handed_in("claim")
        assert [intent.attempts[-1].nonce for intent in (one, two)] == [0, 1]
        ask("anvil_dropTransaction", one.hash)
        later = sender(confirmations=2)  # another process goes on with it
        assert [later.look_after(intent) for intent in (one, two)] == [True, True]
        ask("evm_mine")
    finally:
        ask("evm_setAutomine", True)
    assert local_chain.connection.receipt(one.hash) is not None, "it was sent again, byte by byte"
    assert [later.look_after(intent) for intent in (one, two)] == [True, True]  # in a block that does not count yet
    ask("evm_mine")
    assert [later.look_after(intent) for intent in (one, two)] == [False, False]
    assert (later.handed_in(), later.unfinished()) == ([], [])
    assert first.hand_in(call, "a")


def test_what_was_handed_in_and_is_not_wanted_any_more_is_displaced(
    local_chain: LocalChain, sender: Callable[..., Sender], wallet: Wallet, to: str
) -> None:
    ask, call = local_chain.connection.request, call_of_nothing(local_chain, to)
    one = sender()
    ask("evm_setAutomine", False)
    try:
        assert one.hand_in(call, "a")
        (intent,) = one.handed_in()
        assert one.look_after(intent, wanted=False)
        assert one.look_after(intent, wanted=False)
        ask("evm_mine")
    finally:
        ask("evm_setAutomine", True)
    (intent,) = one.handed_in()
    assert len(intent.attempts) == 2, "displaced once"
    done = local_chain.connection.transaction(intent.hash)
    assert done is not None
    assert str(done["to"]).lower() == wallet.address.lower()
    assert not one.look_after(intent, wanted=False)
    assert local_chain.connection.receipt(intent.attempts[0].hash) is None


def test_what_was_handed_in_and_lost_its_nonce_is_over(
    local_chain: LocalChain, sender: Callable[..., Sender], wallet: Wallet, to: str
) -> None:
    ask, call = local_chain.connection.request, call_of_nothing(local_chain, to)
    one = sender()
    ask("evm_setAutomine", False)
    try:
        assert one.hand_in(call, "lost")
        ask("anvil_dropTransaction", one.handed_in()[0].hash)
    finally:
        ask("evm_setAutomine", True)
    Sender(local_chain.connection, wallet).transfer(to, 1)  # another home's
    (intent,) = one.handed_in()
    assert not one.look_after(intent)
    assert one.handed_in() == []


def test_ranges_of_logs_are_halved_where_a_server_finds_them_too_long() -> None:
    asked: list[tuple[int, int]] = []

    def query(start: int, stop: int) -> list[ChainEvent]:
        asked.append((start, stop))
        if stop - start >= 100:
            raise TransactionError("query returned more than 10000 results", advice="Less.")
        return [ChainEvent("E", {}, block, "0x", 0) for block in range(start, stop + 1)]

    found = [event.block for _, events in in_ranges(query, 3, 1_000) for event in events]
    assert found == list(range(3, 1_001))


def test_a_block_counts_from_when_it_was_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: a transaction that was mined late gave the next command no block to look from."""
    now = [1000.0]
    monkeypatch.setattr(journal, "time", SimpleNamespace(time=lambda: now[0]))
    book = TransactionJournal(tmp_path / "transactions.sqlite")
    number = book.add("1:0x00", "0xaa", "close", "key", "")
    now[0] += 10 * journal.TRUSTED_SECONDS
    book.set_state(number, TOLD, 500)
    assert book.latest_block("1:0x00", "0xaa") == 500
    now[0] += 2 * journal.TRUSTED_SECONDS
    assert book.latest_block("1:0x00", "0xaa") == 0


def test_the_journal_tells_states_apart(tmp_path: Path) -> None:
    journal = TransactionJournal(tmp_path / "t.sqlite")
    first, second = (journal.add("1:0x", "0xw", "open", key, "note") for key in "ab")
    journal.set_state(first, TOLD, 7)
    assert [intent.number for intent in journal.unfinished("1:0x", "0xw")] == [second]
    assert journal.unfinished("1:0xother", "0xw") == journal.unfinished("1:0x", "0xv") == []
    with journal.held(second):
        assert TransactionJournal(tmp_path / "t.sqlite").is_held(second)
    assert not journal.is_held(second)
    journal.set_state(second, FAILED)
    assert journal.last_told("1:0x", "0xw", "open") == first


def test_a_pool_finds_the_session_whose_opening_was_lost(
    local_chain: LocalChain, rpc: ChosenRpc, wallet: Wallet, world: World, tmp_path: Path
) -> None:
    """Regression: it opened a second one beside the one that it had paid for without hearing so."""
    rpc.lost_answers = {"eth_sendRawTransaction", "eth_getTransactionReceipt", "eth_getTransactionByHash"}
    with closing(client_over(world, wallet, tmp_path, 0.2)) as client:
        with pytest.raises(TransactionPendingError):
            client.open_session(world.version, FILES, tokens=100)
        rpc.lost_answers = set()
        (found,) = client.lost_sessions(world.version, FILES)
        assert [record.id for record in client.store.sessions()] == [found[0].id]
        assert list(client.lost_sessions(world.version, FILES)) == []
    opened = [event for event in world.user.market.events("SessionOpened") if event.arguments["user"] == wallet.address]
    assert len(opened) == 1


@pytest.mark.parametrize("share", [0, 500])
def test_opening_again_after_a_lost_answer_gives_the_session_that_was_paid_for(
    local_chain: LocalChain, rpc: ChosenRpc, wallet: Wallet, world: World, tmp_path: Path, share: int
) -> None:
    world.owner.models.set_share(world.version, share)
    rpc.lost = {"eth_sendRawTransaction"}
    with closing(client_over(world, wallet, tmp_path, 0.2)) as client, pytest.raises(TransactionPendingError):
        client.open_session(world.version, FILES, tokens=100)
    rpc.lost = set()
    with closing(client_over(world, wallet, tmp_path, WAIT)) as client:
        session, mined = client.open_session(world.version, FILES, tokens=100)
        assert (mined.found, session.record.state) == (True, "open")
        assert world.user.market.share_of(session.id).basis_points == client.store.share(session.id) == share
        other, mined = client.open_session(world.version, FILES, tokens=100)
        assert (mined.found, other.id != session.id) == (False, True)


@pytest.mark.parametrize(("more", "told"), [(-120, False), (600, True)])
def test_a_session_that_is_shorter_than_wanted_is_told(
    rpc: ChosenRpc,
    world: World,
    wallet: Wallet,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    more: int,
    told: bool,
) -> None:
    """Regression: whoever wanted more than the market's longest session learned it when it was over."""
    longest = world.user.market.longest_session()
    with closing(client_over(world, wallet, tmp_path, WAIT)) as client:
        client.open_session(world.version, FILES, tokens=100, seconds=longest + more)
    assert ("the market's sessions are no longer" in caplog.text) is told


def client_over(world: World, wallet: Wallet, folder: Path, timeout: float) -> Client:
    """A new process's client of one home, over the chosen faults."""
    home, nodes = ClientHome(folder / "home"), discover_nodes(world.user, world.version)
    sending = Sending(home.prepare().transactions, timeout)
    contracts = Contracts.connect(LOSSY_URL, world.user.deployment, wallet, sending)
    source = SimpleNamespace(candidates=lambda version, operators=(): nodes, now=contracts.market.now)
    return Client(contracts, home, None, source)  # type: ignore[arg-type]  # nobody dials


def test_a_damaged_row_of_the_journal_is_said(tmp_path: Path) -> None:
    journal = TransactionJournal(tmp_path / "t.sqlite")
    number = journal.add("1:0x", "0xw", "open", "a", "")
    journal.add_attempt(number, Attempt("0xh", 0, b"", {}))
    with closing(sqlite3.connect(tmp_path / "t.sqlite", isolation_level=None)) as database:
        database.execute("UPDATE attempts SET fields = '{'")
    with pytest.raises(JournalError, match=r"t\.sqlite cannot be used"):
        journal.unfinished("1:0x", "0xw")


def test_a_tip_below_nothing_is_none(rpc: ChosenRpc) -> None:
    assert fees._tip_in("eth_gasPrice", "0x5", 7) == 0
    with pytest.raises(TransactionError, match="makes no sense"):
        fees._tip_in("eth_maxPriorityFeePerGas", "-0x5", 7)
