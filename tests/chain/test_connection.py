"""Connections, deployment files and the local chain fail with what to do next."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from nexus_chain.chain.connection import connect, shown_url
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployer import DEPLOYMENT_PRESETS, ArtefactCreator, check_preset, deploy
from nexus_chain.chain.deployment import Deployment
from nexus_chain.chain.errors import (
    ContractMissingError,
    DeploymentError,
    LocalChainError,
    RpcUnreachableError,
    WrongChainError,
)
from nexus_chain.chain.local import DEVELOPMENT_KEYS, LocalChain, anvil, free_port
from nexus_chain.chain.wallet import Wallet

SAMPLE = Deployment(
    31337, *("0x" + f"{i:040x}" for i in range(1, 8)), block=3, preset="local", parameters={"clock": 60}
)


def test_wrong_chain_is_named(local_chain: LocalChain) -> None:
    assert connect(local_chain.rpc_url, 31337).chain_id() == 31337
    with pytest.raises(WrongChainError, match="serves chain 31337, not chain 1"):
        connect(local_chain.rpc_url, 1)
    with pytest.raises(WrongChainError):
        Contracts.connect(local_chain.rpc_url, replace(SAMPLE, chain_id=5))


def test_a_free_port_is_none_that_an_outgoing_connection_could_take() -> None:
    ports = {free_port() for _ in range(50)}
    assert len(ports) > 40
    assert max(ports) < 32_768  # where Linux begins; others begin later
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()


def test_nobody_there_is_said_without_secrets() -> None:
    url = f"http://user:secret@127.0.0.1:{free_port()}/v3/apikey"
    with pytest.raises(RpcUnreachableError) as raised:
        connect(url, retries=0)
    assert "secret" not in str(raised.value)
    assert "apikey" not in str(raised.value)
    assert shown_url(url).startswith("http://127.0.0.1:")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8545", "ftp://x", "file:///etc/passwd"])
def test_not_an_rpc_address(url: str) -> None:
    with pytest.raises(RpcUnreachableError, match="not an RPC address"):
        connect(url)


@pytest.fixture(params=[(200, b"<html>hello</html>"), (404, b"no"), (200, b"{}")])
def web_page(request: pytest.FixtureRequest) -> Iterator[str]:
    status, body = request.param

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_web_page_is_not_a_chain(web_page: str) -> None:
    with pytest.raises(RpcUnreachableError, match="no chain answers"):
        connect(web_page, retries=0)


def test_deployment_file_round_trip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path))
    path = SAMPLE.save()
    assert path == tmp_path / "deployments" / "31337.json"
    assert Deployment.load(31337) == Deployment.load(path) == SAMPLE
    assert SAMPLE.domain.verifying_contract == SAMPLE.inference_market
    assert [entry.name for entry in path.parent.iterdir()] == ["31337.json"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"chain_id": 1}', "\x00", "[" * 100_000])
def test_broken_deployment_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(content)
    with pytest.raises(DeploymentError):
        Deployment.load(path)
    with pytest.raises(DeploymentError, match="no deployment file"):
        Deployment.load(tmp_path / "none.json")


def test_unknown_member_is_refused(tmp_path: Path) -> None:
    path = SAMPLE.save(tmp_path / "d.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "extra": 1}))
    with pytest.raises(DeploymentError):
        Deployment.load(path)


def test_deploying_twice_changes_nothing_and_a_reset_chain_starts_over(tmp_path: Path) -> None:
    path, owner = tmp_path / "d.json", Wallet.from_hex(DEVELOPMENT_KEYS[0])
    with anvil() as chain:
        creator = ArtefactCreator(chain.connection, owner)
        first, created = deploy(creator, owner.address, preset="local", path=path)
        assert created
        assert (chain.connection.block_number(), first.parameters["challenge_window"]) == (7, 60)
        assert deploy(creator, owner.address, preset="local", path=path) == (first, False)
        assert chain.connection.block_number() == 7
        with pytest.raises(WrongChainError, match="not chain 1"):
            deploy(creator, owner.address, preset="local", path=path, expected_chain_id=1)
        with pytest.raises(DeploymentError, match="has a deployment with preset 'local'"):
            deploy(creator, owner.address, preset="mainnet", path=path)
    with anvil() as chain:
        with pytest.raises(ContractMissingError, match="deploy again"):
            Contracts.at(chain.connection, first)
        assert deploy(ArtefactCreator(chain.connection, owner), owner.address, preset="local", path=path)[1]


class Crashing(ArtefactCreator):
    """Stops between the registry, which foresees the dispute contract, and the market."""

    def create(self, contract: str, *arguments: object) -> tuple[str, int]:
        if contract == "InferenceMarket":
            raise ConnectionResetError
        return super().create(contract, *arguments)


def test_deployment_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path, owner = tmp_path / "d.json", Wallet.from_hex(DEVELOPMENT_KEYS[0])
    with anvil() as chain:
        with pytest.raises(ConnectionResetError):
            deploy(Crashing(chain.connection, owner), owner.address, preset="local", path=path)
        assert (chain.connection.block_number(), path.exists()) == (4, False)
        deployment, _ = deploy(ArtefactCreator(chain.connection, owner), owner.address, preset="local", path=path)
        assert chain.connection.block_number() == 7
        assert Contracts.at(chain.connection, deployment).vault.beneficiary() == owner.address
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["d.json"]


def test_registry_that_foresaw_another_dispute_contract_is_replaced(tmp_path: Path) -> None:
    path, owner = tmp_path / "d.json", Wallet.from_hex(DEVELOPMENT_KEYS[0])
    with anvil() as chain:
        with pytest.raises(ConnectionResetError):
            deploy(Crashing(chain.connection, owner), owner.address, preset="local", path=path)
        creator = ArtefactCreator(chain.connection, owner)
        creator.sender.transfer(owner.address, 1)  # takes the nonce that the registry counted on
        deployment, _ = deploy(creator, owner.address, preset="local", path=path)
        contracts = Contracts.at(chain.connection, deployment)
        assert contracts.nodes.dispute() == contracts.market.dispute() == deployment.dispute_game
        assert chain.connection.block_number() == 4 + 1 + 4  # registry, market, dispute game, certificates


def test_toy_numbers_are_refused_on_a_real_chain() -> None:
    with pytest.raises(WrongChainError, match="real one"):
        check_preset("local", 1)
    assert check_preset("mainnet", 1) is DEPLOYMENT_PRESETS["mainnet"]
    with pytest.raises(DeploymentError, match="no preset"):
        check_preset("lunar", 1)
    for preset in ("mainnet", "rollup"):
        times = DEPLOYMENT_PRESETS[preset]
        assert times.clock >= 24 * 3600
        assert times.challenge_window >= times.clock


def test_anvil_refuses_a_port_in_use(local_chain: LocalChain) -> None:
    port = int(local_chain.rpc_url.rsplit(":", 1)[1])
    with pytest.raises(LocalChainError, match="Choose another port"), anvil(port=port):
        pass
    assert local_chain.connection.chain_id() == 31337  # the first one is untouched
    os.kill(local_chain.process_id, 0)


def test_anvil_stops_with_its_block() -> None:
    with anvil(chain_id=4242) as chain:
        assert connect(chain.rpc_url, 4242).block_number() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(chain.process_id, 0)


def test_a_long_chain_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: Anvil wrote the state after every block into the home, 68 GB within a day of tests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with anvil() as chain:
        chain.connection.request("anvil_mine", hex(1_000))
        address = "0x" + "11" * 20
        assert chain.connection.transaction_count(address, 1_000 - 128) == 0, "as servers of real chains"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_anvil_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "anvil"
    broken.write_text("#!/bin/sh\necho out of luck >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalChainError, match="out of luck"), anvil():
        pass
