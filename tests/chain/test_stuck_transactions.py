"""A transaction that fees have left behind holds up nothing that comes after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from web3.types import RPCEndpoint

from nexus_chain.chain.errors import TransactionError, TransactionPendingError
from nexus_chain.chain.local import DEVELOPMENT_KEYS, LocalChain, anvil
from nexus_chain.chain.transactions import Sender
from nexus_chain.chain.wallet import Wallet
from tests.support.waiting import WAIT

GWEI = 10**9
TO = "0x" + "ab" * 20


@pytest.fixture
def chain() -> Iterator[LocalChain]:
    with anvil() as made:
        yield made


def request(chain: LocalChain, method: str, *parameters: object) -> None:
    chain.web3.manager.request_blocking(RPCEndpoint(method), list(parameters))


def test_the_next_transaction_prices_a_stuck_one_up(chain: LocalChain) -> None:
    """Regression: it queued up behind it, so a rise of fees silenced a defender until its clock had run out."""
    wallet = Wallet.from_hex(DEVELOPMENT_KEYS[0])
    sender, eth = Sender(chain.web3, wallet, timeout=1.0), chain.web3.eth
    request(chain, "evm_setAutomine", False)
    with pytest.raises(TransactionPendingError, match="not mined"):
        sender.transfer(TO, 1)
    request(chain, "anvil_setNextBlockBaseFeePerGas", hex(1000 * GWEI))
    request(chain, "evm_mine")
    assert eth.get_transaction_count(wallet.address, "latest") == 0, "too cheap by now"
    request(chain, "evm_setAutomine", True)
    sender.timeout = WAIT
    mined = sender.transfer(TO, 2)
    assert eth.get_transaction(mined.receipt["transactionHash"])["nonce"] == 1
    assert eth.get_balance(chain.web3.to_checksum_address(TO)) == 3, "both were wanted"
    again = sender.transfer(TO, 1)
    assert again.found, "whoever repeats the first is told that it is mined, at its second price"
    assert eth.get_transaction(again.receipt["transactionHash"])["nonce"] == 0
    assert eth.get_balance(chain.web3.to_checksum_address(TO)) == 3


def test_a_transaction_that_was_mined_after_all_is_not_replaced(chain: LocalChain) -> None:
    sender = Sender(chain.web3, Wallet.from_hex(DEVELOPMENT_KEYS[0]), timeout=1.0)
    request(chain, "evm_setAutomine", False)
    with pytest.raises(TransactionError, match="not mined"):
        sender.transfer(TO, 1)
    request(chain, "evm_mine")
    request(chain, "evm_setAutomine", True)
    sender.timeout = WAIT
    sender.transfer(TO, 2)
    assert chain.web3.eth.get_balance(chain.web3.to_checksum_address(TO)) == 3
