"""Deposits on Anvil and the books that follow them: every event once, whatever blocks do; differences are alarms.

What was spent is claimed before its caller can take it back, whoever else asks for what; and nothing else is claimed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from web3.types import RPCEndpoint

from nexus_chain.chain.credit_deposits import CreditDeposits, create_credit_deposits
from nexus_chain.chain.deployer import ArtefactCreator
from nexus_chain.chain.errors import ContractRevertedError, RpcLaggingError, TransactionPendingError
from nexus_chain.chain.local import LocalChain, anvil
from nexus_chain.chain.transactions import Sender
from nexus_chain.chain.wallet import Wallet
from nexus_chain.errors import SettingsError
from node.gateway.accounts import Bill
from node.gateway.ledger.books import OPERATOR, audit_books, booked_balance, deposits, post, refunds, user
from node.gateway.ledger.database import Database
from node.gateway.ledger.deposits import DepositBooks, Reconciled, require_no_other_deposits
from node.gateway.ledger.reservations import WantedCredit, reserve, settle

NOTICE = 3_600


@pytest.fixture(scope="module")
def chain() -> Iterator[LocalChain]:
    with anvil() as running:
        yield running


def address_of(contract: CreditDeposits) -> str:
    assert contract.sender is not None
    return str(contract.sender.wallet.address)


@dataclass
class Bank:
    """A deposit contract, its books (one confirmation more than the latest block), its operator and a caller."""

    chain: LocalChain
    database: Database
    operator: CreditDeposits
    caller: CreditDeposits
    first: int
    books: DepositBooks

    @property
    def account(self) -> str:
        return address_of(self.caller)

    def request(self, method: str, *words: object) -> object:
        return self.chain.connection.web3.manager.request_blocking(RPCEndpoint(method), list(words))

    def follow(self) -> Reconciled:
        """Let what was sent be confirmed, and follow."""
        self.request("evm_mine")
        return self.books.follow()

    def balances(self, *names: str) -> list[int]:
        wanted = names or (user(self.account), refunds(self.account), deposits(self.operator.address), OPERATOR)
        return [self.database.read(partial(booked_balance, account=name)) for name in wanted]

    def reserve(self, wei: int, answer: str = "a", account: str = "") -> None:
        wanted = WantedCredit(account or self.account, answer, wei)
        self.database.write(partial(reserve, wanted=wanted, now=0.0, deadline=900.0))

    def settle(self, wei: int, answer: str = "a") -> None:
        self.database.write(partial(settle, answer=answer, bill=Bill(wei, 0)))

    def spend(self, wei: int, answer: str = "a", account: str = "") -> None:
        self.reserve(wei, answer, account)
        self.settle(wei, answer)

    def another_caller(self) -> CreditDeposits:
        wallet = Wallet.ephemeral()
        self.chain.set_balance(wallet.address, 10**19)
        return CreditDeposits(self.chain.connection, self.operator.address, Sender(self.chain.connection, wallet))

    def depositor(self, wei: int, spent: int = 0) -> str:
        """Another caller's account, who spent so much of a deposit, and asks for a refund."""
        caller = self.another_caller()
        account = address_of(caller)
        caller.deposit(account, wei)
        self.follow()
        if spent:
            self.spend(spent, account, account)
        caller.request_refund()
        return account


@pytest.fixture
def bank(chain: LocalChain, database: Database) -> Bank:
    wallets = [Wallet.ephemeral() for _ in range(2)]
    for wallet in wallets:
        chain.set_balance(wallet.address, 10**19)
    address, block = create_credit_deposits(ArtefactCreator(chain.connection, wallets[0]), wallets[0].address, NOTICE)
    operator, caller = (
        CreditDeposits(chain.connection, address, Sender(chain.connection, wallet)) for wallet in wallets
    )
    return Bank(chain, database, operator, caller, block, DepositBooks(database, operator, block, 2))


