"""What a transaction offers for its gas, on chains of every age.

With a base fee: EIP-1559 fields, with head-room for a base fee that leaps. Without: one gas price.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from web3 import Web3
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint

GWEI = 10**9
FEE_FIELDS = ("maxPriorityFeePerGas", "maxFeePerGas", "gasPrice")


def current_fees(web3: Web3, priority_fee: int | None = None) -> dict[str, int]:
    """Fee fields for now, wei per gas. ``priority_fee``: None asks the chain."""
    base = base_fee(web3)
    if base is None:
        price = int(web3.eth.gas_price)
        return {"gasPrice": price + price // 4}
    tip = _tip(web3, base) if priority_fee is None else priority_fee
    # Twice: six full blocks. From zero only the tip is head-room: whoever waits offers more where fees rise past it.
    return {"maxPriorityFeePerGas": tip, "maxFeePerGas": 2 * base + tip}


def base_fee(web3: Web3) -> int | None:
    """The latest block's, wei per gas; None on a chain without."""
    fee = web3.eth.get_block("latest").get("baseFeePerGas")
    return None if fee is None else int(fee)


def _tip(web3: Web3, base: int) -> int:
    """What the server suggests, by whichever of its methods it has."""
    asked: tuple[tuple[str, list[Any]], ...] = (
        ("eth_maxPriorityFeePerGas", []),
        ("eth_feeHistory", ["0x5", "latest", [50]]),
        ("eth_gasPrice", []),
    )
    for method, parameters in asked:
        try:
            return _tip_in(method, web3.manager.request_blocking(RPCEndpoint(method), parameters), base)
        except (Web3Exception, KeyError, TypeError, ValueError, IndexError):
            continue
    return GWEI


def _tip_in(method: str, answer: Any, base: int) -> int:
    if method == "eth_feeHistory":
        rewards = sorted(_number(entry[0]) for entry in answer["reward"])
        return rewards[len(rewards) // 2]
    return max(0, _number(answer) - (base if method == "eth_gasPrice" else 0))


def _number(value: Any) -> int:
    return int(value, 16) if isinstance(value, str) else int(value)


def most_per_gas(fields: Mapping[str, Any]) -> int:
    """The most that a gas can cost with these fields, wei."""
    return int(fields.get("maxFeePerGas", fields.get("gasPrice", 0)))


def raised(fields: Mapping[str, Any], now: Mapping[str, int]) -> dict[str, Any]:
    """``fields`` as a replacement: what costs now, and an eighth more than before, which nodes ask for."""
    return {
        **fields,
        **{name: max(int(now.get(name, 0)), int(fields[name]) * 9 // 8 + 1) for name in FEE_FIELDS if name in fields},
    }
