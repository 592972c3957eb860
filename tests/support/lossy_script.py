"""Random scripts of a user's commands over a lossy RPC server, and what has to be true afterwards.

Every command starts anew from the home folder, as a process would, and is repeated until it succeeds.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nexus_chain.chain.contracts import Contracts, Sending
from nexus_chain.chain.errors import ContractRevertedError
from nexus_chain.chain.wallet import Wallet
from nexus_chain.client.client import Client
from nexus_chain.client.home import ClientHome
from nexus_chain.client.session import Session
from nexus_chain.client.session_key import load_key
from nexus_chain.errors import NexusError
from nexus_chain.market.documents import Line, Voucher
from nexus_chain.routing.registry_view import ShardNode, discover_nodes
from tests.support.chain_world import World
from tests.support.lossy_rpc import LOSSY_URL, LossyRpc
from tests.support.mined import called, mined_since

FUNDS = 10**18
PATIENT = 12
"""A command that failed so often meets no faults any more: it has to succeed then."""
COMMAND_SECONDS = 0.5


@dataclass
class Tally:
    """What happened over all scripts."""

    commands: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0


class LossyUser:
    """One wallet and one home folder. ``locked``: wei by session and node, as its commands said."""

    def __init__(self, world: World, rpc: LossyRpc, folder: Path, seed: int, tally: Tally) -> None:
        self.world, self.rpc, self.folder, self.tally = world, rpc, folder, tally
        self.random, self.wallet = random.Random(seed), Wallet.ephemeral()
        self.nodes: list[ShardNode] = discover_nodes(world.user, world.version)
        program = SimpleNamespace(shape=SimpleNamespace(layers=4), embedding_layer=None)
        self.files: Any = SimpleNamespace(program=program)
        self.locked: dict[bytes, dict[str, int]] = {}
        self.given, self.fetched, self.transactions = 0, 0, 0
        self.to = Wallet.ephemeral().address
        world.chain.set_balance(self.wallet.address, FUNDS)
        self.first_block = world.chain.connection.block_number()

    # ------------------------------------------------------------ the commands

    def client(self) -> Client:
        """As a new process opens it."""
        home = ClientHome(self.folder)
        sending = Sending(home.prepare().transactions, COMMAND_SECONDS)
        contracts = Contracts.connect(LOSSY_URL, self.world.user.deployment, self.wallet, sending)
        nodes = SimpleNamespace(candidates=lambda version, operators=(): self.nodes, now=contracts.market.now)
        return Client(contracts, home, None, nodes)  # type: ignore[arg-type]  # nobody dials

    def until_done(self, command: Callable[[Client], None]) -> None:
        """Repeat the command, each time as a new process, until it succeeds."""
        for attempt in range(4 * PATIENT):
            if attempt == PATIENT:
                self.rpc.calm()
            started = time.monotonic()
            self.tally.commands += 1
            try:
                with closing(self.client()) as client:
                    command(client)
                return
            except NexusError as error:
                self.tally.failures[type(error).__name__] += 1
                if attempt == 4 * PATIENT - 1:
                    raise
            finally:
                self.tally.longest = max(self.tally.longest, time.monotonic() - started)

    def open(self) -> None:
        tokens = self.random.choice((50, 100, 100, 200))

        def command(client: Client) -> None:
            session, _ = client.open_session(self.world.version, self.files, tokens=tokens)
            self.locked[session.id] = {node: line.cap for node, line in client.store.lines(session.id).items()}

        self.until_done(command)
        self.transactions += 1

    def allot(self) -> None:
        session, node = self._any(), self.random.choice(self.world.nodes)
        cap = self.locked[session][node] + self.random.randrange(1, 10_000)
        self.until_done(lambda client: self._allot(client, session, node, cap))
        self.locked[session][node] = cap
        self.transactions += 1

    def _allot(self, client: Client, session: bytes, node: str, cap: int) -> None:
        if client.contracts.market.line_of(session, node).cap < cap or client.contracts.sender.unfinished("allot"):  # type: ignore[union-attr]
            client.session(session, self.files).allot(node, cap)

    def give(self) -> None:
        wei = self.random.randrange(1, 1_000)
        self.until_done(lambda client: client.contracts.sender.transfer(self.to, wei) and None)  # type: ignore[union-attr]
        self.given += wei
        self.transactions += 1

    def pay(self) -> None:
        """A node posts a voucher over a lossy server too."""
        session = self._any()
        with closing(self.client_of_chain()) as client:
            key = load_key(ClientHome(self.folder).session_keys, client.store.session(session).signer)
        index = self.random.randrange(len(self.world.nodes))
        amount = self.random.randrange(1, self.locked[session][self.world.nodes[index]] + 1)
        voucher = Voucher(session, (Line(self.world.nodes[index], amount),))
        self.world.operators[index].market.post(voucher, Wallet(key).sign(voucher, self.world.user.domain))

    def finish(self) -> None:
        """Close, settle and withdraw all."""
        for session in self.locked:
            self.until_done(lambda client, session=session: self._close(client, session))  # type: ignore[misc]
        self.world.chain.advance(self.world.user.market.challenge_window() + 5)
        for session in self.locked:
            self.until_done(lambda client, session=session: self._settle(client, session))  # type: ignore[misc]
        owed = self.world.user.market.balance_of(self.wallet.address)
        self.until_done(lambda client: client.withdraw() and None)  # type: ignore[func-returns-value]
        self.fetched = owed
        self.transactions += 2 * len(self.locked) + (1 if owed else 0)

    def _close(self, client: Client, session: bytes) -> None:
        found: Session = client.session(session, self.files)
        try:
            found.close()
        except ContractRevertedError as error:
            if error.error_name != "InferenceMarket_SessionClosed":
                raise

    def _settle(self, client: Client, session: bytes) -> None:
        client.session(session, self.files).settle()

    def client_of_chain(self) -> Client:
        """Without faults."""
        contracts = self.world.user.with_wallet(self.wallet)
        return Client(contracts, ClientHome(self.folder), None, None)  # type: ignore[arg-type]

    def _any(self) -> bytes:
        return self.random.choice(sorted(self.locked))

    # ------------------------------------------------------------ what is true

    def check(self) -> None:
        """No wei was paid twice, none is locked without a record, and the home says what the chain says."""
        market, connection, address = self.world.user.market, self.world.chain.connection, self.wallet.address
        opened = [
            bytes(event.arguments["session"])
            for event in market.events("SessionOpened", self.first_block)
            if event.arguments["user"] == address
        ]
        assert sorted(opened) == sorted(self.locked), "each command opened one session"
        with closing(self.client_of_chain()) as client:
            for session, caps in self.locked.items():
                assert {node: market.line_of(session, node).cap for node in caps} == caps
                assert {node: line.cap for node, line in client.store.lines(session).items()} == caps
                load_key(ClientHome(self.folder).session_keys, client.store.session(session).signer)
            assert client.contracts.sender is not None
        succeeded: list[str] = []
        fees = 0
        for transaction, receipt in mined_since(connection, self.first_block):
            if transaction["from"] == address.lower():
                fees += receipt.gas * (receipt.price or 0)
                # One that reverted cost gas and did nothing: a server that lags may estimate too little gas for it.
                succeeded += [called(transaction, "InferenceMarket")] * receipt.succeeded
        assert len(succeeded) == self.transactions, f"one transaction for each command, of: {', '.join(succeeded)}"
        locked = sum(sum(caps.values()) for caps in self.locked.values())
        assert connection.balance(address) == FUNDS - locked - self.given + self.fetched - fees
        assert connection.balance(self.to) == self.given


def run_script(world: World, rpc: LossyRpc, folder: Path, seed: int, tally: Tally) -> None:
    """One script. ``rpc`` is what is behind LOSSY_URL."""
    user = LossyUser(world, rpc, folder, seed, tally)
    user.open()
    for _ in range(user.random.randrange(1, 5)):
        user.random.choice((user.open, user.allot, user.give, user.pay))()
    if user.random.random() < 0.5:
        user.finish()
    tally.faults.update({name: number for name, number in rpc.seen.items() if name})
    user.check()
