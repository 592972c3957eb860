"""A stake in one wallet, a machine with another: real processes on a real chain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.wallet import Wallet
from tests.support.network import PRICE, Network, NodeProcess, network
from tests.support.order_client import OrderClient
from tests.support.waiting import wait_until
from tests.support.workplace import PROMPT

STAKE = 10**17


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("network")) as made:
        yield made


class Machine:
    """A node's machine, and the contracts as the account that stakes for it uses them."""

    def __init__(self, net: Network, folder: Path) -> None:
        cold = Wallet.ephemeral()
        net.chain.set_balance(cold.address, 10**18)
        self.owner = Contracts.at(net.chain.connection, net.deployment, cold)
        self.process = NodeProcess(net, folder, 0, 1, extra=("--staker", cold.address))
        self.wallet, self.process.address = self.process.address, cold.address
        self.net = net

    def identity(self) -> dict[str, Any]:
        done = self.process.run("identity")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def register(self) -> None:
        told = self.identity()
        key_hash = bytes.fromhex(told["tls_key_hash"][2:])
        self.owner.nodes.register(told["endpoint"], key_hash, told["receipt_key"], stake=STAKE)

    def announce(self, end: int = 1, price: int = PRICE) -> None:
        self.owner.nodes.announce(self.net.version, 0, end, price)

    def refusal(self, *words: str) -> str:
        done = self.process.run(*words)
        assert done.returncode == 1, done.stdout
        return done.stderr


@pytest.fixture
def machine(net: Network, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(net, tmp_path / "machine")
    yield made
    if made.process.process is not None:
        made.process.stop()


def test_what_it_prints_is_what_the_registry_has_to_hold(net: Network, machine: Machine) -> None:
    told = machine.identity()
    assert (told["node"], told["wallet"]) == (machine.process.address, machine.wallet)
    assert len({told["node"], told["wallet"], told["receipt_key"]}) == 3
    assert (told["layers"], told["price"]) == ([0, 1], str(PRICE))
    assert (told["chain_id"], told["node_registry"]) == (net.deployment.chain_id, net.deployment.node_registry)
    assert told["model_version"] == "0x" + net.version.hex()
    assert told == machine.identity()  # the keys stay


def test_the_machine_decides_nothing_about_the_stake(machine: Machine) -> None:
    for words in (("register",), ("unbond",), ("post-root",)):
        assert f"the stake is {machine.process.address}'s" in machine.refusal(*words)
    assert "is not a registered node" in machine.refusal("start", "--yes")
    machine.register()
    assert "announces nothing of this version" in machine.refusal("start")
    machine.announce(end=2)
    assert "announces layers 0-2 of this version" in machine.refusal("start")


def test_it_serves_and_is_paid_where_the_stake_is(net: Network, machine: Machine, tmp_path: Path) -> None:
    machine.register()
    machine.announce()
    last = NodeProcess(net, tmp_path / "last", 1, 3)
    assert last.run("register").returncode == 0
    last.start()
    said = machine.process.start()
    assert machine.process.address in said
    assert f"for {PRICE} wei a token" in said
    client = OrderClient(net, [machine.process, last])
    try:
        client.begin()
        net.user.market.close(client.session)
        market, address = net.user.market, machine.process.address
        earned = len(PROMPT) * PRICE
        # Its own wallet posts and settles ...
        wait_until(lambda: market.line_of(client.session, address).cumulative == earned)
        net.chain.advance(120)
        wait_until(lambda: market.line_of(client.session, address).settled)
        # ... and the money waits for the account that staked.
        assert market.balance_of(address) == earned - earned // 10
        assert "withdrew" not in machine.process.run("withdraw").stdout
        assert market.balance_of(address) == earned - earned // 10
        status = json.loads(machine.process.run("status", "--json").stdout)
        assert (status["node"], status["withdrawable_wei"]) == (address, earned - earned // 10)
        assert status["wallet_wei"] == net.chain.connection.balance(machine.wallet)
        machine.owner.market.withdraw()
        assert market.balance_of(address) == 0
    finally:
        client.hang_up()
        last.stop()
    said = machine.process.stop()
    assert machine.process.code == 0, said


def test_an_account_that_is_none_is_refused(net: Network, tmp_path: Path) -> None:
    node = NodeProcess(net, tmp_path / "node", 0, 1, extra=("--staker", "0x12"))
    done = node.run("identity")
    assert done.returncode == 1
    assert "staker = '0x12' is no address" in done.stderr
