"""The client that is written from docs/wire.md alone buys an answer from real nodes, and our verification passes it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.chain.wallet import Wallet
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.evidence.verify import verify_proof
from nexus_chain.program.sampling import Sampling
from node.cli.app import run
from scripts import second_client
from tests.support.live_network import LiveNetwork, live_network
from tests.support.network import PRICE
from tests.support.waiting import WAIT

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "second_client.py"
PROMPT = "def fib(n):"
PASSWORD = "another client"
#: Layer ranges: with a first, a middle and a last segment, and all in one.
ROUTES = {"three nodes": ((0, 1), (1, 2), (2, 3)), "one node": ((0, 3),)}


@pytest.fixture(scope="module", params=ROUTES)
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    with live_network(tmp_path_factory.mktemp("live"), split=ROUTES[request.param], copies=1) as made:
        yield made


@pytest.fixture
def user(live: LiveNetwork, tmp_path: Path) -> Wallet:
    """A funded wallet, its keystore and password in ``tmp_path``."""
    (tmp_path / "password").write_text(PASSWORD + "\n")
    wallet = Wallet.create(tmp_path / "wallet.json", PASSWORD, work=2**10)
    live.net.chain.set_balance(wallet.address, 10**19)
    return wallet


def command(live: LiveNetwork, folder: Path, *words: object) -> list[str]:
    """What starts the script; ``words``: more of its options."""
    options = (
        "--rpc", live.net.chain.rpc_url, "--deployment", live.net.deployment_path, "--prompt", PROMPT,
        "--wallet", folder / "wallet.json", "--password-file", folder / "password",
        "--tokenizer", live.folder / "model" / "tokenizer.json", "--out", folder / "answer.json",
    )  # fmt: skip
    return [str(word) for word in (sys.executable, "-P", SCRIPT, *options, *words)]


def buy(live: LiveNetwork, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """One run of the script, as a process that has nothing of ours to import."""
    return subprocess.run(
        command(live, folder, *words), cwd=folder, env={}, capture_output=True, text=True, timeout=WAIT
    )


def test_buys_an_answer_that_our_verification_passes(live: LiveNetwork, user: Wallet, tmp_path: Path) -> None:
    done = buy(live, tmp_path, "--max-tokens", 50)
    assert done.returncode == 0, done.stderr
    expected = live.expected(PROMPT, 50)
    assert done.stdout == live.files.codec.decode(expected) + "\n"
    proof = InferenceProof.load(tmp_path / "answer.json")
    assert list(proof.tokens[proof.prompt_length :]) == expected
    report = verify_proof(proof, live.model)
    assert report.passed, report
    assert len(report.fragments) == len(proof.receipts) == 4 * len(live.nodes)  # chunks of 4, 8, 16 and 21
    assert proof.cost_wei == len(live.nodes) * PRICE * (proof.prompt_length + 49)
    assert live.net.user.market.session_of(proof.order.session).end > 0
    assert (tmp_path / "answer.json").stat().st_mode & 0o077 == 0
    assert (tmp_path / "answer.json.session").stat().st_mode & 0o077 == 0


def test_nexus_verify_accepts_the_file(live: LiveNetwork, user: Wallet, tmp_path: Path) -> None:
    assert buy(live, tmp_path, "--max-tokens", 1).returncode == 0
    settings = ("--rpc", live.net.chain.rpc_url, "--deployment", live.net.deployment_path, "--home", tmp_path)
    arguments = (*settings, "--model-dir", live.folder / "model", "verify", tmp_path / "answer.json", "--level", "full")
    assert run([str(argument) for argument in arguments]) == 0


def test_samples_at_a_temperature(live: LiveNetwork, user: Wallet, tmp_path: Path) -> None:
    assert buy(live, tmp_path, "--max-tokens", 9, "--temperature", 0.8).returncode == 0
    proof = InferenceProof.load(tmp_path / "answer.json")
    sampling = Sampling.at_temperature(0.8, proof.order.sampling_seed)
    assert proof.order.sampling == sampling.beta
    assert list(proof.tokens[proof.prompt_length :]) == live.expected(PROMPT, 9, sampling)
    assert verify_proof(proof, live.model).passed


def test_layers_that_nobody_serves_cost_nothing(live: LiveNetwork, user: Wallet, tmp_path: Path) -> None:
    victim = live.nodes[-1][0]
    victim.kill()
    try:
        done = buy(live, tmp_path)
    finally:
        live.start(victim)
    assert done.returncode == 1
    assert "no nodes that answer cover its layers" in done.stderr
    assert live.net.chain.connection.balance(user.address) == 10**19
    assert not (tmp_path / "answer.json").exists()


def test_an_answer_that_breaks_off_leaves_its_evidence(
    live: LiveNetwork, user: Wallet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = len(live.files.codec.encode(PROMPT))
    ask, peers = second_client.Peer.ask, set[second_client.Peer]()

    def cut(peer: second_client.Peer, kind: int, call: dict[int, Any], *rest: Any) -> Any:
        peers.add(peer)
        if kind == 4 and call[2] == prompt + 14:
            raise ConnectionResetError("the line is cut")
        return ask(peer, kind, call, *rest)

    monkeypatch.setattr(second_client.Peer, "ask", cut)
    monkeypatch.setattr(sys, "argv", command(live, tmp_path, "--max-tokens", 40)[2:])
    assert second_client.main() == "the line is cut"
    for peer in peers:
        peer.socket.close()
    proof = InferenceProof.load(tmp_path / "answer.json")
    assert list(proof.tokens[prompt:]) == live.expected(PROMPT, 15)
    ends = [receipt.to_position for receipt, _ in proof.receipts]
    assert ends == [prompt + 4] * len(live.nodes) + [prompt + 12] * len(live.nodes)
    assert all(fragment.verified for fragment in verify_proof(proof, live.model).fragments)
    assert live.net.user.market.session_of(proof.order.session).end > 0


def test_imports_libraries_only_and_is_short() -> None:
    source = SCRIPT.read_text()
    assert len(source.splitlines()) <= 400
    imported = set[str]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).split(".")[0])
    assert imported.isdisjoint({"nexus_chain", "node", "scripts", "tests", "importlib", "runpy"})
    assert json.dumps(sorted(imported - set(sys.stdlib_module_names))) == json.dumps(
        ["coincurve", "cryptography", "eth_abi", "eth_account", "eth_utils", "google", "numpy", "tokenizers", "web3"]
    )
