"""A wallet that nobody has to make: test ether is free, so on a development chain a missing one is made and funded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from nexus_chain.chain.connection import ChainConnection
from nexus_chain.chain.deployer import DEVELOPMENT_CHAINS
from nexus_chain.chain.errors import TransactionError
from nexus_chain.chain.wallet import SCRYPT_WORK, Wallet
from nexus_chain.chain.web3_errors import chain_errors
from nexus_chain.market.documents import checksum

if TYPE_CHECKING:
    from web3.types import Wei

TEST_WEI = 10 * 10**18
"""What a new wallet gets."""


def is_development_chain(connection: ChainConnection) -> bool:
    """Whether the chain exists only on somebody's machine, by its id."""
    return connection.chain_id() in DEVELOPMENT_CHAINS


def make_test_wallet(
    connection: ChainConnection, path: Path, password: str, *, work: int = SCRYPT_WORK
) -> tuple[Wallet, str]:
    """A new wallet in the keystore ``path`` with test ether of the chain's first unlocked account, and that in words.

    Raises TransactionError where the chain is a real one or has no such account, and WalletError.
    """
    wallet = Wallet.ephemeral()
    giver = _fund(connection, wallet.address)  # first: a keystore that is there has its ether
    wallet.save(path, password, work=work)
    said = f"Development chain: made the wallet {wallet.address} in {path}, with 10 test ether of {giver}."
    return wallet, said


def _fund(connection: ChainConnection, address: str) -> str:
    """Send test ether to ``address``; returns who gave it."""
    web3 = connection.web3
    with chain_errors(web3):
        # INVARIANT: money that is worth something is never sent without a wallet's owner asking for it.
        giver = next(iter(web3.eth.accounts), None) if is_development_chain(connection) else None
        if giver is None:
            raise TransactionError(
                "the chain has no unlocked test account that could fund a wallet",
                advice="Create a wallet with `nexus wallet new` and send it ether.",
            )
        sent = web3.eth.send_transaction({"from": giver, "to": checksum(address), "value": cast("Wei", TEST_WEI)})
        web3.eth.wait_for_transaction_receipt(sent)
    return giver
