"""An account's nonces: which one is next, which are missing, and whose transaction used one."""

from __future__ import annotations

from collections.abc import Collection

from nexus_chain.chain.connection import ChainConnection
from nexus_chain.chain.errors import RpcNonsenseError, RpcRefusedError
from nexus_chain.chain.provider import shown_url
from nexus_chain.chain.rpc_answers import block_hashes

MOST_PENDING = 64
"""Transactions of one account that a server's pool holds; Geth's own limit."""
DEEP_BLOCKS = 64
"""Servers keep the state of some 128 blocks. A nonce that was used so many blocks ago is believed to be another's: a
server that lags behind our receipt would have to lag as far."""


def next_nonce(connection: ChainConnection, address: str, ours: int = 0) -> int:
    """The nonce after every transaction of ``address`` that the server knows, mined or not.

    ``ours``: how many this wallet has under way.
    Raises RpcNonsenseError where that is far beyond the latest block: what is signed with it would wait for ever.
    """
    pending, latest = (connection.transaction_count(address, name) for name in ("pending", "latest"))
    if pending > latest + MOST_PENDING + ours:
        raise RpcNonsenseError(
            f"the RPC server {shown_url(connection.provider.endpoint_uri)} tells of {pending - latest} transactions of "
            f"{address} that are not mined, more than any server holds",
            advice="Nothing was signed. Try again later, or give another RPC address.",
        )
    # A server that lags may have an older count of what is pending; the latest block's is never older than known.
    return max(pending, latest)


def missing_before(connection: ChainConnection, address: str, nonce: int, ours: Collection[int]) -> str:
    """What keeps a transaction with ``nonce`` waiting, in words: nonces before it that nobody is known to use.

    ``ours``: nonces of this wallet's own transactions that are not mined. Empty where none is missing.
    """
    latest, pending = (connection.transaction_count(address, name) for name in ("latest", "pending"))
    missing = [number for number in range(latest, min(nonce, latest + MOST_PENDING)) if number not in ours]
    if not missing or pending > missing[0]:
        return ""
    return (
        f"it has nonce {nonce}, and no transaction of the wallet with nonce {missing[0]} is known, which has to come "
        "before it: send that one again from the program that made it, or send nothing to yourself with that nonce"
    )


def is_of_others(connection: ChainConnection, address: str, nonce: int, ours: frozenset[str]) -> bool:
    """Whether another transaction than ``ours`` (hashes, 0x, lower case) used ``nonce`` of ``address``.

    False also where that cannot be seen: the account may have used it in a block that the server does not know.
    Raises RpcUnreachableError, and TransactionError where an answer makes no sense.
    """
    head = connection.block_number()

    def is_used(block: int) -> bool:
        return connection.transaction_count(address, block) > nonce

    if not is_used(head):
        return False
    used, unused, step = head, -1, 1
    while used > 0:
        earlier = max(0, head - step)
        try:
            if not is_used(earlier):
                unused = earlier
                break
        except RpcRefusedError:  # it is kept no more, or not known yet
            return head - used >= DEEP_BLOCKS
        used, step = earlier, 2 * step
    while used - unused > 1:
        middle = (used + unused) // 2
        used, unused = (middle, unused) if is_used(middle) else (used, middle)
    return not ours & block_hashes(connection.request("eth_getBlockByNumber", hex(used), False))
