"""The session key: the ECDSA key that signs orders, token feeds and vouchers.

It is fixed on-chain when a session opens and is not the wallet's key: a voucher is signed every
32 tokens, and a wallet that may be a contract or a hardware device cannot do that. The key can
move money only from the session's lock, only to the nodes the wallet allotted, only up to their
caps; hence a file that its owner alone can read is protection enough, and no password is asked
in the middle of an answer.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from nexus_chain.client.errors import ClientStoreError, SessionStateError
from nexus_chain.market.documents import address_of
from nexus_chain.market.eip712 import SECP256K1_ORDER


def new_key() -> bytes:
    """A fresh 32-byte secp256k1 private key."""
    return (1 + secrets.randbelow(SECP256K1_ORDER - 1)).to_bytes(32, "big")


def save_key(folder: Path, key: bytes) -> str:
    """Write ``key`` to a file of mode 0600 named by its address, on disk before this returns.

    Called before the opening transaction is sent: a lost key would strand the session's funds
    until expiry. Returns the address. Raises ClientStoreError.
    """
    address = address_of(key)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(folder / f"{address}.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(key.hex())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ClientStoreError(
            f"the session key cannot be written to {folder}: {error.strerror}",
            advice="Free some space or set NEXUS_HOME to a folder you can write to.",
        ) from error
    return address


def load_key(folder: Path, address: str) -> bytes:
    """The key of ``address``. Raises SessionStateError when it is missing or is another key."""
    path = folder / f"{address}.key"
    try:
        key = bytes.fromhex(path.read_text())
        if address_of(key) == address:
            return key
        problem = "holds the key of another address"
    except (OSError, ValueError) as error:
        problem = f"cannot be read ({error})"
    raise SessionStateError(
        f"the session key file {path} {problem}",
        advice="Restore the file from a backup, or close the session with your wallet and open another.",
    )
