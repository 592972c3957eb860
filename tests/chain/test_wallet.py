"""Wallets: encrypted on disk, silent in memory."""

from __future__ import annotations

import errno
import json
import logging
import os
import pickle
import stat
from pathlib import Path

import pytest
from eth_account import Account

from nexus_chain.chain.errors import WalletError, WalletExistsError, WalletPasswordError
from nexus_chain.chain.local import DEVELOPMENT_KEYS
from nexus_chain.chain.wallet import Wallet, read_password
from nexus_chain.market.documents import Domain, TokenFeed, recover, recover_digest

WORK = 2  # scrypt work factor: real wallets use 2**18
KEY = DEVELOPMENT_KEYS[1]


def test_created_wallet_opens_with_its_password_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "wallet.json"
    wallet = Wallet.create(path, "correct horse", work=WORK)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Wallet.load(path, "correct horse").address == wallet.address == Wallet.address_in(path)
    with pytest.raises(WalletPasswordError, match="does not open"):
        Wallet.load(path, "wrong horse")


def test_keystore_is_the_standard_one(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    Wallet.from_hex(KEY).save(path, "pw", work=WORK)
    assert bytes(Account.decrypt(json.loads(path.read_text()), "pw")).hex() == KEY[2:]


def test_existing_keystore_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    Wallet.create(path, "pw", work=WORK)
    before = path.read_bytes()
    with pytest.raises(WalletExistsError, match="nothing was changed"):
        Wallet.create(path, "pw", work=WORK)
    assert path.read_bytes() == before


def test_a_full_disk_leaves_no_half_of_a_keystore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: an empty file stayed, and no wallet could be made there once there was room again."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WalletError, match=r"w\.json cannot be written: No space left"):
            Wallet.create(tmp_path / "w.json", "pw", work=WORK)
    assert list(tmp_path.iterdir()) == []
    Wallet.create(tmp_path / "w.json", "pw", work=WORK)


def test_readable_keystore_is_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    Wallet.create(path, "pw", work=WORK)
    path.chmod(0o644)
    Wallet.load(path, "pw")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"crypto": {}}', '{"crypto": 1, "version": 3}', "[" * 100_000])
def test_broken_keystore(tmp_path: Path, content: str) -> None:
    path = tmp_path / "w.json"
    path.write_text(content)
    with pytest.raises(WalletError):
        Wallet.load(path, "pw")
    with pytest.raises(WalletError, match="nexus wallet new"):
        Wallet.load(tmp_path / "none.json", "pw")


def test_the_key_is_nowhere_to_be_seen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wallet = Wallet.from_hex(KEY)
    path = tmp_path / "w.json"
    wallet.save(path, "pw", work=WORK)
    wallet.sign_digest(b"\x01" * 32)
    for text in (repr(wallet), str(wallet), path.read_text(), caplog.text):
        assert KEY[2:] not in text.lower()
    assert repr(wallet) == f"Wallet({wallet.address})"
    with pytest.raises(WalletError, match="cannot be copied"):
        pickle.dumps(wallet)


@pytest.mark.parametrize("key", ["", "0x", "zz" * 32, "00" * 32, "ff" * 32, "01" * 31])
def test_impossible_keys_are_refused_without_repeating_them(key: str) -> None:
    with pytest.raises(WalletError) as raised:
        Wallet.from_hex(key)
    assert not key.strip("0x") or key not in str(raised.value)


def test_signatures_recover() -> None:
    wallet, domain = Wallet.from_hex(KEY), Domain(1, "0x" + "11" * 20)
    feed = TokenFeed(bytes(32), 1, bytes(32))
    assert recover(feed, wallet.sign(feed, domain), domain) == wallet.address == Account.from_key(KEY).address
    assert recover_digest(b"\x02" * 32, wallet.sign_digest(b"\x02" * 32)) == wallet.address


def test_password_comes_from_file_or_prompt(tmp_path: Path) -> None:
    path = tmp_path / "pw"
    path.write_bytes(b"first line\r\nsecond\n")
    assert read_password(path) == "first line"
    path.write_bytes("\ufeffpässword\r\n".encode())  # as Windows writes it
    assert read_password(path) == "pässword"
    assert read_password(prompt="Password: ", ask=lambda prompt: "typed " + prompt) == "typed Password: "
    with pytest.raises(WalletPasswordError, match="cannot be read"):
        read_password(tmp_path / "none")
    with pytest.raises(WalletPasswordError, match="no password was given"):
        read_password()
    path.write_text("\n")
    with pytest.raises(WalletPasswordError, match="empty"):
        read_password(path)


def test_a_keystore_that_states_its_address_is_opened_when_something_is_signed(tmp_path: Path) -> None:
    path, asked = tmp_path / "w.json", []
    Wallet.from_hex(KEY).save(path, "pw", work=WORK)

    def password() -> str:
        asked.append("password")
        return "pw"

    wallet = Wallet.locked(path, password)
    assert (wallet.address, asked) == (Wallet.from_hex(KEY).address, [])
    signatures = [wallet.sign_digest(bytes([digit]) * 32) for digit in (1, 2)]
    assert signatures == [Wallet.from_hex(KEY).sign_digest(bytes([digit]) * 32) for digit in (1, 2)]
    assert asked == ["password"]


def test_a_locked_keystore_with_another_password_or_anothers_address_signs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    Wallet.from_hex(KEY).save(path, "pw", work=WORK)
    with pytest.raises(WalletPasswordError, match="does not open"):
        Wallet.locked(path, lambda: "other").require_key()
    path.write_text(json.dumps({**json.loads(path.read_text()), "address": "0x" + "11" * 20}))
    with pytest.raises(WalletError, match="the field address is"):
        Wallet.locked(path, lambda: "pw").sign_digest(bytes(32))


def test_a_keystore_that_states_no_address_is_opened_at_once(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    Wallet.from_hex(KEY).save(path, "pw", work=WORK)
    path.write_text(json.dumps({name: v for name, v in json.loads(path.read_text()).items() if name != "address"}))
    assert Wallet.locked(path, lambda: "pw").address == Wallet.from_hex(KEY).address
    with pytest.raises(WalletPasswordError):
        Wallet.locked(path, lambda: "other")
