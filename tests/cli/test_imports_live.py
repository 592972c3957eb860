"""What a command imports decides how soon it answers: who reads the chain, and who asks, needs no tensors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_chain.chain.wallet import Wallet
from tests.support.live_network import LiveNetwork, live_network

PASSWORD = "open sesame"
HEAVY = ("torch", "transformers", "z3", "gguf", "huggingface_hub", "sqlalchemy", "matplotlib", "ape", "fastapi")
SENDING = ("web3", "aiohttp", "eth_abi", "eth_account")
"""What builds and signs transactions: of no use to who reads."""
TENSORS = ("numpy", "tokenizers", "safetensors")
NODES = ("google", "cryptography")
"""What talks to nodes."""
ALL = (*HEAVY, *SENDING, *TENSORS, *NODES)
CODE = f"""
import sys
from {{program}} import run
code = run(sys.argv[1:])
found = [name for name in {ALL!r} if name in sys.modules]
print("imported", code, found, file=sys.stderr)
"""
USER, NODE = "node.cli.app", "node.daemon.command"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The flags of a user who has money and an open session."""
    with live_network(tmp_path_factory.mktemp("live"), copies=1) as live:
        yield opened(live, live.folder / "home")


def opened(live: LiveNetwork, home: Path) -> list[str]:
    home.mkdir()
    (home / "password").write_text(PASSWORD)
    wallet = Wallet.create(home / "wallet.json", PASSWORD, work=2**10)
    live.net.chain.set_balance(wallet.address, 10**19)
    given = {
        "--home": home, "--password-file": home / "password", "--rpc": live.net.chain.rpc_url,
        "--deployment": live.net.deployment_path, "--model-dir": live.folder / "model",
    }  # fmt: skip
    flags = [str(word) for pair in given.items() for word in pair]
    assert imported(flags, "session", "open", "--tokens", "400") & {*HEAVY, "web3"} == {"web3"}
    return flags


def imported(settings: list[str], *words: str, program: str = USER) -> set[str]:
    """Top-level packages of those above that a successful command, run in a process of its own, has imported."""
    command = [sys.executable, "-c", CODE.format(program=program), *settings, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    *_, last = done.stderr.splitlines()
    assert last.startswith("imported 0 "), done.stderr
    return {name for name in ALL if f"'{name}'" in last}


@pytest.mark.parametrize("words", ["models", "nodes --offline", "session list", "wallet show", "withdraw"])
def test_who_reads_the_chain_imports_nothing_for_anything_else(settings: list[str], words: str) -> None:
    assert imported(settings, *words.split()) == set()


def test_a_nodes_operator_who_looks_at_it_sends_nothing(settings: list[str], tmp_path: Path) -> None:
    given = dict(zip(settings[::2], settings[1::2], strict=True))
    Wallet.create(tmp_path / "wallet.json", PASSWORD, work=2**10)
    flags = ["--data", str(tmp_path), "--rpc", given["--rpc"], "--deployment", given["--deployment"]]
    assert not imported(flags, "status", program=NODE) & {*HEAVY, *SENDING}


def test_who_asks_nodes_what_they_are_imports_no_tensors_and_no_web3(settings: list[str]) -> None:
    assert imported(settings, "nodes") <= {*NODES}


def test_who_asks_in_an_open_session_opens_no_wallet(settings: list[str]) -> None:
    assert imported(settings, "ask", "x", "--max-tokens", "3") <= {*TENSORS, *NODES}
