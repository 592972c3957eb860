"""An account's nonces: which one is next, which are missing, and whose transaction used one."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from nexus_chain.chain.connection import ChainConnection
from nexus_chain.chain.errors import RpcKeyRefusedError, RpcNonsenseError, RpcRefusedError
from nexus_chain.chain.provider import shown_url
from nexus_chain.chain.rpc_answers import block_hashes

MOST_PENDING = 64
"""More transactions of one account than wait anywhere by right."""
RECOUNT_SECONDS = 0.2


@dataclass(frozen=True)
class NonceUse:
    """Who used a nonce. ``ours``: whether our transaction did; None: no block says so, or none that is kept.

    ``block``: where ours is.
    """

    ours: bool | None
    block: int = 0


UNKNOWN = NonceUse(None)


def next_nonce(connection: ChainConnection, address: str, ours: int = 0) -> int:
    """The nonce after every transaction of ``address`` that the server knows, mined or not.

    ``ours``: how many this wallet has under way. Raises RpcNonsenseError where that is far beyond the latest block:
    what is signed with it would wait for ever.
    """
    pending, latest = pending_count(connection, address), connection.transaction_count(address)
    if pending > latest + ours:  # of another program, or of a server that remembers what all others have dropped
        time.sleep(RECOUNT_SECONDS)
        pending = min(pending, pending_count(connection, address))
    if pending > latest + ours + MOST_PENDING:
        raise RpcNonsenseError(
            f"the RPC server {shown_url(connection.provider.endpoint_uri)} tells of {pending - latest} transactions of "
            f"{address} that are not mined, unusually many",
            advice="Nothing was signed. Try again later, or give another RPC address.",
        )
    # A server that lags may have an older count of what is pending; the latest block's is never older than known.
    return max(pending, latest)


def pending_count(connection: ChainConnection, address: str) -> int:
    """With what is not mined yet, where the server has that."""
    try:
        return connection.transaction_count(address, "pending")
    except RpcRefusedError as error:
        if "pending" not in error.said:
            raise
        return connection.transaction_count(address)


def missing_before(connection: ChainConnection, address: str, nonce: int, ours: Collection[int]) -> str:
    """What keeps a transaction with ``nonce`` waiting, in words: a nonce before it that nobody is known to use.

    ``ours``: nonces of this wallet's own transactions that are not mined. Empty where none is missing.
    """
    latest, pending = connection.transaction_count(address), pending_count(connection, address)
    missing = [number for number in range(latest, min(nonce, latest + MOST_PENDING)) if number not in ours]
    if not missing or pending > missing[0]:
        return ""
    return (
        f"it has nonce {nonce}, and no transaction of the wallet with nonce {missing[0]} is known, which has to come "
        "before it: whatever this wallet sends next takes its place"
    )


def user_of(
    connection: ChainConnection, address: str, nonce: int, ours: frozenset[str], *, confirmations: int = 1
) -> NonceUse:
    """Whether one of ``ours`` (hashes, 0x, lower case) or another transaction used ``nonce`` of ``address``.

    Counts of the account lead to the block that used it, and its hashes say by which. ``confirmations``: blocks that
    this block and those after it have to make up. Raises RpcUnreachableError, and TransactionError where an answer
    makes no sense.
    """

    def is_used(block: int) -> bool:
        return connection.transaction_count(address, block) > nonce

    head = max(0, connection.block_number() - confirmations + 1)
    try:
        found = _first_use(head, is_used)
        if found is None:
            return UNKNOWN
        hashes = block_hashes(connection.request("eth_getBlockByNumber", hex(found), False))
        if not is_used(found) or (found and is_used(found - 1)):  # another fork's block came between
            return UNKNOWN
    except (RpcRefusedError, RpcKeyRefusedError):  # that state is kept no more, or not known yet
        return UNKNOWN
    return NonceUse(True, found) if ours & hashes else NonceUse(False)


def _first_use(head: int, is_used: Callable[[int], bool]) -> int | None:
    """The block of (-1, head] in which a nonce was used: looked for near the head first; None where it is unused."""
    if not is_used(head):
        return None
    used, unused, step = head, -1, 1
    while used > 0:
        earlier = max(0, head - step)
        if not is_used(earlier):
            unused = earlier
            break
        used, step = earlier, 2 * step
    while used - unused > 1:
        middle = (used + unused) // 2
        used, unused = (middle, unused) if is_used(middle) else (used, middle)
    return used
