"""Any order of deposits, reservations and ends, at two gateways on one database, against a model in plain integers."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from node.gateway.accounts import Bill
from node.gateway.errors import LimitReachedError, PaymentRequiredError
from node.gateway.ledger.books import DEPOSITS, OPERATOR, audit_books, booked_balance, post, reserved, user
from node.gateway.ledger.database import Database, sqlite_url
from node.gateway.ledger.reservations import WantedCredit, overdue, release, release_overdue, reserve, settle, spent_on

ACCOUNTS_HERE, LIMIT, NOW, DEADLINE = ("A", "B"), 500, 1_000_000.0, 1_000_900.0
wei = st.one_of(st.integers(0, 600), st.integers(0, 2**200))


class Books(RuleBasedStateMachine):
    """``open``: wei of answers under way, by account and answer."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.gateways: list[Database] = []
        self.balance = dict.fromkeys(ACCOUNTS_HERE, 0)
        self.open: dict[str, tuple[str, int]] = {}
        self.spent = dict.fromkeys(ACCOUNTS_HERE, 0)
        self.closed: list[str] = []
        self.deposited = self.earned = self.lost = self.count = 0

    @initialize()
    def start(self) -> None:
        url = sqlite_url(Path(self.folder.name) / "gateway.sqlite")
        self.gateways = [Database(url), Database(url)]

    def teardown(self) -> None:
        for gateway in self.gateways:
            gateway.close()
        self.folder.cleanup()

    @rule(gateway=st.integers(0, 1), account=st.sampled_from(ACCOUNTS_HERE), amount=wei, twice=st.booleans())
    def deposit(self, gateway: int, account: str, amount: int, twice: bool) -> None:
        self.count += 1
        work = partial(
            post, key=f"deposit {self.count}", kind="deposit", moves={DEPOSITS: -amount, user(account): amount}
        )
        self.gateways[gateway].write(work)
        if twice:
            self.gateways[1 - gateway].write(work)
        self.balance[account] += amount
        self.deposited += amount

    @rule(gateway=st.integers(0, 1), account=st.sampled_from(ACCOUNTS_HERE), amount=wei, limited=st.booleans())
    def reserve(self, gateway: int, account: str, amount: int, limited: bool) -> None:
        self.count += 1
        answer = f"answer {self.count}"
        wanted = WantedCredit(account, answer, amount, "key", LIMIT if limited else None)
        counted = self.spent[account] + sum(held for owner, held in self.open.values() if owner == account)
        work = partial(reserve, wanted=wanted, now=NOW, deadline=DEADLINE)
        if limited and counted + amount > LIMIT:
            with pytest.raises(LimitReachedError):
                self.gateways[gateway].write(work)
        elif amount > self.balance[account]:
            with pytest.raises(PaymentRequiredError):
                self.gateways[gateway].write(work)
        else:
            self.gateways[gateway].write(work)
            self.balance[account] -= amount
            self.open[answer] = account, amount

    @precondition(lambda self: self.open)
    @rule(gateway=st.integers(0, 1), data=st.data(), nodes=wei, vault=wei)
    def settle(self, gateway: int, data: st.DataObject, nodes: int, vault: int) -> None:
        answer = data.draw(st.sampled_from(sorted(self.open)))
        account, held = self.open.pop(answer)
        self.closed.append(answer)
        assert self.gateways[gateway].write(partial(settle, answer=answer, bill=Bill(nodes, vault)))
        paid = min(held, nodes + vault)
        self.balance[account] += held - paid
        self.spent[account] += paid
        self.earned += nodes + vault
        self.lost += nodes + vault - paid

    @precondition(lambda self: self.open)
    @rule(gateway=st.integers(0, 1), data=st.data(), overdue_now=st.booleans())
    def give_back(self, gateway: int, data: st.DataObject, overdue_now: bool) -> None:
        answer = data.draw(st.sampled_from(sorted(self.open)))
        account, held = self.open.pop(answer)
        self.closed.append(answer)
        if overdue_now:
            assert answer in self.gateways[gateway].read(partial(overdue, now=DEADLINE + 1))
        end = (
            partial(release_overdue, answer=answer, now=DEADLINE + 1)
            if overdue_now
            else partial(release, answer=answer)
        )
        assert self.gateways[gateway].write(end)
        self.balance[account] += held

    @precondition(lambda self: self.closed)
    @rule(gateway=st.integers(0, 1), data=st.data())
    def end_again(self, gateway: int, data: st.DataObject) -> None:
        answer = data.draw(st.sampled_from(self.closed))
        again = (partial(settle, answer=answer, bill=Bill(1, 0)), partial(release, answer=answer))
        assert [self.gateways[gateway].write(end) for end in again] == [False, False]

    @invariant()
    def books_are_as_expected(self) -> None:
        for gateway in self.gateways:
            held = {name: gateway.read(partial(booked_balance, account=user(name))) for name in ACCOUNTS_HERE}
            assert held == self.balance
            for name in ACCOUNTS_HERE:
                kept = sum(amount for owner, amount in self.open.values() if owner == name)
                assert gateway.read(partial(booked_balance, account=reserved(name))) == kept
                assert gateway.read(partial(spent_on, account=name, day=int(NOW // 86_400))) == self.spent[name]
            got = [
                gateway.read(partial(booked_balance, account=name)) for name in (DEPOSITS, OPERATOR, "nodes", "vault")
            ]
            assert (got[0], got[1], got[2] + got[3]) == (-self.deposited, -self.lost, self.earned)
            assert gateway.read(audit_books) == []


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
