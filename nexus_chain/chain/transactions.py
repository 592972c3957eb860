"""Sending transactions: fees, nonces, waiting, and what a revert means.

One ``Sender`` per wallet and process. It estimates first, so a contract's refusal costs
nothing and arrives as ``ContractRevertedError`` with the custom error's name.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hexbytes import HexBytes
from web3 import Web3
from web3.contract.contract import ContractFunction
from web3.exceptions import ContractLogicError, TimeExhausted, TransactionNotFound, Web3Exception, Web3RPCError
from web3.types import TxParams, TxReceipt, Wei

from nexus_chain.chain.connection import rpc_errors, url_of
from nexus_chain.chain.errors import ContractRevertedError, TransactionError, UnfundedWalletError
from nexus_chain.chain.reverts import decode_revert
from nexus_chain.chain.wallet import Wallet

#: A plain transfer's gas: no transaction is cheaper.
_LEAST_GAS = 21_000
_NONCE_ATTEMPTS = 3
_STALE_NONCE = ("nonce too low", "already known", "replacement transaction underpriced")


@dataclass(frozen=True)
class Mined:
    """A transaction that succeeded. ``fee`` is gas times price, wei."""

    hash: str
    block: int
    gas: int
    fee: int
    receipt: TxReceipt


@contextmanager
def chain_errors(web3: Web3) -> Iterator[None]:
    """Turn what web3 raises inside the block into this package's errors."""
    try:
        with rpc_errors(url_of(web3)):
            yield
    except ContractLogicError as error:
        raise decode_revert(error.data if isinstance(error.data, str) else None, error.message) from error
    except Web3RPCError as error:
        raise TransactionError(
            f"the chain's RPC server refused: {_rpc_message(error)}",
            advice="Check balance and fees of the wallet; if it persists, try another RPC server.",
        ) from error
    except Web3Exception as error:
        raise TransactionError(
            f"the answer of the chain's RPC server makes no sense ({error})",
            advice="Check that the deployment file belongs to this chain.",
        ) from error


