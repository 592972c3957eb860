"""Deposits on Anvil and the books that follow them: every event once, whatever blocks do; differences are alarms."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import pytest
from web3.types import RPCEndpoint

from nexus_chain.chain.credit_deposits import CreditDeposits, create_credit_deposits
from nexus_chain.chain.deployer import ArtefactCreator
from nexus_chain.chain.errors import ContractRevertedError
from nexus_chain.chain.local import LocalChain, anvil
from nexus_chain.chain.transactions import Sender
from nexus_chain.chain.wallet import Wallet
from node.gateway.accounts import Bill
from node.gateway.ledger.books import OPERATOR, audit_books, booked_balance, deposits, post, refunds, user
from node.gateway.ledger.database import Database
from node.gateway.ledger.deposits import DepositBooks, Reconciled
from node.gateway.ledger.reservations import WantedCredit, reserve, settle

NOTICE = 3_600


@pytest.fixture(scope="module")
def chain() -> Iterator[LocalChain]:
    with anvil() as running:
        yield running


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
        assert self.caller.sender is not None
        return str(self.caller.sender.wallet.address)

    def request(self, method: str, *words: object) -> object:
        return self.chain.connection.web3.manager.request_blocking(RPCEndpoint(method), list(words))

    def follow(self) -> Reconciled:
        """Let what was sent be confirmed, and follow."""
        self.request("evm_mine")
        return self.books.follow()

    def balances(self, *names: str) -> list[int]:
        wanted = names or (user(self.account), refunds(self.account), deposits(self.operator.address), OPERATOR)
        return [self.database.read(partial(booked_balance, account=name)) for name in wanted]

    def spend(self, wei: int, answer: str = "a") -> None:
        wanted = WantedCredit(self.account, answer, wei)
        self.database.write(partial(reserve, wanted=wanted, now=0.0, deadline=900.0))
        self.database.write(partial(settle, answer=answer, bill=Bill(wei, 0)))


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
    wanted = WantedCredit(bank.account, "a", 300)
    bank.database.write(partial(reserve, wanted=wanted, now=0.0, deadline=900.0))
    bank.caller.request_refund()
    bank.follow()
    assert bank.books.answer_refunds() == 0
    bank.database.write(partial(settle, answer="a", bill=Bill(100, 0)))
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


def test_whoever_asks_without_end_does_not_outlast_the_notice(bank: Bank) -> None:
    bank.caller.deposit(bank.account, 1_000)
    bank.follow()
    bank.spend(600)
    wanted = WantedCredit(bank.account, "endless", 100)
    bank.database.write(partial(reserve, wanted=wanted, now=0.0, deadline=900.0))
    bank.caller.request_refund()
    bank.follow()
    assert bank.books.answer_refunds() == 0
    bank.chain.advance(NOTICE - 300)
    assert bank.books.answer_refunds() == 1
    assert bank.follow().alarms == ()
    assert bank.operator.balance_of(bank.operator.operator()) == 600


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
