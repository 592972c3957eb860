"""Keystores of other programs: every member of the family opens, what does not is named by file and field."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal

import pytest
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus_chain.chain.errors import WalletError, WalletPasswordError
from nexus_chain.chain.keystore import Keystore
from nexus_chain.chain.local import DEVELOPMENT_KEYS
from nexus_chain.chain.wallet import Wallet

KEY = DEVELOPMENT_KEYS[1]
ADDRESS = Wallet.from_hex(KEY).address
PASSWORD = "a good password"
#: With the case of one letter changed.
MISTYPED = ADDRESS.replace("C", "c", 1)


Kdf = Literal["scrypt", "pbkdf2"]


def made(kdf: Kdf = "scrypt", work: int = 2, password: str = PASSWORD, key: str = KEY) -> dict[str, Any]:
    keystore: dict[str, Any] = Account.encrypt(bytes.fromhex(key[2:]), password, kdf=kdf, iterations=work)
    return keystore


def written(folder: Path, content: object) -> Path:
    path = folder / "key.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def capitalised(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name.capitalize(): capitalised(member) for name, member in value.items()}


@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
@pytest.mark.parametrize(
    "address",
    [ADDRESS, ADDRESS[2:], ADDRESS.lower(), ADDRESS[2:].lower(), ADDRESS[2:].upper(), "", None],
)
def test_the_address_is_optional_and_spelled_in_any_way(tmp_path: Path, kdf: Kdf, address: str | None) -> None:
    path = written(tmp_path, made(kdf) | {"address": address})
    assert Wallet.address_in(path) == (ADDRESS if address else None)
    assert Wallet.load(path, PASSWORD).address == ADDRESS


def test_a_keystore_of_foundry_opens(tmp_path: Path) -> None:
    cast = shutil.which("cast")
    assert cast is not None
    words = [cast, "wallet", "new", str(tmp_path), "key", "--unsafe-password", PASSWORD, "--json"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert Wallet.address_in(tmp_path / "key") is None
    wallet = Wallet.load(tmp_path / "key", PASSWORD)
    assert wallet.address == json.loads(said)[0]["address"]
    with pytest.raises(WalletPasswordError, match="does not open"):
        Wallet.load(tmp_path / "key", "another password")


def test_names_of_fields_may_be_capitalised(tmp_path: Path) -> None:
    """As MyEtherWallet and old versions of geth wrote them."""
    keystore = made("pbkdf2")
    keystore["Crypto"] = keystore.pop("crypto")
    assert Wallet.load(written(tmp_path, keystore), PASSWORD).address == ADDRESS
    assert Wallet.load(written(tmp_path, capitalised(made())), PASSWORD).address == ADDRESS


def test_bytes_may_have_a_prefix_and_the_file_a_mark(tmp_path: Path) -> None:
    keystore = made()
    crypto = keystore["crypto"]
    for name in ("ciphertext", "mac"):
        crypto[name] = "0x" + crypto[name].upper()
    crypto["kdfparams"]["salt"] = "0x" + crypto["kdfparams"]["salt"]
    assert Wallet.load(written(tmp_path, "\ufeff" + json.dumps(keystore)), PASSWORD).address == ADDRESS


def test_large_work_factors_open(tmp_path: Path) -> None:
    assert Wallet.load(written(tmp_path, made("scrypt", 2**18)), PASSWORD).address == ADDRESS
    assert Wallet.load(written(tmp_path, made("pbkdf2", 2**20)), PASSWORD).address == ADDRESS


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.integers(1, 2**255).map(lambda number: "0x" + number.to_bytes(32, "big").hex()),
    password=st.text(st.characters(codec="utf-8"), min_size=1, max_size=30),
    kdf=st.sampled_from(["scrypt", "pbkdf2"]),
    power=st.integers(1, 6),
    names=st.sampled_from([lambda value: value, capitalised]),
    stated=st.booleans(),
)
def test_any_keystore_of_the_family_gives_its_key_back(
    tmp_path: Path, key: str, password: str, kdf: Kdf, power: int, names: Any, stated: bool
) -> None:
    keystore = made(kdf, 2**power, password, key)
    if not stated:
        del keystore["address"]
    path = written(tmp_path, names(keystore))
    assert Keystore.read(path).decrypt(password).hex() == key[2:]
    again = tmp_path / "ours.json"
    again.unlink(missing_ok=True)
    Wallet.load(path, password).save(again, password, work=2)
    assert Keystore.read(again).decrypt(password).hex() == key[2:]
    assert len(json.loads(again.read_text())["crypto"]["cipherparams"]["iv"]) == 32


def changed(field: str, value: Any) -> dict[str, Any]:
    """A keystore with another value in the field; None takes it out."""
    keystore = made("pbkdf2" if field.endswith((".c", ".prf")) else "scrypt")
    *folders, name = field.split(".")
    inner = keystore
    for folder in folders:
        inner = inner[folder]
    if value is None:
        inner.pop(name, None)
    else:
        inner[name] = value
    return keystore


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 1), ("version", 4), ("version", None), ("version", True), ("crypto", None), ("crypto", []),
        ("crypto.cipher", "aes-256-gcm"), ("crypto.cipher", None), ("crypto.cipherparams", None),
        ("crypto.cipherparams.iv", "zz"), ("crypto.cipherparams.iv", "00" * 17), ("crypto.ciphertext", "00" * 31),
        ("crypto.ciphertext", 5), ("crypto.mac", None), ("crypto.mac", "00"), ("crypto.kdf", "argon2"),
        ("crypto.kdfparams", None), ("crypto.kdfparams.n", 3), ("crypto.kdfparams.n", 2**40),
        ("crypto.kdfparams.n", "2"), ("crypto.kdfparams.r", 0), ("crypto.kdfparams.p", None),
        ("crypto.kdfparams.dklen", 16), ("crypto.kdfparams.salt", "0"), ("crypto.kdfparams.c", -1),
        ("crypto.kdfparams.prf", "hmac-md5"), ("address", "0x12"), ("address", 7),
        ("address", MISTYPED),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_by_file_and_field(tmp_path: Path, field: str, value: Any) -> None:
    path = written(tmp_path, changed(field, value))
    with pytest.raises(WalletError) as raised:
        Wallet.load(path, PASSWORD)
    assert f"{path}: the field {field} " in raised.value.message
    assert KEY[2:] not in str(raised.value)


@pytest.mark.parametrize("content", [KEY, '"' + KEY + '"', "[1]", ""])
def test_a_file_that_is_no_keystore_is_not_repeated(tmp_path: Path, content: str) -> None:
    with pytest.raises(WalletError) as raised:
        Wallet.address_in(written(tmp_path, content))
    assert "key.json" in str(raised.value)
    assert KEY[2:] not in str(raised.value)


def test_an_address_that_is_not_the_keys_is_refused(tmp_path: Path) -> None:
    other = Wallet.from_hex(DEVELOPMENT_KEYS[2]).address
    path = written(tmp_path, made() | {"address": other.lower()})
    with pytest.raises(WalletError, match=f"field address is {other}, the key belongs to {ADDRESS}"):
        Wallet.load(path, PASSWORD)
