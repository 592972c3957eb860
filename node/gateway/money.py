"""From settings to accounts: who may spend here, by which money, and what is due for the books now and then."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from nexus_chain.chain.credit_deposits import CreditDeposits
from nexus_chain.chain.transactions import Sender
from nexus_chain.errors import NexusError, SettingsError
from nexus_chain.market.documents import checksum
from nexus_chain.workflows.workspace import Workspace
from node.gateway.access.bootstrap import ensure_operator_key
from node.gateway.access.ledger_accounts import LedgerAccounts
from node.gateway.access.sign_in import SignInTerms
from node.gateway.access.sign_in_desk import SignInDesk
from node.gateway.access.x402_offers import X402Terms
from node.gateway.access.x402_payments import X402Payments
from node.gateway.accounts import Accounts
from node.gateway.ledger.books import audit_books
from node.gateway.ledger.database import Database
from node.gateway.ledger.deposits import DepositBooks, require_no_other_deposits
from node.gateway.ledger.refund_notice import BOOKS_ROUND_SECONDS, block_seconds, require_notice, require_timeout
from node.gateway.ledger.session_books import SessionBooks
from node.gateway.metrics import GatewayMetrics
from node.gateway.open_accounts import single_key_accounts
from node.gateway.settings import GatewaySettings

log = logging.getLogger(__name__)

AUDIT_ROUNDS = 60
"""The whole of the books is read, and looked for what is to be claimed of deposits, once in so many rounds."""
DEPOSIT_LOOKS = 12
"""Looks at the deposit contract in a round: who has just paid does not wait for a whole one."""
LEAST_CLAIM = 10**15
"""Wei that an account has to have spent before it is worth the gas to claim them."""


@dataclass
class Money:
    """Who may spend. ``desk``: None without sign-in. ``deposits``, ``payments``: None where none are taken.

    ``sessions``: compares what nodes got with the books; None: nothing does. ``deposit_alarms``: of the last looks at
    the contract that did not fail, as many as a round has.
    """

    accounts: Accounts
    metrics: GatewayMetrics
    desk: SignInDesk | None = None
    deposits: DepositBooks | None = None
    payments: X402Payments | None = None
    sessions: SessionBooks | None = None
    rounds: int = 0
    claim_rounds: int = 0
    wrong_books: list[str] = field(default_factory=list)
    wrong_sessions: list[str] = field(default_factory=list)
    deposit_alarms: deque[int] = field(default_factory=lambda: deque(maxlen=DEPOSIT_LOOKS))

    @property
    def deposit_contract(self) -> CreditDeposits | None:
        """Where deposits are made; None where none are taken."""
        return None if self.deposits is None else self.deposits.contract

    async def keep_up(self) -> None:
        """Do what is due, for ever."""
        if isinstance(self.accounts, LedgerAccounts):
            # Apart: transactions take minutes, and reservations that nobody extends are released by other gateways.
            works = [_for_ever(partial(keep_reservations, self.accounts)), self._rounds(self.accounts)]
            if self.deposits is not None:
                # INVARIANT: no look at all accounts for what is to be claimed delays the answer to a refund.
                works.append(_for_ever(partial(self.claim, self.deposits)))
            await asyncio.gather(*works)

    async def _rounds(self, accounts: LedgerAccounts) -> None:
        while True:
            await asyncio.to_thread(self.once, accounts)
            for _ in range(DEPOSIT_LOOKS):
                await asyncio.sleep(BOOKS_ROUND_SECONDS / DEPOSIT_LOOKS)
                await asyncio.to_thread(self._follow)

    def once(self, accounts: LedgerAccounts) -> None:
        """One round of all but the reservations; what fails is tried again in the next one."""
        self._follow()  # first: a notice runs
        if self.payments is not None:
            _tried(self.payments.keep_up)
        if self.rounds % AUDIT_ROUNDS == 0:
            self.wrong_books = _seen(lambda: accounts.database.read(audit_books), self.wrong_books)
            for difference in self.wrong_books:
                log.error("The books are wrong: %s", difference)
        if self.sessions is not None:
            self.wrong_sessions = _seen(self.sessions.compare, self.wrong_sessions)
        for difference in self.wrong_sessions:
            log.error("The books and the sessions differ: %s", difference)
        self._show_alarms()
        self.rounds += 1

    def claim(self, deposits: DepositBooks) -> None:
        """One round of claims: now and then, and as long as some are left."""
        is_due = self.claim_rounds % AUDIT_ROUNDS == 0 or deposits.has_more_to_claim
        if is_due and _tried(lambda: deposits.claim(LEAST_CLAIM)) is None:
            return  # the next round tries again: the first look finds who asked before this gateway was started
        self.claim_rounds += 1

    def _follow(self) -> None:
        """Book what happened at the contract, and answer who wants a refund."""
        if self.deposits is None:
            return
        found = _tried(self.deposits.follow)
        _tried(self.deposits.answer_refunds)
        if found is not None:  # a look that failed has not seen that all is well
            self.deposit_alarms.append(len(found.alarms))
            self.metrics.ledger_difference.set(found.difference_wei)
        self._show_alarms()

    def _show_alarms(self) -> None:
        # INVARIANT: an alarm of one look is shown for a whole round: who collects metrics comes once in a while.
        deposits = max(self.deposit_alarms, default=0)
        self.metrics.ledger_alarms.set(deposits + len(self.wrong_books) + len(self.wrong_sessions))


def keep_reservations(accounts: LedgerAccounts) -> None:
    """Extend those of answers under way, and release those of gateways that died."""
    if released := _tried(accounts.keep_up):
        log.warning("%d reservations of a gateway that died were released", len(released))


async def _for_ever(work: Callable[[], None]) -> None:
    while True:
        await asyncio.to_thread(work)
        await asyncio.sleep(BOOKS_ROUND_SECONDS)


def _tried(work: Callable[[], Any]) -> Any:
    """What ``work`` returns; None where it failed, which the log says: it is tried again in the next round."""
    try:
        return work()
    except NexusError as error:
        log.warning("The books could not be looked after: %s", error)
    except Exception:
        log.exception("The books could not be looked after")
    return None


def _seen(look: Callable[[], list[str]], before: list[str]) -> list[str]:
    """What is wrong by ``look``; what was wrong ``before`` where it failed: then nobody has seen that all is well."""
    found: list[str] | None = _tried(look)
    return before if found is None else found


def open_money(
    workspace: Workspace,
    settings: GatewaySettings,
    database: Database,
    address: str,
    metrics: GatewayMetrics,
    stack: ExitStack,
) -> Money:
    """Accounts in the database, unless the operator wants one key and nothing else. ``stack`` closes what is opened.

    Raises SettingsError, UnavailableError, WalletError and the chain package's errors.
    """
    if settings.insecure_single_key_file is not None:
        return Money(single_key_accounts(settings.insecure_single_key_file), metrics)
    require_no_other_deposits(database, _address(settings.deposits, "deposits") if settings.deposits else "")
    if settings.operator_key_file is not None:
        ensure_operator_key(database, settings.operator_key_file, settings.operator_credit)
    payments = _payments(workspace, settings, database)
    if payments is not None:
        stack.callback(payments.close)
    accounts = LedgerAccounts(database, payments=payments, open_answers=settings.open_answers)
    stack.callback(accounts.close)
    url, chain = settings.public_url or address, workspace.chain
    provider = chain.connection.web3.provider
    desk = SignInDesk(accounts, SignInTerms(urlsplit(url).netloc, url, chain.domain.chain_id, provider))
    stack.callback(desk.close)
    return Money(accounts, metrics, desk, _deposits(workspace, settings, database), payments)


def _sender(workspace: Workspace) -> Sender:
    """The wallet's one sender, which sessions are opened with, too."""
    sender = workspace.wallet_chain.sender
    if sender is None:
        raise SettingsError("the gateway has no wallet", advice="Give one with --wallet.")
    return sender


