"""What every typed contract class shares: reading, sending, events.

Knows ABIs, not meanings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from eth_typing import ABIEvent
from eth_utils.abi import event_abi_to_log_topic
from hexbytes import HexBytes
from web3 import Web3
from web3._utils.events import get_event_data
from web3.contract.contract import Contract, ContractFunction
from web3.logs import DISCARD
from web3.types import TxReceipt

from nexus_chain.chain.errors import ContractMissingError, TransactionError, WalletError
from nexus_chain.chain.interfaces import abi
from nexus_chain.chain.transactions import Mined, Sender, chain_errors
from nexus_chain.market.documents import checksum

#: Blocks per log query: public RPC servers refuse larger ranges.
BLOCKS_PER_QUERY = 5_000
#: Entries per page of the registries' lists.
PAGE = 100


@dataclass(frozen=True)
class ChainEvent:
    """One event of one contract; ``arguments`` are named as in Solidity."""

    name: str
    arguments: dict[str, Any]
    block: int
    transaction: str
    log_index: int


def in_ranges(
    query: Callable[[int, int], list[ChainEvent]], first: int, last: int
) -> Iterator[tuple[int, list[ChainEvent]]]:
    """What ``query`` finds in blocks [first, last], with the last block of each range; ranges that a server finds too
    long, or too full, are halved, and grow again. Raises TransactionError where one block is too much.
    """
    step = BLOCKS_PER_QUERY
    while first <= last:
        stop = min(last, first + step - 1)
        try:
            found = query(first, stop)
        except TransactionError:
            if stop == first:
                raise
            step = max(1, (stop - first + 1) // 2)
            continue
        yield stop, found
        first, step = stop + 1, min(BLOCKS_PER_QUERY, 2 * step)


class BoundContract:
    """One deployed contract; subclasses name its methods."""

    CONTRACT: ClassVar[str]

    def __init__(self, web3: Web3, address: str, sender: Sender | None = None) -> None:
        """``sender`` is needed to send; without one the class only reads."""
        self.web3, self.address, self.sender = web3, checksum(address), sender
        self._contract: Contract = web3.eth.contract(address=self.address, abi=abi(self.CONTRACT))

    def require_code(self) -> None:
        """Raise ContractMissingError unless there is a contract at the address."""
        with chain_errors(self.web3):
            code = self.web3.eth.get_code(self.address)
        if not code:
            raise ContractMissingError(
                f"there is no {self.CONTRACT} at {self.address} on this chain",
                advice="The chain was reset or the deployment file is another chain's: deploy again, or give this "
                "chain's file. Nothing in the home folder is lost by it.",
            )

    def events(
        self, name: str, from_block: int = 0, to_block: int | None = None, *, where: Mapping[str, Any] | None = None
    ) -> Iterator[ChainEvent]:
        """Events ``name`` in blocks [from_block, to_block], oldest first; ``where`` matches indexed arguments."""
        with chain_errors(self.web3):
            last = self.web3.eth.block_number if to_block is None else to_block
        event, filters = self._contract.events[name](), dict(where or {})

        def query(start: int, stop: int) -> list[ChainEvent]:
            with chain_errors(self.web3):
                found = event.get_logs(from_block=start, to_block=stop, argument_filters=filters)
            return [_chain_event(log) for log in found]

        for _, found in in_ranges(query, from_block, last):
            yield from found

    def events_of(self, names: Collection[str], from_block: int, to_block: int) -> list[ChainEvent]:
        """Events of several names in blocks [from_block, to_block], in the order they happened: one query.

        Keep to ``BLOCKS_PER_QUERY`` blocks.
        """
        wanted = (entry for entry in abi(self.CONTRACT) if entry["type"] == "event" and entry["name"] in names)
        shapes = {HexBytes(event_abi_to_log_topic(cast(ABIEvent, entry))): cast(ABIEvent, entry) for entry in wanted}
        with chain_errors(self.web3):
            logs = self.web3.eth.get_logs(
                {"address": self.address, "topics": [list(shapes)], "fromBlock": from_block, "toBlock": to_block}
            )
            found = [get_event_data(self.web3.codec, shapes[log["topics"][0]], log) for log in logs]
        return [_chain_event(log) for log in found]

    def call(self, name: str, *arguments: Any) -> ContractFunction:
        """A view to be read together with others, by ``batch.read_together``."""
        return self._function(name, *arguments)

    def events_in(self, receipt: TxReceipt, name: str) -> list[ChainEvent]:
        """Events ``name`` of this contract in one transaction's receipt."""
        logs = self._contract.events[name]().process_receipt(receipt, errors=DISCARD)
        return [_chain_event(log) for log in logs if log["address"] == self.address]

    def encode(self, name: str, *arguments: Any) -> HexBytes:
        """The data of a transaction that calls ``name``, for somebody else to send."""
        return HexBytes(self._contract.encode_abi(name, list(arguments)))

    def _function(self, name: str, *arguments: Any) -> ContractFunction:
        function: ContractFunction = self._contract.functions[name](*arguments)
        return function

    def _read(self, name: str, *arguments: Any) -> Any:
        with chain_errors(self.web3):
            return self._function(name, *arguments).call()

    def _send(self, name: str, *arguments: Any, value: int = 0, note: str = "", wish: str = "") -> Mined:
        """``note``, ``wish``: as of ``Sender.send``."""
        if self.sender is None:
            raise WalletError(f"{self.CONTRACT}.{name} needs a wallet", advice="Open one and pass its sender.")
        return self.sender.send(self._function(name, *arguments), value, note, wish)

    def _pages(self, name: str, *arguments: Any) -> Iterator[Any]:
        """Every entry of a paged view, ``PAGE`` at a time."""
        offset = 0
        while page := self._read(name, *arguments, offset, PAGE):
            yield from page
            offset += len(page)


class PullPayments(BoundContract):
    """Contracts that owe money: it is credited to a balance, whose owner fetches it."""

    def balance_of(self, payee: str) -> int:
        """Wei owed to ``payee`` and not fetched yet."""
        return int(self._read("balanceOf", checksum(payee)))

    def withdraw(self) -> Mined:
        """Fetch the caller's whole balance."""
        mined = self._send("withdraw")
        # An earlier command's withdrawal was found: what was credited since then is still there.
        again = mined.found and self.sender is not None and self.balance_of(self.sender.wallet.address)
        return self._send("withdraw") if again else mined


def _chain_event(log: Any) -> ChainEvent:
    return ChainEvent(
        log["event"], dict(log["args"]), log["blockNumber"], log["transactionHash"].to_0x_hex(), log["logIndex"]
    )
