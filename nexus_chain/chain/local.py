"""A local chain for tests and the demo: Anvil on a free loopback port.

Starts one process, stops that one and no other. Anvil comes from PATH or from the
repository's ``node_modules``. Knows nothing of our contracts.
"""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nexus_chain.chain.connection import ChainConnection, connect
from nexus_chain.chain.errors import LocalChainError, RpcUnreachableError

#: Anvil's public development keys (mnemonic "test test ... junk"): worthless anywhere else.
DEVELOPMENT_KEYS: tuple[str, ...] = (
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    "0x92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
    "0x4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
    "0xdbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
    "0x2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
)
LOCAL_CHAIN_ID = 31337
_START_SECONDS = 15.0
#: Blocks whose state can be read. Without a number Anvil writes every one to the disk, a megabyte each, for ever.
_KEPT_STATES = 256
#: Below the nodes of `nexus up`, and below what Linux, macOS and Windows give to outgoing connections.
_PORTS = range(12_000, 20_000)


@dataclass(frozen=True)
class LocalChain:
    """A running Anvil."""

    rpc_url: str
    chain_id: int
    process_id: int
    connection: ChainConnection

    def advance(self, seconds: int) -> None:
        """Let ``seconds`` pass on the chain and mine one block there."""
        self._request("evm_increaseTime", seconds)
        self._request("evm_mine")

    def set_balance(self, address: str, wei: int) -> None:
        """Give ``address`` exactly ``wei``."""
        self._request("anvil_setBalance", address, hex(wei))

    def _request(self, method: str, *params: object) -> None:
        self.connection.request(method, *params)


def find_anvil() -> Path:
    """The ``anvil`` on PATH, else the repository's own. Raises LocalChainError."""
    found = shutil.which("anvil")
    if found:
        return Path(found)
    for folder in (Path.cwd(), *Path(__file__).resolve().parents):
        candidate = folder / "node_modules" / ".bin" / "anvil"
        if candidate.exists():
            return candidate
    raise LocalChainError(
        "anvil is not installed",
        advice="Run `make setup`, install Foundry, or run `npm install @foundry-rs/anvil` in this folder.",
    )


def anvil_command(port: int, chain_id: int = LOCAL_CHAIN_ID) -> list[str]:
    """The command line of an Anvil on this loopback port. Raises LocalChainError where it is not installed."""
    where = ["--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id)]
    return [str(find_anvil()), *where, "--prune-history", str(_KEPT_STATES), "--silent"]


def free_port() -> int:
    """A loopback TCP port that was free a moment ago.

    It is none of those that a system gives to outgoing connections: one of them could take it before it is used.
    Raises LocalChainError where none is free.
    """
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        if port_error(port) is None:
            return port
    raise LocalChainError("no port is free", advice="End programs that listen on 127.0.0.1, and run this again.")


@contextmanager
def anvil(
    *,
    port: int | None = None,
    chain_id: int = LOCAL_CHAIN_ID,
    block_time: int | None = None,
    hardfork: str | None = None,
) -> Iterator[LocalChain]:
    """Run Anvil on 127.0.0.1 for the length of a ``with`` block.

    ``block_time``: seconds between blocks; None mines every transaction at once. ``hardfork``: its rules, by Anvil's
    name; None takes Anvil's latest.
    Raises LocalChainError (not installed, port in use).
    """
    port = free_port() if port is None else port
    _require_free(port)
    command = anvil_command(port, chain_id)
    if block_time is not None:
        command += ["--block-time", str(block_time)]
    if hardfork is not None:
        command += ["--hardfork", hardfork]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        url = f"http://127.0.0.1:{port}"
        yield LocalChain(url, chain_id, process.pid, _wait_until_ready(process, url, chain_id))
    finally:
        _stop(process)


def _require_free(port: int) -> None:
    """Somebody else's server on this port would answer in Anvil's place."""
    if reason := port_error(port):
        raise LocalChainError(
            f"port {port} cannot be used ({reason.strerror})", advice="Choose another port, or none for a free one."
        ) from reason


def port_error(port: int) -> OSError | None:
    """Why a server cannot listen on this loopback port now; None: it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error
    return None


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, chain_id: int) -> ChainConnection:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        if process.poll() is not None:
            said = (process.stderr.read() if process.stderr else b"").decode(errors="replace").strip()
            raise LocalChainError(
                f"anvil stopped at once ({said.splitlines()[-1] if said else 'no message'})",
                advice=f"Is another process listening at {url}? Choose another port.",
            )
        try:
            return connect(url, chain_id, retries=0)
        except RpcUnreachableError:
            if time.monotonic() > deadline:
                raise LocalChainError(
                    f"anvil did not answer at {url} within {_START_SECONDS:.0f} s", advice="Is the machine overloaded?"
                ) from None
            time.sleep(0.03)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stderr:
        process.stderr.close()
