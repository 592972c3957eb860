"""The demo's machinery: a chain, contracts deployed through ape, node processes, a gas report.

Every node is a ``nexus-node`` process with its own wallet, folder and port; the user side runs the
real ``nexus`` command inside the demo's process. Nothing here knows the story that ``demo.py`` tells.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nexus_chain.chain.abi_values import signature_hash
from nexus_chain.chain.connection import ChainConnection
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployment import CONTRACT_FIELDS, Deployment
from nexus_chain.chain.interfaces import abi
from nexus_chain.chain.local import DEVELOPMENT_KEYS, LocalChain, free_port
from nexus_chain.chain.rpc_answers import TransactionReceipt
from nexus_chain.chain.wallet import Wallet
from nexus_chain.market.documents import checksum
from node.cli.app import run as run_nexus

ROOT = Path(__file__).resolve().parents[2]
STAKE_WEI = 10**17
DEMO_SCRYPT_WORK = 2**12  # wallets that live for a minute and hold play money


class DemoError(Exception):
    """A step of the demo failed; the message says which and what it printed."""


@dataclass
class ShardProcess:
    """One node: its folder, its port, its process while it runs."""

    name: str
    folder: Path
    arguments: Sequence[str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    program: Sequence[str] = ("-m", "node.daemon")
    environment: dict[str, str] | None = None

    def create_wallet(self, chain: LocalChain, password: str) -> str:
        """Make the wallet and give it play money; returns its address."""
        self.folder.mkdir(parents=True)
        (self.folder / "password").write_text(password + "\n")
        (self.folder / "password").chmod(0o600)
        wallet = Wallet.create(self.folder / "wallet.json", password, work=DEMO_SCRYPT_WORK)
        chain.set_balance(wallet.address, 10**18)
        self.address = wallet.address
        return self.address

    def command(self, *words: str) -> list[str]:
        folder = str(self.folder)
        own = ["--data", folder, "--password-file", f"{folder}/password", "--listen", f"127.0.0.1:{self.port}"]
        return [sys.executable, *self.program, *own, *self.arguments, *words]

    def run(self, *words: str) -> str:
        """One ``nexus-node`` command to its end; returns what it said. Raises DemoError."""
        done = subprocess.run(self.command(*words), cwd=ROOT, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise DemoError(f"{self.name}: nexus-node {' '.join(words)} failed: {done.stderr.strip()}")
        return done.stdout.strip()

    def launch(self) -> None:
        """Start the daemon; ``wait_until_serving`` says when it is ready."""
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                self.command("start"), cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, env=self.environment
            )

    def wait_until_serving(self) -> str:
        """The daemon's line that it serves. Raises DemoError when it stopped instead."""
        stdout = self._running.stdout
        line = stdout.readline().strip() if stdout else ""
        if not line:
            raise DemoError(f"{self.name} did not start: {(self.folder / 'log').read_text().strip()}")
        return line

    def kill(self) -> None:
        """SIGKILL: the process is gone between two instructions, as in a power cut."""
        self._running.kill()
        self._wait()

    def stop(self) -> None:
        """SIGTERM: open chunks are finished first."""
        if self.process is not None:
            self.process.terminate()
            self._wait()

    @property
    def _running(self) -> subprocess.Popen[str]:
        if self.process is None:
            raise DemoError(f"{self.name} is not running")
        return self.process

    def _wait(self) -> None:
        process = self._running
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        self.process = None


def shard_settings(
    chain: LocalChain, deployment: Path, block: str, version: bytes, price_wei: int, settle_seconds: float = 0.5
) -> list[str]:
    """``nexus-node``'s settings for one shard of a version on a local chain; one engine thread."""
    return [
        "--rpc", chain.rpc_url,
        "--chain-id", str(chain.chain_id),
        "--deployment", str(deployment),
        "--block", block,
        "--model-version", "0x" + version.hex(),
        "--price", str(price_wei),
        "--threads", "1",
        "--settle-interval", str(settle_seconds),
        "--withdraw-above", "0",
    ]  # fmt: skip


@contextmanager
def running(nodes: Sequence[ShardProcess]) -> Iterator[None]:
    """Stop every node that still runs, whatever happens inside the block."""
    try:
        yield
    finally:
        for node in nodes:
            node.stop()


def in_parallel(nodes: Sequence[ShardProcess], *words: str) -> list[str]:
    """The same ``nexus-node`` command for several nodes at once."""
    with ThreadPoolExecutor(len(nodes)) as pool:
        return list(pool.map(lambda node: node.run(*words), nodes))