def test_a_deposit_is_booked_once_and_not_before_it_is_confirmed(bank: Bank) -> None:
    bank.caller.deposit(bank.account, 10**18)
    before = bank.books.follow()
    assert (before.difference_wei, before.alarms, bank.balances()) == (0, (), [0, 0, 0, 0])
    after = bank.follow()
    assert (after.difference_wei, after.alarms) == (0, ())
    assert after.block == bank.chain.connection.web3.eth.block_number - 1
    assert bank.balances() == [10**18, 0, -(10**18), 0]
    assert bank.follow().alarms == ()
    DepositBooks(bank.database, bank.operator, bank.first, 2).follow()
    assert bank.balances() == [10**18, 0, -(10**18), 0]
    assert bank.database.read(audit_books) == []


def test_a_slower_gateway_does_not_take_the_books_back(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: what one gateway had booked meanwhile seemed to be credit from elsewhere, and what was spent of
    the deposit before was not claimed: a refund would have given it back."""
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.spend(1_000)
    bank.request("evm_mine")
    slow = DepositBooks(bank.database, bank.operator, bank.first, 2)
    real, others = bank.operator.accounts_of, []

    def accounts_of(*asked: Any) -> Any:
        if not others:
            others.append(True)  # a whole look of the other gateway
            bank.caller.deposit(bank.account, 1_000)
            bank.follow()
        return real(*asked)

    monkeypatch.setattr(bank.operator, "accounts_of", accounts_of)
    seen = slow.follow()
    assert (seen.difference_wei, seen.alarms) == (0, ())
    assert others == [True]
    assert bank.balances(user(bank.account)) == [1_000]
    assert bank.books.claim(1) == 1_000


def test_a_gateway_whose_server_is_behind_takes_no_block_for_replaced(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: where another gateway's server was a block ahead, it read all again, and took the books back."""
    bank.caller.deposit(bank.account, 1_000)
    known = bank.follow().block
    web3 = bank.operator.web3
    behind = SimpleNamespace(eth=SimpleNamespace(block_number=known - 1, get_block=web3.eth.get_block))
    with monkeypatch.context() as patched:
        patched.setattr(CreditDeposits, "web3", behind)
        with pytest.raises(RpcLaggingError, match=f"up to block {known}, and its server knows less"):
            bank.books.follow()
    assert bank.follow().alarms == ()
    assert bank.balances(user(bank.account)) == [1_000]


def test_deposits_of_one_block_and_of_others_are_told_apart(bank: Bank) -> None:
    bank.request("evm_setAutomine", False)
    call = bank.operator._function("deposit", bank.account)
    for index in (0, 1, 0):
        call.transact({"from": bank.chain.connection.web3.eth.accounts[index], "value": 5})
    bank.request("evm_setAutomine", True)
    bank.request("evm_mine")
    bank.caller.deposit(bank.account, 5)
    assert bank.follow().difference_wei == 0
    assert bank.balances(user(bank.account)) == [20]


def test_what_was_spent_is_claimed_and_stays_booked(bank: Bank) -> None:
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.spend(300)
    assert bank.books.claim(least=301) == 0
    assert bank.books.claim(least=1) == 300
    assert bank.books.claim(least=1) == 0
    assert bank.follow() == replace(bank.books.follow(), alarms=())
    assert bank.balances() == [700, 0, -700, -300]
    assert bank.operator.account_of(bank.account).claimed == 300
    assert bank.database.read(audit_books) == []


def test_credit_from_elsewhere_is_spent_first(bank: Bank) -> None:
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    gift = {OPERATOR: -500, user(bank.account): 500}
    bank.database.write(partial(post, key="gift", kind="test", moves=gift))
    bank.spend(600)
    assert bank.books.claim(least=1) == 100


def test_a_refund_is_frozen_answered_and_booked(bank: Bank) -> None:
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.spend(300)
    bank.caller.request_refund()
    assert bank.follow().difference_wei == 0
    assert bank.balances() == [0, 700, -1_000, 0]
    assert bank.books.answer_refunds() == 1
    assert bank.books.answer_refunds() == 0
    assert bank.follow().alarms == ()
    assert bank.balances() == [0, 0, 0, -300]
    assert bank.caller.balance_of(bank.account) == 700
    bank.caller.withdraw()
    assert bank.follow().alarms == ()


def test_a_refund_waits_for_answers_under_way(bank: Bank) -> None:
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.reserve(300)
    bank.caller.request_refund()
    bank.follow()
    assert bank.books.answer_refunds() == 0
    bank.settle(100)
    assert bank.balances(user(bank.account), refunds(bank.account)) == [200, 700]
    assert bank.books.answer_refunds() == 1
    assert bank.balances(user(bank.account), refunds(bank.account)) == [0, 900]  # not to be spent as well
    bank.follow()
    assert bank.caller.balance_of(bank.account) == 900
    assert bank.balances() == [0, 0, 0, -100]


def test_an_account_that_spent_all_of_its_deposit_gets_none_of_it_back(bank: Bank) -> None:
    """Too little to be claimed every hour, and nothing left to freeze: it would be its own after the notice."""
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.spend(1_000)
    bank.caller.request_refund()
    bank.follow()
    assert bank.books.claim(least=10**15) == 0
    assert bank.books.answer_refunds() == 1
    assert bank.follow().alarms == ()
    assert bank.balances() == [0, 0, 0, -1_000]
    assert bank.operator.balance_of(bank.operator.operator()) == 1_000
    assert bank.caller.balance_of(bank.account) == 0


def test_a_gateway_that_starts_again_knows_who_asked_for_a_refund(bank: Bank) -> None:
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.spend(1_000)
    bank.caller.request_refund()
    bank.follow()
    later = DepositBooks(bank.database, bank.operator, bank.first, 2)
    assert (later.claim(least=10**15), later.answer_refunds()) == (0, 1)


def test_answers_under_way_when_a_notice_ends_are_paid_from_the_deposit(bank: Bank) -> None:
    """Regression: what was kept for them was given back, and their bills were the operator's loss."""
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.spend(600)
    bank.reserve(100, "endless")
    bank.caller.request_refund()
    bank.follow()
    assert bank.books.answer_refunds() == 0
    bank.chain.advance(NOTICE - 300)
    assert bank.books.answer_refunds() == 1
    assert bank.follow().alarms == ()
    assert bank.operator.balance_of(bank.operator.operator()) == 700
    assert bank.caller.balance_of(bank.account) == 300
    bank.settle(90, "endless")
    assert bank.balances() == [10, 0, 0, -700]  # what the answer did not cost is credit, as before
    bank.spend(10, "later")
    assert bank.database.read(audit_books) == []


def test_credit_that_an_answer_left_comes_back_with_a_later_deposit(bank: Bank) -> None:
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.reserve(1_000)
    bank.caller.request_refund()
    bank.follow()
    bank.chain.advance(NOTICE - 300)
    assert bank.books.answer_refunds() == 1
    bank.settle(400)
    bank.follow()
    assert (bank.balances(user(bank.account)), bank.caller.balance_of(bank.account)) == ([600], 0)
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.spend(500, "b")
    bank.caller.request_refund()
    bank.follow()
    assert bank.books.answer_refunds() == 1
    bank.follow()
    assert (bank.balances(user(bank.account)), bank.caller.balance_of(bank.account)) == ([100], 1_000)
    assert bank.database.read(audit_books) == []


def test_requests_of_many_do_not_outlast_the_notice_of_one_that_spent(bank: Bank) -> None:
    """Regression: each answer waited for the confirmations of the one before it, in the order of addresses."""
    accounts = [bank.depositor(1) for _ in range(5)]
    spender = bank.depositor(10**18, spent=10**18)
    bank.follow()
    assert bank.operator.sender is not None
    bank.operator.sender.timeout, bank.operator.sender.confirmations = 0.2, 12
    bank.request("evm_setAutomine", False)
    try:
        assert bank.books.answer_refunds() == 6
        assert bank.books.answer_refunds() == 0  # all are under way
    finally:
        bank.request("evm_setAutomine", True)
    bank.request("evm_mine")
    found = bank.operator.accounts_of([spender, *accounts])
    assert [(one.claimed, one.refunded) for one in found] == [(10**18, 0), *5 * [(0, 1)]]


def test_who_has_most_to_gain_is_answered_first_and_who_has_nothing_last(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.gateway.ledger.deposits.MOST_UNDER_WAY", 1)
    wei = 10**16
    dust, some, most = bank.depositor(1), bank.depositor(2 * wei, wei), bank.depositor(2 * wei, 2 * wei)
    bank.follow()
    answered: list[str] = []
    honest = CreditDeposits.answer_refund

    def noted(contract: CreditDeposits, account: str, total: int, refund_from: int) -> bool:
        answered.append(account)
        return honest(contract, account, total, refund_from)

    monkeypatch.setattr(CreditDeposits, "answer_refund", noted)
    assert (bank.books.answer_refunds(), answered) == (2, [most, some])
    bank.follow()
    assert (bank.books.answer_refunds(), answered) == (1, [most, some, dust])


def test_an_error_of_one_answer_keeps_no_other_from_its_own(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: whatever was no revert ended the round."""
    unlucky, lucky = bank.depositor(1_000, spent=900), bank.depositor(1_000, spent=300)
    bank.follow()
    honest = CreditDeposits.answer_refund

    def failing(contract: CreditDeposits, account: str, *words: int) -> bool:
        if account == unlucky:
            raise TransactionPendingError("0x", "answerRefund", 120)
        return honest(contract, account, *words)

    monkeypatch.setattr(CreditDeposits, "answer_refund", failing)
    assert bank.books.answer_refunds() == 1
    assert bank.operator.account_of(lucky).claimed == 300
    monkeypatch.undo()
    assert bank.books.answer_refunds() == 1
    assert bank.operator.account_of(unlucky).claimed == 900


def test_an_answer_whose_block_vanishes_is_sent_again(bank: Bank) -> None:
    """Regression: who had nothing left to freeze was forgotten as soon as the answer was sent."""
    account = bank.depositor(1_000, spent=1_000)
    bank.follow()
    assert bank.operator.sender is not None
    bank.operator.sender.confirmations = 2
    snapshot = bank.request("evm_snapshot")
    assert bank.books.answer_refunds() == 1
    bank.books.answer_refunds()  # it sees that it was answered, in a block that does not count yet
    bank.request("evm_revert", snapshot)
    assert bank.operator.account_of(account).claimed == 0
    bank.books.answer_refunds()
    assert bank.operator.account_of(account).claimed == 1_000
    assert bank.follow().alarms == ()


def test_an_answer_that_was_left_behind_is_no_answer_to_a_later_request(bank: Bank) -> None:
    """It would give back what was spent since the request that it was made for."""
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.caller.request_refund()
    bank.follow()
    bank.request("evm_setAutomine", False)
    assert bank.books.answer_refunds() == 1
    (left_behind,) = bank.operator.under_way()
    bank.request("anvil_dropTransaction", left_behind.hash)
    bank.request("evm_setAutomine", True)
    bank.caller.cancel_refund()
    bank.follow()
    bank.books.answer_refunds()
    bank.spend(900)
    bank.caller.request_refund()
    bank.follow()
    with pytest.raises(Exception, match="nonce too low"):
        bank.request("eth_sendRawTransaction", "0x" + left_behind.attempts[-1].raw.hex())
    assert bank.books.answer_refunds() == 1
    bank.follow()
    assert bank.caller.balance_of(bank.account) == 100
    assert bank.balances() == [0, 0, 0, -900]


def test_an_answer_that_its_caller_was_faster_than_came_to_nothing(
    bank: Bank, caplog: pytest.LogCaptureFixture
) -> None:
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.spend(300)
    bank.caller.request_refund()
    bank.follow()
    bank.request("evm_setAutomine", False)
    assert bank.books.answer_refunds() == 1
    (slow,) = bank.operator.under_way()
    bank.request("anvil_dropTransaction", slow.hash)
    bank.request("evm_setAutomine", True)
    bank.caller.cancel_refund()
    bank.request("eth_sendRawTransaction", "0x" + slow.attempts[-1].raw.hex())
    assert bank.follow().alarms == ()
    assert bank.books.answer_refunds() == 0
    assert "came to nothing" in caplog.text
    assert (bank.operator.under_way(), bank.balances()) == ([], [700, 0, -1_000, 0])
    bank.caller.request_refund()
    bank.follow()
    assert bank.books.answer_refunds() == 1
    bank.follow()
    assert bank.balances() == [0, 0, 0, -300]


def test_what_is_deposited_while_a_request_stands_is_not_spent(bank: Bank) -> None:
    """A notice may be over, where the gateway was away: then its caller takes out all that is there at any time."""
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.caller.request_refund()
    bank.chain.advance(NOTICE + 1)
    bank.follow()
    bank.caller.deposit(bank.account, 500)
    bank.follow()
    assert bank.balances() == [0, 1_500, -1_500, 0]
    bank.caller.cancel_refund()
    bank.follow()
    assert bank.balances() == [1_500, 0, -1_500, 0]


def test_a_deposit_that_is_not_confirmed_is_not_claimed(bank: Bank) -> None:
    """Regression: the contract had it, and the books did not: it looked spent."""
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.spend(300)
    bank.caller.deposit(bank.account, 5_000)
    bank.books.follow()
    assert bank.books.claim(least=1) == 300
    bank.follow()
    assert bank.balances() == [5_700, 0, -5_700, -300]


def test_a_deposit_that_is_not_confirmed_comes_back_with_a_refund(bank: Bank) -> None:
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.spend(300)
    bank.caller.request_refund()
    bank.follow()
    bank.caller.deposit(bank.account, 5_000)
    bank.books.follow()
    assert bank.books.answer_refunds() == 1
    assert bank.follow().alarms == ()
    assert bank.caller.balance_of(bank.account) == 5_700
    assert bank.balances() == [0, 0, 0, -300]


@pytest.mark.parametrize("looks", [1, 2, 3, 4])
def test_an_answer_that_ends_between_two_looks_at_the_books_is_not_claimed_whole(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    """Regression: its rest was looked for before it came free, and what was kept for it afterwards."""
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.reserve(1_000)
    honest, done = bank.database.read, 0

    def read(work: Any) -> Any:
        nonlocal done
        found, done = honest(work), done + 1
        if done == looks:
            bank.settle(10)
        return found

    monkeypatch.setattr(bank.database, "read", read)
    assert bank.books.claim(least=1) in (0, 10)


def test_claims_are_few_at_a_time_the_largest_first(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.gateway.ledger.deposits.CLAIMS_UNDER_WAY", 1)
    other = bank.another_caller()
    for caller, wei in ((bank.caller, 10), (other, 30)):
        caller.deposit(address_of(caller), 100)
        bank.follow()
        bank.spend(wei, str(wei), address_of(caller))
    assert (bank.books.claim(least=1), bank.books.has_more_to_claim) == (30, True)
    assert bank.books.claim(least=1) == 0  # the first one's end is not known yet
    bank.books.answer_refunds()
    assert (bank.books.claim(least=1), bank.books.has_more_to_claim) == (10, False)


def test_books_that_hold_another_contract_s_deposits_are_not_used(bank: Bank) -> None:
    """Regression: credit of a contract that nobody followed any more could be spent, and taken back there."""
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    old = bank.operator.address
    require_no_other_deposits(bank.database, old)
    for other in ("0x" + "11" * 20, ""):
        with pytest.raises(SettingsError, match=f"hold deposits of the contract {old}") as caught:
            require_no_other_deposits(bank.database, other)
        assert f"--deposits {old}" in str(caught.value.advice)
    bank.spend(300)
    bank.caller.request_refund()
    bank.follow()
    bank.books.answer_refunds()
    bank.follow()
    require_no_other_deposits(bank.database, "0x" + "11" * 20)


def test_a_refund_that_is_taken_back_can_be_spent_again(bank: Bank) -> None:
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.caller.request_refund()
    bank.follow()
    bank.caller.cancel_refund()
    assert bank.follow().alarms == ()
    assert bank.balances() == [1_000, 0, -1_000, 0]


def test_what_was_not_claimed_in_time_is_the_operator_s_loss(bank: Bank) -> None:
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.spend(300)
    bank.caller.request_refund()
    bank.follow()
    bank.chain.advance(NOTICE + 1)
    assert (bank.books.answer_refunds(), bank.books.claim(least=1)) == (0, 0)
    with pytest.raises(ContractRevertedError, match="NoticeOver"):
        bank.operator.claim(bank.account, 300)
    bank.caller.refund()
    assert bank.follow().alarms == ()
    assert bank.balances() == [0, 0, 0, -300]
    assert bank.caller.balance_of(bank.account) == 1_000
    assert bank.database.read(audit_books) == []


def test_a_block_that_vanishes_before_it_counts_leaves_no_trace(bank: Bank) -> None:
    snapshot = bank.request("evm_snapshot")
    bank.caller.deposit(bank.account, 1_000)
    bank.books.follow()
    bank.request("evm_revert", snapshot)
    call = bank.operator._function("deposit", bank.account)
    call.transact({"from": bank.chain.connection.web3.eth.accounts[0], "value": 77})
    found = bank.follow()
    assert (found.difference_wei, found.alarms) == (0, ())
    assert bank.balances(user(bank.account)) == [77]


def test_a_block_that_vanishes_after_it_was_booked_is_an_alarm(bank: Bank, caplog: pytest.LogCaptureFixture) -> None:
    bank.caller.deposit(bank.account, 10)
    bank.follow()
    snapshot = bank.request("evm_snapshot")
    call = bank.operator._function("deposit", bank.account)
    call.transact({"from": bank.chain.connection.web3.eth.accounts[0], "value": 77})
    bank.follow()
    assert bank.balances(user(bank.account)) == [87]
    bank.request("evm_revert", snapshot)
    bank.request("evm_increaseTime", 100)
    call.transact({"from": bank.chain.connection.web3.eth.accounts[1], "value": 5})
    with caplog.at_level(logging.ERROR):
        found = bank.follow()
    assert found.difference_wei == 15 - 92
    assert len(found.alarms) == 2
    assert found.alarms[0].endswith("was replaced after its deposits had been booked: all of them are read again")
    assert found.alarms[1] == "the deposit contract holds 15 wei, and 92 wei by the books"
    assert all(alarm in caplog.text for alarm in found.alarms)
    again = bank.follow()
    assert (again.difference_wei, len(again.alarms)) == (-77, 1)  # as long as nobody has put it right


def test_a_difference_is_an_alarm_every_time(bank: Bank) -> None:
    bank.caller.deposit(bank.account, 10)
    bank.follow()
    wrong = {deposits(bank.operator.address): -5, user(bank.account): 5}
    bank.database.write(partial(post, key="wrong", kind="test", moves=wrong))
    for _ in range(2):
        found = bank.follow()
        assert (found.difference_wei, found.alarms) == (
            -5,
            ("the deposit contract holds 10 wei, and 15 wei by the books",),
        )
    assert bank.database.read(audit_books) == []
