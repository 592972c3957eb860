"""Keystore files (Web3 Secret Storage, version 3) of whatever program wrote them: geth, Foundry, MyEtherWallet.

The address may be missing, without 0x or in one case; names of fields may be capitalised. What cannot be read is
named by file and field. Values of fields are repeated only where they are no secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus_chain.chain.errors import WalletError, WalletPasswordError
from nexus_chain.json_text import parse_json
from nexus_chain.market.documents import checksum
from nexus_chain.market.errors import DocumentFormatError

if TYPE_CHECKING:
    from eth_typing import ChecksumAddress

MOST_SCRYPT_BYTES = 8 << 30
"""Memory that opening may take, 128 n r: eight times what any wallet asks for."""
MOST_SCRYPT_LANES = 1 << 10
MOST_ITERATIONS = (1 << 31) - 1
"""Of pbkdf2, as its implementation counts them."""
MOST_KEY_BYTES = 1 << 10

_HEX = re.compile(r"(0[xX])?(([0-9a-fA-F]{2})*)\Z")
_HASHES = ("hmac-sha256", "hmac-sha512")


@dataclass(frozen=True)
class Keystore:
    """A keystore whose fields were checked. ``address``: the one that it states, where it states one."""

    path: Path
    address: ChecksumAddress | None
    _json: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Keystore:
        """Read and check a file, without its password. Raises WalletError, which names the file and the field."""
        fields = _Fields(path, _read_object(path), "")
        _check_version(fields)
        crypto = _checked_crypto(fields.object("crypto"))
        return cls(path, _stated_address(fields), {"version": 3, "crypto": crypto})

    def decrypt(self, password: str) -> bytes:
        """The 32-byte private key. Raises WalletPasswordError, and WalletError where this machine is too small."""
        from eth_account import Account  # slow to import, and a wallet's address needs no password

        try:
            return bytes(Account.decrypt(self._json, password))
        except ValueError:
            raise WalletPasswordError(
                f"the password does not open {self.path}", advice="Check the password file, or type it again."
            ) from None
        except MemoryError:
            raise WalletError(
                f"{self.path}: the field crypto.kdfparams.n asks for more memory than there is",
                advice="Export the wallet again with a smaller work factor.",
            ) from None


class _Fields:
    """An object of the file; its members by lower-case name, refused by their full name."""

    def __init__(self, path: Path, members: dict[str, Any], name: str) -> None:
        self.path, self.name = path, name
        self._members = {str(key).lower(): value for key, value in members.items()}

    def get(self, field: str) -> Any:
        return self._members.get(field)

    def refuse(self, field: str, why: str, advice: str = "Export the wallet again as version 3.") -> WalletError:
        return WalletError(f"{self.path}: the field {self.name}{field} {why}", advice=advice)

    def object(self, field: str) -> _Fields:
        if field not in self._members:
            raise self.refuse(field, "is missing", "Give an encrypted JSON keystore (version 3).")
        if not isinstance(self._members[field], dict):
            raise self.refuse(field, "is no object")
        return _Fields(self.path, self._members[field], f"{self.name}{field}.")

    def hexadecimal(self, field: str, shortest: int, longest: int) -> str:
        found = _HEX.match(value) if isinstance(value := self.get(field), str) else None
        if found is None:
            raise self.refuse(field, "is missing" if value is None else "is not hexadecimal")
        size = len(found[2]) // 2
        if not shortest <= size <= longest:
            wanted = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
            raise self.refuse(field, f"has {size} bytes, not {wanted}")
        return found[2].lower()

    def whole(self, field: str, smallest: int, largest: int) -> int:
        value = self.get(field)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(field, "is missing" if value is None else "is no whole number")
        if not smallest <= value <= largest:
            raise self.refuse(field, f"is {value}, not {smallest} to {largest}")
        return value

    def choice(self, field: str, known: tuple[str, ...]) -> str:
        value = self.get(field)
        if not isinstance(value, str) or value.lower() not in known:
            said = "is missing" if value is None else f"is {str(value)[:40]!r}"
            raise self.refuse(field, f"{said}; read are {', '.join(known)}")
        return value.lower()


def _read_object(path: Path) -> dict[str, Any]:
    try:
        found = parse_json(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except FileNotFoundError:
        advice = "Create one with `nexus wallet new`, or bring one with `nexus wallet import`."
        raise WalletError(f"there is no wallet {path}", advice=advice) from None
    except OSError as error:
        raise WalletError(f"{path} cannot be read: {error.strerror}", advice="Give a keystore file.") from None
    except ValueError:
        # Without the cause: who gives the wrong file may have given a key.
        raise WalletError(f"{path} is not JSON", advice="Give a keystore file (version 3).") from None
    if not isinstance(found, dict):
        raise WalletError(f"{path} is not a keystore", advice="Give an encrypted JSON keystore (version 3).")
    return found


def _check_version(fields: _Fields) -> None:
    version = fields.get("version")
    if version is None:
        fields.object("crypto")  # a file without either is no keystore at all
    if isinstance(version, bool) or version not in (3, "3"):
        said = "is missing" if version is None else f"is {str(version)[:20]!r}"
        raise fields.refuse("version", f"{said}; only version 3 is read")


def _checked_crypto(crypto: _Fields) -> dict[str, Any]:
    """The ``crypto`` object in the one spelling that the library reads."""
    parameters, kdf = crypto.object("kdfparams"), crypto.choice("kdf", ("scrypt", "pbkdf2"))
    # The start value of the counter is a number: some programs drop its leading zeros.
    start = crypto.object("cipherparams").hexadecimal("iv", 1, 16)
    return {
        "cipher": crypto.choice("cipher", ("aes-128-ctr",)),
        "cipherparams": {"iv": start.zfill(32)},
        "ciphertext": crypto.hexadecimal("ciphertext", 32, 32),
        "kdf": kdf,
        "kdfparams": _scrypt(parameters) if kdf == "scrypt" else _pbkdf2(parameters),
        "mac": crypto.hexadecimal("mac", 32, 32),
    }


def _scrypt(parameters: _Fields) -> dict[str, Any]:
    r = parameters.whole("r", 1, MOST_SCRYPT_BYTES // 256)
    n = parameters.whole("n", 2, MOST_SCRYPT_BYTES // (128 * r))
    if n & (n - 1):
        raise parameters.refuse("n", f"is {n}, which is no power of two")
    return {"n": n, "r": r, "p": parameters.whole("p", 1, MOST_SCRYPT_LANES), **_salted(parameters)}


def _pbkdf2(parameters: _Fields) -> dict[str, Any]:
    count = parameters.whole("c", 1, MOST_ITERATIONS)
    return {"c": count, "prf": parameters.choice("prf", _HASHES), **_salted(parameters)}


def _salted(parameters: _Fields) -> dict[str, Any]:
    # The key's first half encrypts, its second authenticates.
    length = parameters.whole("dklen", 32, MOST_KEY_BYTES)
    return {"dklen": length, "salt": parameters.hexadecimal("salt", 0, MOST_KEY_BYTES)}


def _stated_address(fields: _Fields) -> ChecksumAddress | None:
    stated = fields.get("address")
    if stated is None or stated == "":
        return None
    try:
        return checksum("0x" + str(stated).removeprefix("0x").removeprefix("0X"))
    except DocumentFormatError as error:
        raise fields.refuse("address", f"is {str(stated)[:60]!r}: {error.message}", error.advice) from None
