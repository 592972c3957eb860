"""What a chain has mined."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nexus_chain.chain.abi_values import signature_hash
from nexus_chain.chain.connection import ChainConnection
from nexus_chain.chain.interfaces import abi
from nexus_chain.chain.rpc_answers import TransactionReceipt


def mined_since(connection: ChainConnection, first: int) -> Iterator[tuple[dict[str, Any], TransactionReceipt]]:
    """Every transaction in the blocks from ``first`` on, as the server gives it, and its receipt."""
    for number in range(first, connection.block_number() + 1):
        for transaction in connection.request("eth_getBlockByNumber", hex(number), True)["transactions"]:
            receipt = connection.receipt(transaction["hash"])
            assert receipt is not None
            yield transaction, receipt


def called(transaction: dict[str, Any], contract: str) -> str:
    """The function of ``contract`` that a transaction calls; ``transfer`` where it calls none."""
    selector = bytes.fromhex(transaction["input"][2:10])
    functions = (entry for entry in abi(contract) if entry["type"] == "function")
    return next((str(entry["name"]) for entry in functions if signature_hash(entry)[:4] == selector), "transfer")
