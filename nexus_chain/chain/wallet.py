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
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import coincurve

from nexus_chain.chain.errors import WalletError, WalletExistsError, WalletPasswordError
from nexus_chain.chain.keystore import Keystore
from nexus_chain.market.documents import Document, Domain, address_of, sign, sign_digest

if TYPE_CHECKING:
    from eth_account.datastructures import SignedTransaction
    from eth_typing import ChecksumAddress

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
            password = password_file.read_text(encoding="utf-8-sig").split("\n", 1)[0].rstrip("\r")
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
        from eth_account import Account  # slow to import, and whoever only reads the chain saves no wallet

        keystore: dict[str, Any] = Account.encrypt(self._secret().secret, password, kdf="scrypt", iterations=work)
        start = keystore["crypto"]["cipherparams"]
        start["iv"] = start["iv"].zfill(32)  # the library drops leading zeros, which others insist on
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise WalletExistsError(f"{path} exists", advice="Choose another name; nothing was changed.") from None
        except OSError as error:
            raise WalletError(f"{path} cannot be written: {error.strerror}", advice="Choose another folder.") from error
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump({**keystore, "address": self.address}, file)
                file.flush()
                os.fsync(file.fileno())
        except BaseException as error:
            path.unlink(missing_ok=True)  # half a keystore opens nothing, and would be in the way of the next one
            if not isinstance(error, OSError):
                raise
            raise WalletError(
                f"{path} cannot be written: {error.strerror}", advice="Make room, or choose another folder."
            ) from error

    @classmethod
    def load(cls, path: Path, password: str) -> Wallet:
        """Open a keystore. Raises WalletError (file and field) and WalletPasswordError."""
        return cls.unlock(_read_own(path), password)

    @staticmethod
    def locked(path: Path, password: Callable[[], str]) -> Wallet:
        """A keystore that is opened when something is first signed, if it states its address; else it is opened now.

        ``password`` is asked for then. Raises WalletError (file and field) and WalletPasswordError.
        """
        keystore = _read_own(path)
        if keystore.address is None:
            return Wallet.unlock(keystore, password())
        return _LockedWallet(keystore, keystore.address, password)

    def require_key(self) -> None:
        """Open a keystore that is locked as yet. Raises WalletError, WalletPasswordError."""

    @classmethod
    def unlock(cls, keystore: Keystore, password: str) -> Wallet:
        """Open a keystore that was read; its file is left as it is. Raises WalletError, WalletPasswordError."""
        wallet = cls(keystore.decrypt(password))
        # INVARIANT: what is paid to the address that a file states is held by the key in it.
        if keystore.address not in (None, wallet.address):
            raise WalletError(
                f"{keystore.path}: the field address is {keystore.address}, the key belongs to {wallet.address}",
                advice="Delete the field if you trust the file, or restore the file from a backup.",
            )
        return wallet

    @staticmethod
    def address_in(path: Path) -> ChecksumAddress | None:
        """The address that a keystore states, without its password; None where it states none. Raises WalletError."""
        return Keystore.read(path).address

    def sign(self, document: Document, domain: Domain) -> bytes:
        """65 bytes r || s || v of an EIP-712 document."""
        return sign(document, self._secret(), domain)

    def sign_digest(self, digest: bytes) -> bytes:
        """65 bytes r || s || v of a 32-byte digest (node descriptions, heartbeats)."""
        return sign_digest(digest, self._secret())

    def sign_transaction(self, transaction: Mapping[str, Any]) -> SignedTransaction:
        """A signed raw transaction."""
        from eth_account import Account  # slow to import, and most commands send nothing

        signed: SignedTransaction = Account.sign_transaction(dict(transaction), self._secret().secret)
        return signed

    def _secret(self) -> coincurve.PrivateKey:
        return self._key

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    def __reduce__(self) -> Any:
        raise WalletError("a wallet cannot be copied to another process", advice="Open the keystore there.")


class _LockedWallet(Wallet):
    """A keystore that states its address, until somebody needs its key: opening it takes a second."""

    def __init__(self, keystore: Keystore, address: ChecksumAddress, password: Callable[[], str]) -> None:
        self.address, self._keystore, self._password = address, keystore, password

    @cached_property
    def _opened(self) -> Wallet:
        return Wallet.unlock(self._keystore, self._password())

    def require_key(self) -> None:
        self._secret()

    def _secret(self) -> coincurve.PrivateKey:
        return self._opened._secret()


def _read_own(path: Path) -> Keystore:
    """A keystore of this user. Files that others can read are repaired where we may; the key is encrypted anyway."""
    keystore = Keystore.read(path)
    if path.stat().st_mode & 0o077:
        with contextlib.suppress(OSError):
            path.chmod(0o600)
    return keystore
