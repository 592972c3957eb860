"""The chain's time as a program can know it: the latest block's, or this machine's where that is later.

A quiet chain's last block is old, so only a block ahead of this machine's clock says anything.
"""

from __future__ import annotations

import threading
import time

from web3 import Web3
from web3.types import BlockData

from nexus_chain.chain.transactions import chain_errors


class ChainClock:
    """Tells the chain's time between blocks. Any thread may ask."""

    def __init__(self, web3: Web3) -> None:
        self._web3 = web3
        self._ahead = 0.0  # seconds by which a block was ever seen ahead of this machine
        self._lock = threading.Lock()

    def now(self) -> int:
        """Unix seconds; asks nobody."""
        return int(time.time() + self._ahead)

    def head(self) -> BlockData:
        """The latest block, whose time is noted for ``now``. Raises RpcUnreachableError."""
        with chain_errors(self._web3):
            block = self._web3.eth.get_block("latest")
        self.note(block["timestamp"])
        return block

    def look(self) -> int:
        """Read the latest block's time; returns ``now()``."""
        self.head()
        return self.now()

    def note(self, block_time: int) -> None:
        """Take in the time of a block that came with another read."""
        with self._lock:
            self._ahead = max(self._ahead, block_time - time.time())


def chain_time(web3: Web3) -> int:
    """The chain's time now, from one read of the latest block. Raises RpcUnreachableError."""
    return ChainClock(web3).look()


def no_earlier_than(block_time: int) -> int:
    """The chain's time now, where a block of ``block_time`` has just been read."""
    return max(block_time, int(time.time()))
