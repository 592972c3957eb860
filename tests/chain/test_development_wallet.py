"""A wallet that is missing: made where ether is worth nothing, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_chain.chain.development_wallet import TEST_WEI, make_test_wallet
from nexus_chain.chain.errors import RpcUnreachableError, TransactionError, WalletError, WalletPasswordError
from nexus_chain.chain.local import LocalChain, anvil
from nexus_chain.chain.wallet import Wallet
from nexus_chain.market.documents import checksum
from nexus_chain.settings import Settings
from nexus_chain.workflows.observer import TaskObserver
from nexus_chain.workflows.workspace import Workspace
from node.daemon.configuration import NodeConfiguration
from node.daemon.identity import open_or_make_wallet

PASSWORD = "battery staple"


class Heard(TaskObserver):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, line: str) -> None:
        self.notes.append(line)


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    return tmp_path / "password"


def settings_for(chain: LocalChain, home: Path, password_file: Path | None, wallet: Path | None = None) -> Settings:
    return Settings(home, chain.rpc_url, wallet=wallet, password_file=password_file)


def test_a_user_and_a_node_get_one_each(tmp_path: Path, password_file: Path) -> None:
    with anvil(chain_id=1337) as chain:
        heard = Heard()
        workspace = Workspace(settings_for(chain, tmp_path / "home", password_file), observer=heard)
        made = workspace.wallet
        giver = checksum(chain.connection.request("eth_accounts")[0])
        where = tmp_path / "home" / "wallet.json"
        assert heard.notes == [
            f"Development chain: made the wallet {made.address} in {where}, with 10 test ether of {giver}."
        ]
        assert chain.connection.balance(made.address) == TEST_WEI == 10**19
        assert Wallet.load(where, PASSWORD).address == made.address

        again = Workspace(settings_for(chain, tmp_path / "home", password_file), observer=heard)
        assert again.wallet.address == made.address
        assert len(heard.notes) == 1

        data = tmp_path / "node"
        node = NodeConfiguration(data, rpc=chain.rpc_url, chain_id=1337, password_file=password_file)
        first, said = open_or_make_wallet(node)
        assert len(said) == 1
        assert (open_or_make_wallet(node)[0].address, open_or_make_wallet(node)[1]) == (first.address, [])
        assert chain.connection.balance(first.address) == TEST_WEI
        assert data.stat().st_mode & 0o077 == 0


def test_a_real_chain_makes_none(tmp_path: Path, password_file: Path) -> None:
    with anvil(chain_id=5) as chain:
        with pytest.raises(WalletError):
            _ = Workspace(settings_for(chain, tmp_path / "home", password_file)).wallet
        node = NodeConfiguration(tmp_path / "node", rpc=chain.rpc_url, chain_id=5, password_file=password_file)
        with pytest.raises(WalletError):
            open_or_make_wallet(node)
        with pytest.raises(TransactionError, match="no unlocked test account"):
            make_test_wallet(chain.connection, tmp_path / "wallet.json", PASSWORD, work=2**10)
        assert chain.connection.block_number() == 0
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".json"]


def test_a_wallet_that_is_named_is_never_made(tmp_path: Path, password_file: Path) -> None:
    with anvil() as chain:
        named = tmp_path / "mine.json"
        with pytest.raises(WalletError, match=r"mine\.json"):
            _ = Workspace(settings_for(chain, tmp_path, password_file, named)).wallet
        node = NodeConfiguration(tmp_path, rpc=chain.rpc_url, password_file=password_file, wallet=named)
        with pytest.raises(WalletError, match=r"mine\.json"):
            open_or_make_wallet(node)
        assert chain.connection.block_number() == 0


def test_without_a_password_file_none_is_made(tmp_path: Path) -> None:
    with anvil() as chain:
        with pytest.raises(WalletError):
            _ = Workspace(settings_for(chain, tmp_path, None)).wallet
        (tmp_path / "empty").write_text("\n")
        with pytest.raises(WalletPasswordError):
            _ = Workspace(settings_for(chain, tmp_path, tmp_path / "empty")).wallet
        assert chain.connection.block_number() == 0


def test_a_chain_that_does_not_answer_is_said(tmp_path: Path, password_file: Path) -> None:
    with pytest.raises(RpcUnreachableError):
        _ = Workspace(Settings(tmp_path, "http://127.0.0.1:9", password_file=password_file)).wallet
