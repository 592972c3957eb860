"""The chain's time as a program can know it: the latest block's, or this machine's where that is later.

A quiet chain's last block is old, so only a block ahead of this machine's clock says anything.
"""

from __future__ import annotations

import threading
import time

from nexus_chain.chain.connection import ChainConnection
from nexus_chain.chain.rpc_answers import BlockHead


class ChainClock:
    """Tells the chain's time between blocks. Any thread may ask."""

    def __init__(self, connection: ChainConnection) -> None:
        self._connection = connection
        self._ahead = 0.0  # seconds by which a block was ever seen ahead of this machine
        self._lock = threading.Lock()

    def now(self) -> int:
        """Unix seconds; asks nobody."""
        return int(time.time() + self._ahead)

    def head(self) -> BlockHead:
        """The latest block, whose time is noted for ``now``. Raises RpcUnreachableError."""
        block = self._connection.block()
        self.note(block.timestamp)
        return block

    def look(self) -> int:
        """Read the latest block's time; returns ``now()``."""
        self.head()
        return self.now()

    def note(self, block_time: int) -> None:
        """Take in the time of a block that came with another read."""
        with self._lock:
            self._ahead = max(self._ahead, block_time - time.time())


def chain_time(connection: ChainConnection) -> int:
    """The chain's time now, from one read of the latest block. Raises RpcUnreachableError."""
    return ChainClock(connection).look()


def no_earlier_than(block_time: int) -> int:
    """The chain's time now, where a block of ``block_time`` has just been read."""
    return max(block_time, int(time.time()))
