"""Several reads of the chain in one request. Several threads may read at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from nexus_chain.chain.connection import BlockName, ChainConnection, block_word
from nexus_chain.chain.errors import ContractRevertedError, RpcRefusedError
from nexus_chain.chain.interface_calls import ContractCall
from nexus_chain.chain.provider import RpcRequest
from nexus_chain.chain.reverts import revert_in
from nexus_chain.chain.rpc_answers import BlockHead, block_head, content, nonsense, quantity

#: Blocks that are asked for in one request.
_BLOCKS_TOGETHER = 100


@dataclass(frozen=True)
class ReadTogether:
    """What a block said: its timestamp, and each call's value or why the contract refused it."""

    timestamp: int
    values: tuple[Any, ...]


def read_together(
    connection: ChainConnection, calls: Sequence[ContractCall], name: BlockName = "latest"
) -> ReadTogether:
    """Read ``calls`` after the block ``name``, and its time, at once.

    A call of one output gives it, others a tuple; structs are tuples. Raises RpcUnreachableError, and TransactionError
    where the server answers nonsense.
    """
    word = block_word(name)
    requests: list[RpcRequest] = [("eth_getBlockByNumber", [word, False])]
    for call in calls:
        requests.append(("eth_call", [{"to": call.address, "data": "0x" + call.data.hex()}, word]))
    block, *answers = _answers(connection, requests)
    found = block.get("result") if isinstance(block, dict) else None
    time = quantity(found.get("timestamp") if isinstance(found, dict) else None)
    return ReadTogether(time, tuple(_value(call, answer) for call, answer in zip(calls, answers, strict=True)))


def read_blocks(connection: ChainConnection, numbers: Collection[int]) -> dict[int, BlockHead]:
    """The blocks of these numbers, many in a request. Raises TransactionError where the server lacks one."""
    wanted, found = sorted(set(numbers)), dict[int, BlockHead]()
    for start in range(0, len(wanted), _BLOCKS_TOGETHER):
        part = wanted[start : start + _BLOCKS_TOGETHER]
        requests: list[RpcRequest] = [("eth_getBlockByNumber", [block_word(number), False]) for number in part]
        for number, answer in zip(part, _answers(connection, requests), strict=True):
            if not isinstance(answer, dict):
                raise nonsense(f"{answer!r:.80} is no answer")
            found[number] = block_head(ChainConnection.result(answer))
    return found


def _answers(connection: ChainConnection, requests: list[RpcRequest]) -> list[Any]:
    """One answer a request; one after the other where the server takes no batches."""
    provider = connection.provider
    together: Any = provider.make_batch_request(requests)
    if isinstance(together, list) and len(together) == len(requests):
        return together
    return [provider.make_request(method, parameters) for method, parameters in requests]


def _value(call: ContractCall, answer: Any) -> Any:
    if not isinstance(answer, dict):
        raise nonsense(f"{answer!r:.80} is no answer")
    if (reverted := revert_in(answer.get("error"))) is not None:
        return reverted
    try:
        return call.value(content(ChainConnection.result(answer)))
    except RpcRefusedError as error:
        raise nonsense(error.message) from error


def require_value(value: Any) -> Any:
    """``value`` of a read; raises the ContractRevertedError that stands in its place."""
    if isinstance(value, ContractRevertedError):
        raise value
    return value
