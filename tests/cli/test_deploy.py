"""``nexus deploy``: the shipped artefacts on a chain, once, whatever breaks off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.chain.deployer import ArtefactCreator
from nexus_chain.chain.deployment import CONTRACT_FIELDS, Deployment
from nexus_chain.chain.errors import RpcUnreachableError
from nexus_chain.chain.interfaces import creation_code
from nexus_chain.chain.local import LocalChain, anvil
from nexus_chain.market.documents import checksum
from tests.support.invocation import Nexus
from tests.support.mined import mined_since


@pytest.fixture
def chain() -> Iterator[LocalChain]:
    with anvil() as running:
        yield running


def created_by(chain: LocalChain) -> dict[str, str]:
    """Data of every creation on the chain, by the contract's address."""
    mined = mined_since(chain.connection, 1)
    return {receipt.contract: sent["input"] for sent, receipt in mined if receipt.contract is not None}


def test_what_stands_is_what_is_shipped(nexus: Nexus, chain: LocalChain, tmp_path: Path) -> None:
    settings = ("--rpc", chain.rpc_url, "--home", tmp_path)
    made = nexus(*settings, "deploy", "--json")
    assert (made.code, made.json["created"]) == (0, True), made.err
    path = tmp_path / "deployments" / "31337.json"
    assert made.json["file"] == str(path)
    deployment, data = Deployment.load(path), created_by(chain)
    for field, contract in CONTRACT_FIELDS.items():
        address = getattr(deployment, field)
        assert address == checksum(address)
        assert data[address].startswith(creation_code(contract))
    assert len(data) == len(CONTRACT_FIELDS)
    assert [entry.name for entry in path.parent.iterdir()] == ["31337.json"]

    blocks, written = chain.connection.block_number(), path.read_bytes()
    second = nexus(*settings, "deploy")
    assert (second.code, chain.connection.block_number(), path.read_bytes()) == (0, blocks, written)
    assert "has this deployment already" in second.err
    assert second.out.splitlines()[0].split() == ["GenesisVault", deployment.genesis_vault]

    assert nexus(*settings, "deploy", "--again", "--json").json["created"]
    assert Deployment.load(path).inference_market != deployment.inference_market
    assert Deployment.load(path.with_suffix(".old-1.json")) == deployment


@pytest.mark.parametrize("breaks", range(7))
@pytest.mark.parametrize("sent", [False, True])
def test_a_deployment_that_breaks_off_goes_on(
    nexus: Nexus, chain: LocalChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: int, sent: bool
) -> None:
    settings = ("--rpc", chain.rpc_url, "--home", tmp_path)
    create, created = ArtefactCreator.create, []

    def failing(self: ArtefactCreator, contract: str, *arguments: Any) -> tuple[str, int]:
        created.append(contract)
        lost = len(created) == breaks + 1
        if lost and not sent:
            raise RpcUnreachableError("no chain answers", advice="Look.")
        made = create(self, contract, *arguments)
        if lost:
            raise RpcUnreachableError("no chain answers", advice="Look.")
        return made

    monkeypatch.setattr(ArtefactCreator, "create", failing)
    broken = nexus(*settings, "deploy", "--json")
    assert broken.code == 1
    assert f"{breaks} of 7 contracts stand" in broken.json["error"]["message"]
    assert "run the command again" in broken.json["error"]["advice"]
    assert not (tmp_path / "deployments" / "31337.json").exists()
    done = nexus(*settings, "deploy", "--json")
    assert done.code == 0, done.err
    assert len(created_by(chain)) == 7
    assert len(created) == (7 if sent else 8)
    assert not list((tmp_path / "deployments").glob("*unfinished*"))


def test_a_damaged_note_of_what_stands_is_said(nexus: Nexus, chain: LocalChain, tmp_path: Path) -> None:
    note = tmp_path / "deployments" / "31337.unfinished.json"
    note.parent.mkdir()
    for text in ("{", "[]", json.dumps({"GenesisVault": {"address": "0x"}})):
        note.write_text(text)
        failed = nexus("--rpc", chain.rpc_url, "--home", tmp_path, "deploy", "--json")
        assert (failed.code, failed.json["error"]["type"]) == (1, "DeploymentError")
    assert chain.connection.block_number() == 0


def test_a_real_chain_needs_choices(nexus: Nexus, tmp_path: Path) -> None:
    with anvil(chain_id=4242) as chain:
        settings = ("--rpc", chain.rpc_url, "--home", tmp_path)
        for given, told in [
            ((), "--preset"),
            (("--preset", "mainnet"), "--beneficiary"),
            (("--preset", "mainnet", "--beneficiary", "0x" + "11" * 20), "there is no wallet"),
        ]:
            failed = nexus(*settings, "deploy", *given)
            assert (failed.code, told in failed.err) == (1, True), failed.err
        assert chain.connection.block_number() == 0
