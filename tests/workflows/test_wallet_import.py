"""Wallets of other programs, brought from files and prompts; their secrets stand in no error."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from eth_account import Account

from nexus_chain.chain.errors import WalletError, WalletExistsError, WalletPasswordError
from nexus_chain.chain.local import DEVELOPMENT_KEYS
from nexus_chain.chain.wallet import Wallet
from nexus_chain.settings import Settings
from nexus_chain.workflows.wallet_import import ASKED, WalletSource, import_wallet, keystore_named
from nexus_chain.workflows.workspace import Workspace

#: Anvil's public accounts come from this mnemonic.
MNEMONIC = "test test test test test test test test test test test junk"
ADDRESSES = [Wallet.from_hex(key).address for key in DEVELOPMENT_KEYS]


@pytest.fixture
def workspace(tmp_path: Path) -> Callable[..., Workspace]:
    """A home without a wallet; prompts get the answers, one after the other."""
    (tmp_path / "pw").write_text("our password\n")

    def made(*answers: str) -> Workspace:
        waiting = list(answers)
        return Workspace(Settings(home=tmp_path / "home", password_file=tmp_path / "pw"), lambda prompt: waiting.pop(0))

    return made


def secret(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text(text)
    return path


def test_a_mnemonic_gives_the_account_at_its_path(tmp_path: Path, workspace: Callable[..., Workspace]) -> None:
    words = secret(tmp_path, "  " + MNEMONIC.replace(" ", "\n") + "\n")
    at = workspace()
    assert import_wallet(at, WalletSource(mnemonic=words)) == ADDRESSES[0]
    path = at.wallet_path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Wallet.load(path, "our password").address == ADDRESSES[0]
    path.unlink()
    assert import_wallet(workspace(MNEMONIC), WalletSource(mnemonic=ASKED, path="m/44'/60'/0'/0/1")) == ADDRESSES[1]


def test_a_passphrase_gives_another_account(tmp_path: Path, workspace: Callable[..., Workspace]) -> None:
    Account.enable_unaudited_hdwallet_features()
    expected = Account.from_mnemonic(MNEMONIC, passphrase="more").address
    source = WalletSource(mnemonic=secret(tmp_path, MNEMONIC), passphrase=ASKED)
    assert import_wallet(workspace("more"), source) == expected


@pytest.mark.parametrize("prefix", ["", "0x", "0X"])
def test_a_private_key_comes_from_a_file_or_a_prompt(
    tmp_path: Path, workspace: Callable[..., Workspace], prefix: str
) -> None:
    key = prefix + DEVELOPMENT_KEYS[2][2:]
    at = workspace(key)
    assert import_wallet(at, WalletSource(private_key=ASKED)) == ADDRESSES[2]
    at.wallet_path.unlink()
    assert import_wallet(at, WalletSource(private_key=secret(tmp_path, key + "\n"))) == ADDRESSES[2]


def test_a_keystore_is_encrypted_again_with_our_password(tmp_path: Path, workspace: Callable[..., Workspace]) -> None:
    theirs = tmp_path / "theirs.json"
    Wallet.from_hex(DEVELOPMENT_KEYS[3]).save(theirs, "their password", work=2)
    before = theirs.read_bytes()
    at = workspace("their password")
    assert import_wallet(at, WalletSource(theirs)) == ADDRESSES[3]
    assert Wallet.load(at.wallet_path, "our password").address == ADDRESSES[3]
    assert theirs.read_bytes() == before
    at.wallet_path.unlink()
    with pytest.raises(WalletPasswordError, match=r"does not open .*theirs\.json"):
        import_wallet(workspace("another"), WalletSource(theirs))
    assert not at.wallet_path.exists()


def test_nothing_is_overwritten_and_nothing_asked(tmp_path: Path, workspace: Callable[..., Workspace]) -> None:
    at = workspace()
    at.wallet_path.parent.mkdir()
    at.wallet_path.write_text("mine")
    with pytest.raises(WalletExistsError, match="nothing was changed"):
        import_wallet(at, WalletSource(private_key=ASKED))
    assert at.wallet_path.read_text() == "mine"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("mnemonic", MNEMONIC.replace("junk", "test")),
        ("mnemonic", "correct horse battery"),
        ("private_key", DEVELOPMENT_KEYS[0][:-1]),
        ("private_key", DEVELOPMENT_KEYS[0] + "zz"),
        ("private_key", "ff" * 32),
        ("private_key", ""),
    ],
)
def test_a_bad_secret_is_named_by_its_file_and_not_repeated(
    tmp_path: Path, workspace: Callable[..., Workspace], kind: str, text: str
) -> None:
    path = secret(tmp_path, text)
    with pytest.raises(WalletError) as raised:
        import_wallet(workspace(), WalletSource(**{kind: path}))  # type: ignore[arg-type]
    assert str(path) in raised.value.message
    assert not text or text[:12] not in str(raised.value)


@pytest.mark.parametrize("path", ["44'/60'", "m", "m/x", "m//0", f"m/{2**32}"])
def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path, workspace: Callable[..., Workspace], path: str) -> None:
    with pytest.raises(WalletError):
        import_wallet(workspace(), WalletSource(mnemonic=secret(tmp_path, MNEMONIC), path=path))


@pytest.mark.parametrize(
    "words", [[DEVELOPMENT_KEYS[0]], [DEVELOPMENT_KEYS[0][2:]], [MNEMONIC], MNEMONIC.split(), ["a", "b"]]
)
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(words: list[str]) -> None:
    with pytest.raises(WalletError, match="never a private key") as raised:
        keystore_named(words)
    assert "junk" not in str(raised.value)
    assert DEVELOPMENT_KEYS[0][2:20] not in str(raised.value)


def test_exactly_one_wallet_is_named(workspace: Callable[..., Workspace]) -> None:
    for source in (WalletSource(), WalletSource(private_key=ASKED, mnemonic=ASKED)):
        with pytest.raises(WalletError, match="wallets were named"):
            import_wallet(workspace(), source)
