"""A transaction that fees have left behind holds up nothing that comes after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
    chain.connection.request(method, *parameters)


def nonce_of(chain: LocalChain, transaction: str) -> int:
    found = chain.connection.transaction(transaction)
    assert found is not None
    return int(found["nonce"], 16)


def test_the_next_transaction_prices_a_stuck_one_up(chain: LocalChain) -> None:
    """Regression: it queued up behind it, so a rise of fees silenced a defender until its clock had run out."""
    wallet = Wallet.from_hex(DEVELOPMENT_KEYS[0])
    sender, connection = Sender(chain.connection, wallet, timeout=1.0), chain.connection
    request(chain, "evm_setAutomine", False)
    with pytest.raises(TransactionPendingError, match="not mined"):
        sender.transfer(TO, 1)
    request(chain, "anvil_setNextBlockBaseFeePerGas", hex(1000 * GWEI))
    request(chain, "evm_mine")
    assert connection.transaction_count(wallet.address, "latest") == 0, "too cheap by now"
    request(chain, "evm_setAutomine", True)
    sender.timeout = WAIT
    mined = sender.transfer(TO, 2)
    assert nonce_of(chain, mined.hash) == 1
    assert connection.balance(TO) == 3, "both were wanted"
    again = sender.transfer(TO, 1)
    assert again.found, "whoever repeats the first is told that it is mined, at its second price"
    assert nonce_of(chain, again.hash) == 0
    assert connection.balance(TO) == 3


def test_a_transaction_that_was_mined_after_all_is_not_replaced(chain: LocalChain) -> None:
    sender = Sender(chain.connection, Wallet.from_hex(DEVELOPMENT_KEYS[0]), timeout=1.0)
    request(chain, "evm_setAutomine", False)
    with pytest.raises(TransactionError, match="not mined"):
        sender.transfer(TO, 1)
    request(chain, "evm_mine")
    request(chain, "evm_setAutomine", True)
    sender.timeout = WAIT
    sender.transfer(TO, 2)
    assert chain.connection.balance(TO) == 3
