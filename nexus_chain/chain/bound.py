"""What every typed contract class shares: reading, sending, events.

Knows ABIs, not meanings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from nexus_chain.chain.connection import BlockName, ChainConnection
from nexus_chain.chain.errors import ContractMissingError, TransactionError, WalletError
from nexus_chain.chain.interface_calls import ContractCall, contract_call, event_in, event_topic, event_topics
from nexus_chain.chain.interfaces import abi
from nexus_chain.chain.rpc_answers import LogEntry, TransactionReceipt
from nexus_chain.chain.transactions import Mined, Sender
from nexus_chain.market.documents import checksum

if TYPE_CHECKING:
    from web3 import Web3
    from web3.contract.contract import Contract, ContractFunction

#: Blocks per log query: public RPC servers refuse larger ranges.
BLOCKS_PER_QUERY = 5_000
#: Entries per page of the registries' lists.
PAGE = 100


@dataclass(frozen=True)
class ChainEvent:
    """One event of one contract; ``arguments`` are named as in Solidity, structs in them too."""

    name: str
    arguments: dict[str, Any]
    block: int
    transaction: str
    log_index: int


_Found = TypeVar("_Found")


def in_ranges(query: Callable[[int, int], _Found], first: int, last: int) -> Iterator[tuple[int, _Found]]:
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

    def __init__(self, connection: ChainConnection, address: str, sender: Sender | None = None) -> None:
        """``sender`` is needed to send; without one the class only reads."""
        self.connection, self.address, self.sender = connection, checksum(address), sender

    def require_code(self) -> None:
        """Raise ContractMissingError unless there is a contract at the address."""
        if not self.connection.code(self.address):
            raise ContractMissingError(
                f"there is no {self.CONTRACT} at {self.address} on this chain",
                advice="The chain was reset or the deployment file is another chain's: deploy again, or give this "
                "chain's file. Nothing in the home folder is lost by it.",
            )

    def events(
        self, name: str, from_block: int = 0, to_block: int | None = None, *, where: Mapping[str, Any] | None = None
    ) -> Iterator[ChainEvent]:
        """Events ``name`` in blocks [from_block, to_block], oldest first; ``where`` matches indexed arguments."""
        last = self.connection.block_number() if to_block is None else to_block
        topics = event_topics(self.CONTRACT, name, where or {})
        for _, found in in_ranges(lambda first, stop: self._found(topics, first, stop), from_block, last):
            yield from found

    def events_of(self, names: Collection[str], from_block: int, to_block: int) -> list[ChainEvent]:
        """Events of several names in blocks [from_block, to_block], in the order they happened: one query.

        Keep to ``BLOCKS_PER_QUERY`` blocks.
        """
        return self._found([[event_topic(self.CONTRACT, name) for name in names]], from_block, to_block)

    def _found(self, topics: Sequence[Any], first: int, last: int) -> list[ChainEvent]:
        logs = self.connection.logs(self.address, topics, first, last)
        return [_chain_event(self.CONTRACT, log) for log in logs]

    def call(self, name: str, *arguments: Any) -> ContractCall:
        """A view to be read together with others, by ``batch.read_together``."""
        return contract_call(self.CONTRACT, self.address, name, arguments)

    def events_in(self, receipt: TransactionReceipt, name: str) -> list[ChainEvent]:
        """Events ``name`` of this contract in one transaction's receipt."""
        topic = event_topic(self.CONTRACT, name)
        mine = [log for log in receipt.logs if log.address == self.address and log.topics[:1] == (topic,)]
        return [_chain_event(self.CONTRACT, log) for log in mine]

    def encode(self, name: str, *arguments: Any) -> bytes:
        """The data of a transaction that calls ``name``, for somebody else to send."""
        return self.call(name, *arguments).data

    def _read(self, name: str, *arguments: Any) -> Any:
        return self._read_at("latest", name, *arguments)

    def _read_at(self, block: BlockName, name: str, *arguments: Any) -> Any:
        """After ``block``."""
        call = self.call(name, *arguments)
        return call.value(self.connection.call(call.fields, block))

    def _send(self, name: str, *arguments: Any, value: int = 0, note: str = "", wish: str = "") -> Mined:
        """``note``, ``wish``: as of ``Sender.send``."""
        return self._sender_for(name).send(self._function(name, *arguments), value, note, wish)

    def _hand_in(self, name: str, *arguments: Any, wish: str) -> bool:
        """As ``Sender.hand_in``."""
        return self._sender_for(name).hand_in(self._function(name, *arguments), wish)

    def _sender_for(self, name: str) -> Sender:
        if self.sender is None:
            raise WalletError(f"{self.CONTRACT}.{name} needs a wallet", advice="Open one and pass its sender.")
        return self.sender

    def _function(self, name: str, *arguments: Any) -> ContractFunction:
        """What is sent, as web3 builds it."""
        function: ContractFunction = self._contract.functions[name](*arguments)
        return function

    @cached_property
    def _contract(self) -> Contract:
        return self.web3.eth.contract(address=self.address, abi=abi(self.CONTRACT))

    @property
    def web3(self) -> Web3:
        """As of ``ChainConnection``."""
        return self.connection.web3

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


def _chain_event(contract: str, log: LogEntry) -> ChainEvent:
    """Raises TransactionError where the log is no event of the contract."""
    name, arguments = event_in(contract, log)
    return ChainEvent(name, arguments, log.block, log.transaction, log.index)
