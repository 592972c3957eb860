"""Anvil whose chain survives it: what it knows is written down whenever a block was added, and read at its next start.

Anvil's own dump is written in place, and only where it is ended in the right way: one that is killed would lose money,
or all of it in the middle of a write. So its state is asked for, and put in place whole.
"""

from __future__ import annotations

import gzip
from pathlib import Path

from nexus_chain.chain.connection import ChainConnection, connect
from nexus_chain.chain.errors import ChainError, RpcUnreachableError
from nexus_chain.chain.local import LOCAL_CHAIN_ID, anvil_command
from nexus_chain.staging import write_whole
from nexus_chain.workflows.local_network.children import ChildPlan
from nexus_chain.workflows.local_network.plan import CHAIN

PLAY_WEI = 1_000 * 10**18
"""What an account that runs low gets."""
LOW_WEI = 100 * 10**18


class KeptChain:
    """The chain of a local network; ``state``: the file that it goes on from."""

    def __init__(self, port: int, state: Path) -> None:
        self.url, self._port, self._state = f"http://127.0.0.1:{port}", port, state
        self._kept: bytes | None = None
        self._connection: ChainConnection | None = None

    def plan(self) -> ChildPlan:
        """How Anvil is started now. Raises LocalChainError where it is not installed."""
        loaded = ["--load-state", str(self._state)] if self._state.is_file() else []
        return ChildPlan(CHAIN, (*anvil_command(self._port), *loaded), grace=10.0)

    def answers(self) -> bool:
        """Whether it can be asked."""
        try:
            _ = self.connection
        except RpcUnreachableError:
            return False
        return True

    def keep(self, *, always: bool = False) -> bool:
        """Write the chain down if it has a new block, or ``always``; whether that was possible.

        A chain that does not answer is not written down: whoever keeps it running knows. Raises OSError.
        """
        try:
            head = self.connection.block().hash
            if head == self._kept and not always:
                return True
            dumped = str(self.connection.request("anvil_dumpState"))
        except ChainError:
            return False
        write_whole(self._state, gzip.decompress(bytes.fromhex(dumped.removeprefix("0x"))).decode(), 0o600)
        self._kept = head
        return True

    def fund(self, address: str) -> None:
        """Give an account play money where it has little. Raises ChainError."""
        if self.connection.balance(address) < LOW_WEI:
            self.connection.request("anvil_setBalance", address, hex(PLAY_WEI))

    @property
    def connection(self) -> ChainConnection:
        """Raises RpcUnreachableError."""
        if self._connection is None:
            self._connection = connect(self.url, LOCAL_CHAIN_ID, retries=0)
        return self._connection
