"""What answers of an RPC server say: numbers, bytes, blocks, logs, receipts.

INVARIANT: a server is a stranger: what is not as it should be raises TransactionError, and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from nexus_chain.chain.errors import TransactionError
from nexus_chain.market.documents import checksum
from nexus_chain.market.errors import DocumentFormatError

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}\Z")
_BYTES = re.compile(r"0x(?:[0-9a-fA-F]{2})*\Z")
HASH_BYTES = 32


@dataclass(frozen=True)
class BlockHead:
    """A block without its transactions. ``timestamp``: Unix seconds; ``base_fee``: wei per gas, None: it has none."""

    number: int
    hash: bytes
    timestamp: int
    base_fee: int | None = None


@dataclass(frozen=True)
class LogEntry:
    """What a contract said in a transaction; ``transaction`` is its hash (0x hex), ``index`` counts in the block."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes
    block: int
    transaction: str
    index: int


@dataclass(frozen=True)
class TransactionReceipt:
    """How a mined transaction went. ``transaction``: its hash (0x hex); ``price``: wei per gas, None: not said.

    ``contract``: the address of what it created.
    """

    transaction: str
    block: int
    succeeded: bool
    gas: int
    price: int | None
    contract: str | None
    logs: tuple[LogEntry, ...]


def nonsense(what: object) -> TransactionError:
    """The error for an answer that cannot be one."""
    return TransactionError(
        f"the answer of the chain's RPC server makes no sense ({what})"[:400],
        advice="Check that the deployment file belongs to this chain, or try another RPC server.",
    )


def quantity(value: Any) -> int:
    """A number of at most 32 bytes."""
    if not isinstance(value, str) or not _QUANTITY.match(value):
        raise nonsense(f"{value!r:.80} is no number")
    return int(value, 16)


def content(value: Any) -> bytes:
    """Bytes."""
    if not isinstance(value, str) or not _BYTES.match(value):
        raise nonsense(f"{value!r:.80} is no hexadecimal")
    return bytes.fromhex(value[2:])


def block_head(value: Any) -> BlockHead:
    """A block."""
    fields = _object(value)
    fee = fields.get("baseFeePerGas")
    number, timestamp = quantity(fields.get("number")), quantity(fields.get("timestamp"))
    return BlockHead(number, _hash(fields.get("hash")), timestamp, None if fee is None else quantity(fee))


def block_hashes(value: Any) -> frozenset[str]:
    """Hashes (0x hex, lower case) of a block's transactions."""
    return frozenset("0x" + _hash(one).hex() for one in _list(_object(value).get("transactions")))


def _log_entry(value: Any) -> LogEntry:
    """One log."""
    fields = _object(value)
    return LogEntry(
        _address(fields.get("address")),
        tuple(_hash(topic) for topic in _list(fields.get("topics"))),
        content(fields.get("data")),
        quantity(fields.get("blockNumber")),
        "0x" + _hash(fields.get("transactionHash")).hex(),
        quantity(fields.get("logIndex")),
    )


def log_entries(value: Any) -> list[LogEntry]:
    """Logs in their order."""
    return [_log_entry(entry) for entry in _list(value)]


def transaction_receipt(value: Any) -> TransactionReceipt:
    """A receipt."""
    fields = _object(value)
    price, contract = fields.get("effectiveGasPrice"), fields.get("contractAddress")
    return TransactionReceipt(
        "0x" + _hash(fields.get("transactionHash")).hex(),
        quantity(fields.get("blockNumber")),
        quantity(fields.get("status")) == 1,
        quantity(fields.get("gasUsed")),
        None if price is None else quantity(price),
        None if contract is None else _address(contract),
        tuple(log_entries(fields.get("logs"))),
    )


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise nonsense(f"{value!r:.80} is no object")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise nonsense(f"{value!r:.80} is no list")
    return value


def _hash(value: Any) -> bytes:
    found = content(value)
    if len(found) != HASH_BYTES:
        raise nonsense(f"{value!r:.80} is no hash")
    return found


def _address(value: Any) -> str:
    try:
        return checksum(value)
    except DocumentFormatError as error:
        raise nonsense(error.message) from error
