"""The compiled contracts that are shipped: what the sources compile to, to the byte."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nexus_chain.chain.deployer import ArtefactCreator
from nexus_chain.chain.interfaces import CONTRACTS
from nexus_chain.chain.local import LocalChain
from nexus_chain.chain.wallet import Wallet
from scripts.contract_artefacts import ROOT, TARGET, compile_contracts, compiled_from, current_texts, is_current

#: A contract's code may be this long on a chain (EIP-170).
LONGEST_CODE = 24_576


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of all that decides what the contracts compile to, and of what says so."""
    for name in ("package.json", "foundry.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "contracts", tmp_path / "contracts")
    shutil.copytree(TARGET, tmp_path / TARGET.relative_to(ROOT))
    assert is_current(tmp_path)
    return tmp_path


def test_shipped_artefacts_are_what_the_sources_compile_to() -> None:
    compiled = current_texts(compile_contracts())
    assert sorted(compiled) == sorted(path.name for path in TARGET.iterdir())
    for name, text in compiled.items():
        assert (TARGET / name).read_text() == text, f"{name}: run make generate"


def test_a_changed_source_is_noticed_without_compiling(sources: Path) -> None:
    contract = next(iter((sources / "contracts").rglob("NodeRegistry.sol")))
    contract.write_text(contract.read_text() + "\n")
    assert not is_current(sources)


def test_a_changed_setting_is_noticed_without_compiling(sources: Path) -> None:
    settings = sources / "foundry.toml"
    settings.write_text(settings.read_text().replace("optimizer_runs = 200", "optimizer_runs = 201"))
    assert compiled_from(sources) != compiled_from()


def test_a_missing_source_is_noticed_without_compiling(sources: Path) -> None:
    next(iter((sources / "contracts").rglob("NodeRegistry.sol"))).unlink()
    assert not is_current(sources)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_deployed_size_is_stated_and_fits_a_chain(contract: str) -> None:
    assert 0 < json.loads((TARGET / f"{contract}.json").read_text())["deployed_size"] <= LONGEST_CODE


def test_stated_size_is_the_deployed_code(local_chain: LocalChain) -> None:
    wallet = Wallet.ephemeral()
    local_chain.set_balance(wallet.address, 10**19)
    address, _ = ArtefactCreator(local_chain.connection, wallet).create("StepVerifier")
    stated = json.loads((TARGET / "StepVerifier.json").read_text())["deployed_size"]
    assert len(local_chain.connection.code(address)) == stated
