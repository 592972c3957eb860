"""Wallets of other programs: a keystore, a private key or a mnemonic becomes a keystore of ours.

Secrets come from files and prompts, never from a command line, and stand in no error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from nexus_chain.chain.errors import WalletError, WalletExistsError
from nexus_chain.chain.keystore import Keystore
from nexus_chain.chain.wallet import Wallet
from nexus_chain.workflows.workspace import Workspace

DEFAULT_PATH = "m/44'/60'/0'/0/0"
"""Where nearly every wallet keeps its first Ethereum account (BIP-44)."""

ASKED = Path("-")
"""In place of a file: ask for the secret."""

_SECRET = re.compile(r"\s*(0[xX])?[0-9a-fA-F]{60,}\s*\Z|\s*(\S+\s+){5,}\S+\s*\Z")
_PATH = re.compile(r"m(/[0-9]+'?)+\Z")
_MOST_SECRET_BYTES = 1 << 12


@dataclass(frozen=True)
class WalletSource:
    """What is imported: exactly one of a keystore file, a private key and a mnemonic.

    ``private_key``, ``mnemonic``: the file that holds it; or ASKED, which asks at a prompt. ``password_file``: of the
    keystore. ``passphrase``: file of the mnemonic's passphrase (BIP-39), or ASKED; None: there is none.
    """

    keystore: Path | None = None
    private_key: Path | None = None
    mnemonic: Path | None = None
    path: str = DEFAULT_PATH
    passphrase: Path | None = None
    password_file: Path | None = None


def keystore_named(words: list[str]) -> Path | None:
    """The one file that a command line names. Raises WalletError for a secret, and does not repeat it."""
    if any(_SECRET.match(word) for word in words) or len(words) > 1:
        raise WalletError(
            "a command line takes one keystore file, and never a private key or a mnemonic",
            advice="Use --private-key or --mnemonic, which ask for it; what was typed here others may have read.",
        )
    return Path(words[0]) if words else None


def import_wallet(workspace: Workspace, source: WalletSource) -> str:
    """Write the wallet's keystore, encrypted with the workspace's password; its address. Never overwrites.

    Raises WalletError, WalletExistsError before any question, WalletPasswordError.
    """
    if workspace.wallet_path.exists():
        raise WalletExistsError(
            f"{workspace.wallet_path} exists", advice="Choose another file with --wallet; nothing was changed."
        )
    wallet = open_source(workspace, source)
    workspace.home.prepare()
    password = workspace.new_password()
    wallet.save(workspace.wallet_path, password)
    return wallet.address


def open_source(workspace: Workspace, source: WalletSource) -> Wallet:
    """The key that ``source`` holds. Raises WalletError, WalletPasswordError."""
    named = [one for one in (source.keystore, source.private_key, source.mnemonic) if one is not None]
    if len(named) != 1:
        raise WalletError(
            f"{len(named)} wallets were named", advice="Give a keystore file, or --private-key, or --mnemonic."
        )
    if source.keystore is not None:
        return _from_keystore(workspace, source.keystore, source.password_file)
    if source.private_key is not None:
        return _from_key(_secret(workspace, source.private_key, "Private key"), source.private_key)
    return _from_mnemonic(workspace, named[0], source)


def _from_keystore(workspace: Workspace, path: Path, password_file: Path | None) -> Wallet:
    keystore = Keystore.read(path)
    return Wallet.unlock(keystore, workspace.secret(password_file, f"Password of {path}: "))


def _from_key(text: str, source: Path) -> Wallet:
    try:
        return Wallet.from_hex(text.removeprefix("0X"))
    except WalletError as error:
        raise WalletError(f"{_place(source)}: {error.message}", advice="Give 64 hexadecimal digits.") from None


def _from_mnemonic(workspace: Workspace, place: Path, source: WalletSource) -> Wallet:
    from eth_account import Account
    from eth_utils.exceptions import ValidationError

    if not _PATH.match(source.path):
        raise WalletError(f"{source.path!r} is no derivation path", advice=f"Write it as {DEFAULT_PATH}.")
    words = " ".join(_secret(workspace, place, "Mnemonic").split())
    passphrase = "" if source.passphrase is None else _secret(workspace, source.passphrase, "Passphrase")
    Account.enable_unaudited_hdwallet_features()
    try:
        account = Account.from_mnemonic(words, passphrase=passphrase, account_path=source.path)
    except (ValidationError, ValueError, TypeError):  # without the cause: its message may quote the words
        raise WalletError(
            f"{_place(place)}: these {len(words.split())} words are no mnemonic (BIP-39)",
            advice="Check words and order: a mnemonic has 12, 15, 18, 21 or 24 words of one list, and a checksum.",
        ) from None
    return Wallet(bytes(account.key))


def _secret(workspace: Workspace, source: Path, what: str) -> str:
    """What a file holds, or what is typed; without the blanks around it."""
    if source == ASKED:
        return workspace.secret(None, f"{what}: ").strip()
    try:
        with source.open(encoding="utf-8-sig") as file:
            text = file.read(_MOST_SECRET_BYTES).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WalletError(f"{source} cannot be read ({type(error).__name__})", advice="Give a text file.") from None
    if not text:
        raise WalletError(f"{source} is empty", advice=f"Give the file that holds the {what.lower()}.")
    return text


def _place(source: Path) -> str:
    return "what was typed" if source == ASKED else str(source)
