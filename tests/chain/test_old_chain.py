"""Chains without the Cancun upgrade: money could come in there and never leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.chain.deployer import CANCUN_PROBE, DEPLOYMENT_PRESETS, ArtefactCreator, deploy
from nexus_chain.chain.errors import ChainError, DeploymentError
from nexus_chain.chain.local import DEVELOPMENT_KEYS, LocalChain, anvil
from nexus_chain.chain.wallet import Wallet

OWNER = Wallet.from_hex(DEVELOPMENT_KEYS[0])
ADDRESS = OWNER.address


@pytest.fixture(scope="module")
def shanghai() -> Iterator[LocalChain]:
    with anvil(hardfork="shanghai") as chain:
        yield chain


def test_nothing_is_created_on_a_chain_before_cancun(shanghai: LocalChain, tmp_path: Path) -> None:
    path = tmp_path / "deployment.json"
    creator = ArtefactCreator(shanghai.connection, OWNER)
    assert not creator.runs(CANCUN_PROBE)
    with pytest.raises(DeploymentError, match=r"EIP-1153.*EIP-5656"):
        deploy(creator, ADDRESS, preset="local", path=path)
    assert shanghai.connection.block_number() == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("contract", "arguments"),
    [
        ("GenesisVault", (ADDRESS,)),
        ("NodeRegistry", (ADDRESS, ADDRESS, ADDRESS, 1, (1, 1, 1, 1))),
    ],
)
def test_contracts_that_hold_money_refuse_such_a_chain(
    shanghai: LocalChain, contract: str, arguments: tuple[Any, ...]
) -> None:
    with pytest.raises(ChainError):
        ArtefactCreator(shanghai.connection, OWNER).create(contract, *arguments)
    with anvil(hardfork="cancun") as chain:
        creator = ArtefactCreator(chain.connection, OWNER)
        assert creator.runs(CANCUN_PROBE)
        address, _ = creator.create(contract, *arguments)
        assert creator.code_size(address)


def test_moves_are_longer_than_a_clock_may_jump() -> None:
    """A proof-of-stake chain stays within minutes; a rollup's sequencer may set its clock an hour ahead."""
    assert DEPLOYMENT_PRESETS["mainnet"].minimum_move == 3_600
    assert DEPLOYMENT_PRESETS["rollup"].minimum_move == 4 * 3_600
    assert all(preset.bounty * 10 <= preset.minimum_bond for preset in DEPLOYMENT_PRESETS.values())