def deploy_through_ape(rpc_url: str, out: Path) -> Deployment:
    """Compile and deploy the contracts with ``ape run deploy``. Raises DemoError."""
    words = ["run", "deploy", "--network", rpc_url, "--preset", "local", "--out", str(out)]
    done = subprocess.run([ROOT / "scripts/ape.sh", *words], cwd=ROOT, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise DemoError(f"ape run deploy failed: {(done.stderr or done.stdout).strip()}")
    return Deployment.load(out)


def contracts_for(chain: LocalChain, deployment: Deployment, account: int = 0) -> Contracts:
    """The contracts, with one of Anvil's public development accounts as wallet."""
    return Contracts.at(chain.connection, deployment, Wallet.from_hex(DEVELOPMENT_KEYS[account]))


def nexus(*words: str) -> dict[str, Any]:
    """The ``nexus`` command with ``--json``; returns its document. Raises DemoError unless it exits with 0."""
    code, document = nexus_verdict(*words)
    if code != 0:
        raise DemoError(f"nexus {' '.join(words)} failed: {json.dumps(document)}")
    return document


def nexus_verdict(*words: str) -> tuple[int, dict[str, Any]]:
    """As ``nexus``, but a failed check is an answer too: (exit code, document)."""
    said, noted = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(noted):
        code = run_nexus([*words, "--json"])
    try:
        return code, json.loads(said.getvalue())
    except ValueError:
        raise DemoError(f"nexus {' '.join(words)} exited with {code}: {noted.getvalue().strip()}") from None


def set_user_environment(home: Path, rpc_url: str, deployment: Path, password: str) -> None:
    """What a user would export in the shell."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "password").write_text(password + "\n")
    (home / "password").chmod(0o600)
    os.environ.update(
        NEXUS_HOME=str(home),
        NEXUS_RPC=rpc_url,
        NEXUS_DEPLOYMENT=str(deployment),
        NEXUS_PASSWORD_FILE=str(home / "password"),
    )


def gas_by_call(contracts: Contracts) -> dict[str, int]:
    """Median gas of every kind of call that the chain has seen, by contract function."""
    spent: dict[str, list[int]] = defaultdict(list)
    names = _function_names(contracts)
    created = {getattr(contracts.deployment, place): name for place, name in CONTRACT_FIELDS.items()}
    for transaction, receipt in _mined(contracts.connection, 0):
        name = names.get(_called(transaction), "transfer")
        if receipt.contract is not None:
            name = f"deploy {created[receipt.contract]}"
        if receipt.succeeded:
            spent[name].append(receipt.gas)
    return {name: sorted(values)[len(values) // 2] for name, values in sorted(spent.items())}


def moves_of_games(contracts: Contracts, since: int) -> list[tuple[str, int, str]]:
    """Every transaction to the dispute contract from block ``since`` on: (move, gas, sender)."""
    names, found = _function_names(contracts), []
    for transaction, receipt in _mined(contracts.connection, since):
        if _called(transaction)[0] == contracts.disputes.address and receipt.succeeded:
            found.append((names[_called(transaction)], receipt.gas, checksum(transaction["from"])))
    return found


def _mined(connection: ChainConnection, since: int) -> Iterator[tuple[dict[str, Any], TransactionReceipt]]:
    """Every transaction from block ``since`` on, as the server gives it, and its receipt."""
    for number in range(since, connection.block_number() + 1):
        for transaction in connection.request("eth_getBlockByNumber", hex(number), True)["transactions"]:
            if (receipt := connection.receipt(transaction["hash"])) is not None:
                yield transaction, receipt


def _called(transaction: dict[str, Any]) -> tuple[str, bytes]:
    """The contract and the selector; empty where it creates one."""
    to = transaction.get("to")
    return ("" if to is None else checksum(to)), bytes.fromhex(transaction["input"][2:10])


def _function_names(contracts: Contracts) -> dict[tuple[str, bytes], str]:
    """Function name by (contract address, selector)."""
    registries = (contracts.nodes, contracts.models, contracts.certificates)
    bound = (*registries, contracts.market, contracts.vault, contracts.disputes)
    return {
        (contract.address, signature_hash(entry)[:4]): entry["name"]
        for contract in bound
        for entry in abi(contract.CONTRACT)
        if entry["type"] == "function"
    }
