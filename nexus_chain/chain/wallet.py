"""A wallet: one private key, kept on disk only as an encrypted keystore (Web3 Secret Storage).

The key lives in memory while the wallet is open; it is in no ``repr``, no log and no
exception. Transactions are sent elsewhere (``transactions``).
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import coincurve
from eth_account import Account
from eth_account.datastructures import SignedTransaction
from eth_typing import ChecksumAddress

from nexus_chain.chain.errors import WalletError, WalletExistsError, WalletPasswordError
from nexus_chain.json_text import parse_json
from nexus_chain.market.documents import Document, Domain, address_of, checksum, sign, sign_digest

#: Work factor of the keystore's scrypt: a guess costs an attacker about as long as opening costs us.
SCRYPT_WORK = 2**18


def read_password(
    password_file: Path | None = None, *, prompt: str | None = None, ask: Callable[[str], str] = getpass.getpass
) -> str:
    """The password in the first line of a file, else typed at a prompt.

    Raises WalletPasswordError: no such file, an empty one, or neither file nor prompt.
    """
    if password_file is not None:
        try:
            password = password_file.read_text().split("\n", 1)[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise WalletPasswordError(
                f"the password file {password_file} cannot be read ({type(error).__name__})",
                advice="Give a readable text file with the password in its first line.",
            ) from error
    elif prompt is not None:
        password = ask(prompt)
    else:
        raise WalletPasswordError("no password was given", advice="Give a password file, or run in a terminal.")
    if not password:
        raise WalletPasswordError("the password is empty", advice="Choose one of at least one character.")
    return password


class Wallet:
    """One open key. Signs documents and transactions; never shows the key."""

    def __init__(self, key: bytes) -> None:
        """Open a 32-byte private key for this process only. Raises WalletError for an impossible key."""
        try:
            # The library would pad a shorter key with zeros.
            if len(key) != 32:
                raise ValueError
            self._key = coincurve.PrivateKey(key)
        except (ValueError, TypeError):
            # Without the cause: its message may quote the key.
            raise WalletError("this is no private key", advice="Give 32 bytes, or create a wallet.") from None
        self.address: ChecksumAddress = address_of(self._key)

    @classmethod
    def from_hex(cls, key: str) -> Wallet:
        """Open a hexadecimal key (tests, Anvil's public keys)."""
        try:
            raw = bytes.fromhex(key.removeprefix("0x"))
        except ValueError:
            raise WalletError("the key is not hexadecimal", advice="Give 64 hexadecimal digits.") from None
        return cls(raw)

    @classmethod
    def ephemeral(cls) -> Wallet:
        """A fresh key that is gone when the process ends (session keys)."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def create(cls, path: Path, password: str, *, work: int = SCRYPT_WORK) -> Wallet:
        """Make a wallet and write its keystore. Never overwrites (WalletExistsError)."""
        wallet = cls.ephemeral()
        wallet.save(path, password, work=work)
        return wallet

    def save(self, path: Path, password: str, *, work: int = SCRYPT_WORK) -> None:
        """Write the encrypted keystore, mode 0600. Never overwrites (WalletExistsError)."""
        keystore = Account.encrypt(self._key.secret, password, kdf="scrypt", iterations=work)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise WalletExistsError(f"{path} exists", advice="Choose another name; nothing was changed.") from None
        except OSError as error:
            raise WalletError(f"{path} cannot be written: {error.strerror}", advice="Choose another folder.") from error
        with os.fdopen(descriptor, "w") as file:
            json.dump({**keystore, "address": self.address}, file)
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def load(cls, path: Path, password: str) -> Wallet:
        """Open a keystore. Raises WalletError (no keystore) and WalletPasswordError."""
        keystore = _read_keystore(path)
        # Files that others can read are repaired where we may; the content is encrypted either way.
        if path.stat().st_mode & 0o077:
            with contextlib.suppress(OSError):
                path.chmod(0o600)
        try:
            key = bytes(Account.decrypt(keystore, password))
        except (ValueError, KeyError, TypeError, NotImplementedError):
            raise WalletPasswordError(
                f"the password does not open {path}", advice="Check the password file, or type it again."
            ) from None
        return cls(key)

    @staticmethod
    def address_in(path: Path) -> ChecksumAddress:
        """The address that a keystore says it holds, without its password."""
        keystore = _read_keystore(path)
        return checksum("0x" + str(keystore.get("address", "")).removeprefix("0x"))

    def sign(self, document: Document, domain: Domain) -> bytes:
        """65 bytes r || s || v of an EIP-712 document."""
        return sign(document, self._key, domain)

    def sign_digest(self, digest: bytes) -> bytes:
        """65 bytes r || s || v of a 32-byte digest (node descriptions, heartbeats)."""
        return sign_digest(digest, self._key)

    def sign_transaction(self, transaction: Mapping[str, Any]) -> SignedTransaction:
        """A signed raw transaction."""
        signed: SignedTransaction = Account.sign_transaction(dict(transaction), self._key.secret)
        return signed

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    def __reduce__(self) -> Any:
        raise WalletError("a wallet cannot be copied to another process", advice="Open the keystore there.")


def _read_keystore(path: Path) -> dict[str, Any]:
    try:
        keystore = parse_json(path.read_bytes())
    except FileNotFoundError:
        raise WalletError(f"there is no wallet {path}", advice="Create one with `nexus wallet new`.") from None
    except (OSError, ValueError) as error:
        raise WalletError(f"{path} cannot be read ({type(error).__name__})", advice="Give a keystore.") from error
    if not isinstance(keystore, dict) or "crypto" not in keystore:
        raise WalletError(f"{path} is not a keystore", advice="Give an encrypted JSON keystore (version 3).")
    return keystore
