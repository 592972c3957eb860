"""Whose transaction used a nonce, as the blocks say."""

from __future__ import annotations

from nexus_chain.chain.connection import ChainConnection
from nexus_chain.chain.errors import RpcRefusedError
from nexus_chain.chain.rpc_answers import block_hashes

DEEP_BLOCKS = 64
"""Servers keep the state of some 128 blocks. A nonce that was used so many blocks ago is believed to be another's: a
server that lags behind our receipt would have to lag as far."""


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