class Sender:
    """Sends one wallet's transactions, one after the other."""

    def __init__(self, web3: Web3, wallet: Wallet, *, timeout: float = 120.0, priority_fee: int | None = None) -> None:
        """``timeout``: seconds to wait until mined; ``priority_fee``: wei per gas, None asks the chain."""
        self.web3, self.wallet, self.timeout, self.priority_fee = web3, wallet, timeout, priority_fee
        self._turn = threading.Lock()
        self._stuck: TxParams | None = None

    def send(self, call: ContractFunction, value: int = 0) -> Mined:
        """Send ``call`` with ``value`` wei, wait until it is mined, and return it.

        Raises UnfundedWalletError and ContractRevertedError before anything is sent; afterwards
        ContractRevertedError (it reverted in its block) and TransactionError (not mined in time).
        """
        with chain_errors(self.web3):
            fields = self._priced(value)
            self._require_funds(fields, value, _LEAST_GAS)
            # Estimated for the coming block: a clock may allow there what it did not allow in the latest one.
            estimate = call.estimate_gas({"from": self.wallet.address, "value": Wei(value)}, "pending")
            # Other transactions may change storage before this one is mined, which may make it a little dearer.
            fields["gas"] = estimate + estimate // 5
            self._require_funds(fields, value, fields["gas"])
            return self._submit(call.build_transaction(fields))

    def deploy(self, constructor: Any) -> tuple[str, Mined]:
        """Send a contract creation (``Contract.constructor(...)``); returns its address and the transaction."""
        with chain_errors(self.web3):
            fields = self._priced(0)
            estimate = constructor.estimate_gas({"from": self.wallet.address})
            fields["gas"] = estimate + estimate // 5
            self._require_funds(fields, 0, fields["gas"])
            mined = self._submit(constructor.build_transaction(fields))
        return str(mined.receipt["contractAddress"]), mined

    def transfer(self, to: str, value: int) -> Mined:
        """Send plain ether."""
        with chain_errors(self.web3):
            fields = self._priced(value)
            fields["to"] = Web3.to_checksum_address(to)
            fields["gas"] = self.web3.eth.estimate_gas({"from": self.wallet.address, "to": fields["to"]})
            self._require_funds(fields, value, fields["gas"])
            return self._submit(fields)

    def _priced(self, value: int) -> TxParams:
        """EIP-1559 fields: enough for the base fee to double before the transaction is mined."""
        tip = self.web3.eth.max_priority_fee if self.priority_fee is None else Wei(self.priority_fee)
        base = self.web3.eth.get_block("latest").get("baseFeePerGas", Wei(0))
        return {
            "from": self.wallet.address,
            "value": Wei(value),
            "chainId": self.web3.eth.chain_id,
            "maxPriorityFeePerGas": tip,
            "maxFeePerGas": Wei(2 * base + tip),
        }

    def _require_funds(self, fields: TxParams, value: int, gas: int) -> None:
        needed = value + gas * int(fields["maxFeePerGas"])
        balance = self.web3.eth.get_balance(self.wallet.address)
        if balance < needed:
            raise UnfundedWalletError(self.wallet.address, balance, needed)

    def _submit(self, fields: TxParams) -> Mined:
        """Sign and send with the next nonce; another process of the same wallet may take it first."""
        with self._turn:
            for attempt in range(_NONCE_ATTEMPTS):
                fields["nonce"] = self.web3.eth.get_transaction_count(self.wallet.address, "pending")
                self._replace_stuck(fields)
                raw = self.wallet.sign_transaction(fields).raw_transaction
                try:
                    sent = self.web3.eth.send_raw_transaction(raw)
                    self._stuck = None  # replaced, or not there any more
                    break
                except Web3RPCError as error:
                    taken = any(word in _rpc_message(error).lower() for word in _STALE_NONCE)
                    if not taken or attempt == _NONCE_ATTEMPTS - 1:
                        raise
        return self._wait(sent, fields)

    def _replace_stuck(self, fields: TxParams) -> None:
        """Take the place of a transaction that fees have left behind: everything after it would wait for it.

        Its sender was told that it was not mined, and sends it again if it is still needed.
        """
        stuck = self._stuck
        if stuck is None:
            return
        if self.web3.eth.get_transaction_count(self.wallet.address, "latest") > stuck["nonce"]:
            self._stuck = None
            return
        fields["nonce"] = stuck["nonce"]
        for fee in ("maxPriorityFeePerGas", "maxFeePerGas"):
            # The chain's nodes take a replacement only if it pays a tenth more.
            least = int(stuck[fee]) * 9 // 8 + 1
            fields[fee] = Wei(max(int(fields[fee]), least))

    def _wait(self, sent: HexBytes, fields: TxParams) -> Mined:
        try:
            receipt = self.web3.eth.wait_for_transaction_receipt(sent, self.timeout, poll_latency=0.05)
        except TimeExhausted:
            with self._turn:
                if self._stuck is None or fields["nonce"] <= self._stuck["nonce"]:
                    self._stuck = fields
            raise TransactionError(
                f"transaction {sent.to_0x_hex()} was not mined within {self.timeout:.0f} s",
                advice="It may still be: look it up before sending it again.",
            ) from None
        fee = receipt["gasUsed"] * receipt["effectiveGasPrice"]
        if receipt["status"] != 1:
            failure = self._why_it_failed(receipt, fields)
            failure.fee = fee
            raise failure
        return Mined(sent.to_0x_hex(), receipt["blockNumber"], receipt["gasUsed"], fee, receipt)

    def _why_it_failed(self, receipt: TxReceipt, fields: TxParams) -> TransactionError:
        """Repeat a failed transaction as a call on the state it met to learn its custom error."""
        replay = fields.copy()
        for name in ("nonce", "chainId", "maxFeePerGas", "maxPriorityFeePerGas"):
            replay.pop(name, None)  # type: ignore[misc]
        try:
            self.web3.eth.call(replay, receipt["blockNumber"])
        except ContractLogicError as error:
            return decode_revert(error.data if isinstance(error.data, str) else None, error.message)
        except (Web3RPCError, TransactionNotFound):
            pass
        return ContractRevertedError(
            "OutOfGasOrRace",
            {"transaction": receipt["transactionHash"].to_0x_hex(), "gas": receipt["gasUsed"]},
            advice="Something changed between the estimate and the block; try again.",
        )


def _rpc_message(error: Web3RPCError) -> str:
    return str(error.message or error).split("\n", 1)[0]
