"""Whether the chain answers, is the right one, keeps time with this machine, and has the contracts."""

from __future__ import annotations

import time

from nexus_chain.chain.connection import connect
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployer import DEVELOPMENT_CHAINS
from nexus_chain.chain.deployment import CONTRACT_FIELDS
from nexus_chain.chain.provider import shown_url
from nexus_chain.diagnosis import FAIL, OK, WARN, Finding
from nexus_chain.market.documents import checksum

#: Seconds that a block may be ahead of this machine, and behind it, before somebody should look.
MOST_AHEAD, MOST_BEHIND = 60, 600


def chain_answers(rpc: str, chain_id: int | None) -> Finding:
    """Raises RpcUnreachableError, WrongChainError."""
    connection = connect(rpc, chain_id, retries=0)
    return Finding(OK, f"chain {connection.chain_id()} at {shown_url(rpc)}, block {connection.block_number()}")


def clock_skew(rpc: str) -> Finding:
    """Whether this machine's clock and the chain's agree. Raises ChainError."""
    connection = connect(rpc, retries=0)
    ahead = int(connection.block().timestamp - time.time())
    toy = connection.chain_id() in DEVELOPMENT_CHAINS
    if ahead > MOST_AHEAD:
        said = f"the latest block is {ahead} s ahead of this machine"
        if toy:
            return Finding(WARN, said, "A development chain whose clock was moved; programs follow the chain.")
        return Finding(FAIL, said, "Set this machine's clock (NTP).")
    if -ahead > MOST_BEHIND and not toy:
        said = f"the latest block is {-ahead} s old"
        return Finding(WARN, said, "The RPC server lags, or this machine's clock is ahead: compare both.")
    return Finding(OK, f"the latest block is {max(0, -ahead)} s old")


def contracts_stand(contracts: Contracts) -> Finding:
    """Whether every address of the deployment holds a contract. Raises ChainError."""
    missing = []
    for field, contract in CONTRACT_FIELDS.items():
        address = getattr(contracts.deployment, field)
        if not contracts.connection.code(checksum(address)):
            missing.append(f"{contract} at {address}")
    if missing:
        return Finding(FAIL, f"no code: {', '.join(missing)}", "The chain was reset, or the file is another chain's.")
    return Finding(OK, f"{len(CONTRACT_FIELDS)} contracts, market {contracts.deployment.inference_market}")


def balance_there(contracts: Contracts, address: str, least: int = 1) -> Finding:
    """Whether ``address`` has ``least`` wei. Raises ChainError."""
    held = contracts.connection.balance(checksum(address))
    if held < least:
        return Finding(WARN, f"{address} holds {held} wei", f"Send it at least {least - held} wei.")
    return Finding(OK, f"{address} holds {held} wei")
