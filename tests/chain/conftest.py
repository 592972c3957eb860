"""A real chain for these tests: one Anvil for the whole run, fresh contracts for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployer import ArtefactCreator, deploy
from nexus_chain.chain.local import LocalChain, anvil
from nexus_chain.chain.wallet import Wallet
from tests.support.chain_world import STAKE, STATED, World


@pytest.fixture(scope="session")
def local_chain() -> Iterator[LocalChain]:
    with anvil() as running:
        yield running


@pytest.fixture
def world(local_chain: LocalChain, tmp_path: Path) -> World:
    wallets = [Wallet.ephemeral() for _ in range(4)]
    for wallet in wallets:
        local_chain.set_balance(wallet.address, 10**19)
    creator = ArtefactCreator(local_chain.web3, wallets[0])
    deployment, _ = deploy(creator, wallets[0].address, preset="local", path=tmp_path / "deployment.json")
    owner, user, *operators = (Contracts.at(local_chain.web3, deployment, wallet) for wallet in wallets)
    version, _ = owner.models.publish(STATED)
    for index, operator in enumerate(operators):
        operator.nodes.register(
            f"127.0.0.1:{5000 + index}", bytes([index + 1]) * 32, wallets[2 + index].address, stake=STAKE
        )
        operator.nodes.announce(version, 2 * index, 2 * index + 2, 5)
    return World(local_chain, owner, user, operators, Wallet.ephemeral(), version)
