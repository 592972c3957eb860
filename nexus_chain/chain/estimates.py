"""How much gas a call needs, of servers that may lag."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from nexus_chain.chain.connection import ChainConnection
from nexus_chain.chain.errors import ChainError, ContractRevertedError, RpcRefusedError
from nexus_chain.chain.web3_errors import chain_errors

if TYPE_CHECKING:
    from web3.types import TxParams

DOUBTED_SECONDS = 3.0
"""For so long a refusal is doubted that the latest block does not share."""
FIRST_PAUSE = 0.05


def estimated_gas(connection: ChainConnection, call: dict[str, Any]) -> int:
    """Gas. A refusal that the latest block does not share may be of a server that lags: it is asked again.

    Raises ContractRevertedError, RpcRefusedError, RpcUnreachableError.
    """
    started, pause = time.monotonic(), FIRST_PAUSE
    while True:
        try:
            return _estimated_once(connection, call)
        except ContractRevertedError:
            if time.monotonic() - started > DOUBTED_SECONDS or not _passes(connection, call):
                raise
        time.sleep(pause)
        pause *= 2


def _passes(connection: ChainConnection, call: dict[str, Any]) -> bool:
    """Whether the latest block allows the call, as far as can be seen."""
    try:
        connection.call(call)
    except ChainError:
        return False
    return True


def _estimated_once(connection: ChainConnection, call: dict[str, Any]) -> int:
    """For the coming block: a clock may allow there what it did not allow in the latest one."""
    fields, eth = cast("TxParams", call), connection.web3.eth
    with chain_errors(connection.web3):
        try:
            with chain_errors(connection.web3):
                return int(eth.estimate_gas(fields, "pending"))
        except RpcRefusedError as error:
            if "pending" not in error.said:
                raise
            return int(eth.estimate_gas(fields, "latest"))
