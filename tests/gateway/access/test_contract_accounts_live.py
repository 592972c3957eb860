"""Accounts that are contracts sign in by their contract's consent (ERC-1271), asked of a real chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from nexus_chain.chain.local import LocalChain, anvil
from nexus_chain.chain.transactions import Sender
from nexus_chain.chain.wallet import Wallet
from node.gateway.ledger.database import Database
from tests.support.access_app import ALICE, BOB, AccessApp, access_app, message_of, signed
from tests.support.paid_app import create


@pytest.fixture(scope="module")
def chain() -> Iterator[LocalChain]:
    with anvil() as running:
        yield running


@dataclass
class Owned:
    app: AccessApp
    account: str

    def verify(self, text: str, signature: str) -> tuple[int, str]:
        answer = self.app.call("POST", "/v1/siwe/verify", json={"message": text, "signature": signature})
        said = answer.json()
        return answer.status_code, said["account"] if answer.status_code == 200 else said["error"]["message"]


@pytest.fixture
def owned(chain: LocalChain, database: Database) -> Iterator[Owned]:
    """An account whose contract obeys Alice."""
    wallet = Wallet.ephemeral()
    chain.set_balance(wallet.address, 10**18)
    contract = create(chain, Sender(chain.connection, wallet), "PayToken.sol/OwnedAccount", ALICE.address)
    with access_app(database, chain.connection.web3.provider) as app:
        yield Owned(app, str(contract.address))


def test_the_owner_s_signature_opens_the_contract_s_account(owned: Owned) -> None:
    text = message_of(owned.account, owned.app.nonce())
    assert owned.verify(text, signed(text, ALICE)) == (200, owned.account)
    assert owned.verify(text, signed(text, ALICE)) == (401, "the message's nonce was used before")


def test_another_s_signature_does_not(owned: Owned) -> None:
    text = message_of(owned.account, owned.app.nonce())
    for signature in (signed(text, BOB), signed(text + " ", ALICE), "0x", "0x1234", "nonsense", "0x" + "64926492" * 16):
        assert owned.verify(text, signature) == (401, "the message's account did not sign it")


def test_an_address_without_a_contract_consents_to_nothing(owned: Owned) -> None:
    text = message_of(BOB.address, owned.app.nonce())
    assert owned.verify(text, signed(text, ALICE)) == (401, "the message's account did not sign it")


def test_a_chain_that_does_not_answer_is_said(database: Database) -> None:
    with anvil() as chain:
        provider = chain.connection.web3.provider
    with access_app(database, provider) as app:
        text = message_of(BOB.address, app.nonce())
        answer = app.call("POST", "/v1/siwe/verify", json={"message": text, "signature": signed(text, ALICE)})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        text = message_of(ALICE.address, app.nonce())
        answer = app.call("POST", "/v1/siwe/verify", json={"message": text, "signature": signed(text, ALICE)})
        assert answer.status_code == 200  # a key's own signature needs no chain