def _address(text: str, name: str) -> str:
    try:
        return checksum(text)
    except (ValueError, NexusError):
        raise SettingsError(f"{name} = {text!r} is no address", advice="Give 0x and 40 hexadecimal digits.") from None


def _payments(workspace: Workspace, settings: GatewaySettings, database: Database) -> X402Payments | None:
    if not settings.x402_token:
        return None
    if not settings.x402_name or not settings.x402_version:
        raise SettingsError(
            "x402_token needs x402_name and x402_version", advice="They stand in the token's EIP-712 domain."
        )
    sender = _sender(workspace)
    terms = X402Terms(
        workspace.chain.domain.chain_id,
        _address(settings.x402_token, "x402_token"),
        sender.wallet.address,
        settings.x402_name,
        settings.x402_version,
        settings.x402_wei_per_unit,
        settings.x402_least_wei,
    )
    return X402Payments(database, terms, sender)


def _deposits(workspace: Workspace, settings: GatewaySettings, database: Database) -> DepositBooks | None:
    if not settings.deposits:
        return None
    sender = _sender(workspace)
    contract = CreditDeposits(workspace.chain.connection, _address(settings.deposits, "deposits"), sender)
    contract.require_code()
    if contract.operator() != sender.wallet.address:
        raise SettingsError(
            f"the deposits in {contract.address} are another operator's", advice="Use the wallet that it names."
        )
    confirmations, seconds = workspace.settings.confirmations, block_seconds(workspace.chain.connection)
    require_notice(contract.notice(), confirmations, seconds)
    require_timeout(workspace.settings.transaction_timeout, confirmations, seconds)
    return DepositBooks(database, contract, settings.deposits_block, confirmations)
