"""scripts/deploy.py through ape, as people run it, against a chain at some address."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployment import Deployment
from nexus_chain.chain.local import DEVELOPMENT_KEYS, anvil
from nexus_chain.chain.wallet import Wallet
from tests.support.chain_world import ROOT


def ape_deploy(rpc_url: str, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "scripts" / "ape.sh"), "run", "deploy", "--network", rpc_url, "--out", str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, env={**os.environ, "COLUMNS": "200"})


def test_ape_deploys_once_and_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    out, payer = tmp_path / "d.json", Wallet.from_hex(DEVELOPMENT_KEYS[0])
    with anvil() as chain:
        done = ape_deploy(chain.rpc_url, out, "--preset", "local", "--chain-id", "31337")
        assert done.returncode == 0, done.stderr
        contracts = Contracts.connect(chain.rpc_url, out)
        assert contracts.vault.beneficiary() == payer.address
        assert contracts.nodes.timing().challenge_window == 60
        written, blocks = out.read_bytes(), chain.connection.block_number()
        again = ape_deploy(chain.rpc_url, out, "--preset", "local")
        assert (again.returncode, "has this deployment already" in again.stdout) == (0, True)
        assert (out.read_bytes(), chain.connection.block_number()) == (written, blocks)
        elsewhere = ape_deploy(chain.rpc_url, tmp_path / "other.json", "--chain-id", "1")
        assert elsewhere.returncode == 1
        assert "this is chain 31337, not chain 1" in elsewhere.stderr + elsewhere.stdout
        assert not (tmp_path / "other.json").exists()
    assert Deployment.load(out).chain_id == 31337


def test_a_real_chain_needs_named_accounts(tmp_path: Path) -> None:
    with anvil(chain_id=4242) as chain:
        nobody = ape_deploy(chain.rpc_url, tmp_path / "d.json", "--preset", "mainnet")
        assert (nobody.returncode, "--account" in nobody.stderr + nobody.stdout) == (2, True)
        toy = ape_deploy(chain.rpc_url, tmp_path / "d.json", "--preset", "local")
        assert (toy.returncode, "real one" in toy.stderr + toy.stdout) == (1, True)
        assert chain.connection.block_number() == 0
