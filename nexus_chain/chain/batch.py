"""Several reads of the chain in one request.

It uses the provider alone and no state of Web3's, so several threads may read at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.exceptions import DecodingError
from web3 import Web3
from web3.contract.contract import ContractFunction
from web3.types import RPCEndpoint

from nexus_chain.chain.errors import ContractRevertedError, TransactionError
from nexus_chain.chain.reverts import decode_revert
from nexus_chain.chain.transactions import chain_errors

WORD_BYTES = 32
"""What a contract returns is whole words."""


@dataclass(frozen=True)
class ReadTogether:
    """What the chain's latest block said: its timestamp, and each call's value or why the contract refused it."""

    timestamp: int
    values: tuple[Any, ...]


def read_together(web3: Web3, calls: Sequence[ContractFunction]) -> ReadTogether:
    """Read ``calls`` and the block's time at once.

    A call of one output gives it, others a tuple; structs are tuples, addresses as the codec gives them. Raises
    RpcUnreachableError, and TransactionError where the server answers nonsense.
    """
    requests: list[tuple[RPCEndpoint, Any]] = [(RPCEndpoint("eth_getBlockByNumber"), ["latest", False])]
    for call in calls:
        transaction = {"to": call.address, "data": call._encode_transaction_data()}
        requests.append((RPCEndpoint("eth_call"), [transaction, "latest"]))
    with chain_errors(web3):
        answers = _answers(web3, requests)
    try:
        values = tuple(_value(web3, call, answer) for call, answer in zip(calls, answers[1:], strict=True))
        return ReadTogether(int(answers[0]["result"]["timestamp"], 16), values)
    except (KeyError, TypeError, ValueError, AttributeError, DecodingError) as error:
        raise TransactionError(
            f"the answer of the chain's RPC server makes no sense ({type(error).__name__}: {error})",
            advice="Check that the deployment file belongs to this chain, or try another RPC server.",
        ) from error


def _answers(web3: Web3, requests: list[tuple[RPCEndpoint, Any]]) -> list[Any]:
    """One answer a request; one after the other where the server takes no batches."""
    provider: Any = web3.provider
    together = provider.make_batch_request(requests)
    if isinstance(together, list) and len(together) == len(requests):
        return together
    return [provider.make_request(method, parameters) for method, parameters in requests]


def _value(web3: Web3, call: ContractFunction, answer: Any) -> Any:
    if "error" in answer:
        data, message = answer["error"].get("data"), str(answer["error"].get("message", ""))
        if not isinstance(data, str) and "revert" not in message:
            raise ValueError(message[:200])
        return decode_revert(data if isinstance(data, str) else None, message)
    outputs = [_type(entry) for entry in call.abi["outputs"]]
    data = bytes.fromhex(answer["result"].removeprefix("0x"))
    if not data or len(data) % WORD_BYTES:
        raise ValueError(f"{len(data)} bytes are no words")
    decoded = web3.codec.decode(outputs, data)
    return decoded[0] if len(outputs) == 1 else decoded


def _type(entry: Any) -> str:
    """The canonical type of an ABI entry, structs spelt out."""
    kind = str(entry["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(_type(part) for part in entry['components'])}){kind.removeprefix('tuple')}"


def require_value(value: Any) -> Any:
    """``value`` of a read; raises the ContractRevertedError that stands in its place."""
    if isinstance(value, ContractRevertedError):
        raise value
    return value
