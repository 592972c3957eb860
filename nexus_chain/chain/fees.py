"""What a transaction offers for its gas, on chains of every age.

With a base fee: EIP-1559 fields, with head-room for a base fee that leaps. Without: one gas price.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_chain.chain.connection import ChainConnection
from nexus_chain.chain.errors import TransactionError
from nexus_chain.chain.rpc_answers import quantity

GWEI = 10**9
FEE_FIELDS = ("maxPriorityFeePerGas", "maxFeePerGas", "gasPrice")


def current_fees(connection: ChainConnection, priority_fee: int | None = None) -> dict[str, int]:
    """Fee fields for now, wei per gas. ``priority_fee``: None asks the chain."""
    base = base_fee(connection)
    if base is None:
        price = connection.gas_price()
        return {"gasPrice": price + price // 4}
    tip = _tip(connection, base) if priority_fee is None else priority_fee
    # Twice: six full blocks. From zero only the tip is head-room: whoever waits offers more where fees rise past it.
    return {"maxPriorityFeePerGas": tip, "maxFeePerGas": 2 * base + tip}


def base_fee(connection: ChainConnection) -> int | None:
    """The latest block's, wei per gas; None on a chain without."""
    return connection.block().base_fee


def _tip(connection: ChainConnection, base: int) -> int:
    """What the server suggests, by whichever of its methods it has."""
    asked: tuple[tuple[str, list[Any]], ...] = (
        ("eth_maxPriorityFeePerGas", []),
        ("eth_feeHistory", ["0x5", "latest", [50]]),
        ("eth_gasPrice", []),
    )
    for method, parameters in asked:
        try:
            return _tip_in(method, connection.request(method, *parameters), base)
        except (TransactionError, KeyError, TypeError, ValueError, IndexError):
            continue
    return GWEI


def _tip_in(method: str, answer: Any, base: int) -> int:
    if method == "eth_feeHistory":
        rewards = sorted(quantity(entry[0]) for entry in answer["reward"])
        return rewards[len(rewards) // 2]
    return max(0, quantity(answer) - (base if method == "eth_gasPrice" else 0))


def most_per_gas(fields: Mapping[str, Any]) -> int:
    """The most that a gas can cost with these fields, wei."""
    return int(fields.get("maxFeePerGas", fields.get("gasPrice", 0)))


def raised(fields: Mapping[str, Any], now: Mapping[str, int]) -> dict[str, Any]:
    """``fields`` as a replacement: what costs now, and an eighth more than before, which nodes ask for."""
    return {
        **fields,
        **{name: max(int(now.get(name, 0)), int(fields[name]) * 9 // 8 + 1) for name in FEE_FIELDS if name in fields},
    }
