"""EIP-712 for flat documents: type hashing, canonical JSON, low-s signatures.

Hand-written because a receipt is signed for every chunk: encoding a dataclass whose fields
are known is ten times faster than walking a JSON schema. ``tests/market`` compares every
digest with ``eth_account.messages.encode_typed_data``. Knows no particular document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import coincurve

from nexus_chain.address import checksummed
from nexus_chain.json_text import parse_json
from nexus_chain.keccak import keccak256
from nexus_chain.market.errors import BadSignatureError, DocumentFormatError, WrongSignerError

if TYPE_CHECKING:
    from eth_typing import ChecksumAddress

Word = Callable[[Any], bytes]

#: Order of secp256k1; a signature with s above half of it is a second spelling of the same one.
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SIGNATURE_BYTES = 65
#: Integers above this are decimal strings in JSON, because other languages read numbers as doubles.
LARGEST_JSON_NUMBER = 2**53 - 1

#: Characters: an order of a thousand segments.
LONGEST_JSON = 1 << 17

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}\Z")
_BYTES32 = re.compile(r"0x[0-9a-f]{64}\Z")
_DEEPEST = 3  # object, list, object: no document nests deeper
_DECIMAL = re.compile(r"(0|[1-9][0-9]*)\Z")
_DOMAIN_TYPEHASH = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")


@lru_cache(maxsize=4096)
def checksum(address: str) -> ChecksumAddress:
    """The checksummed spelling (EIP-55) of a 20-byte hex address: in one case, or with the right checksum.

    Raises DocumentFormatError.
    """
    if not isinstance(address, str) or not _ADDRESS.match(address):
        raise DocumentFormatError(f"{address!r} is not an address", advice="Write 0x and 40 hexadecimal digits.")
    found, digits = _checksummed(address), address[2:]
    # INVARIANT: mixed case is a checksum; where it is wrong, a digit is, and money would go to nobody.
    if found != address and digits not in (digits.lower(), digits.upper()):
        raise DocumentFormatError(
            f"{address} has a wrong checksum (EIP-55): a character is not as it was",
            advice="Copy the address again; if you are sure of its digits, write them in lower case.",
        )
    return found


@lru_cache(4096)
def _checksummed(address: str) -> ChecksumAddress:
    """The same few addresses stand in every document of a session, and each one costs a hash."""
    return cast("ChecksumAddress", checksummed(bytes.fromhex(address[2:])))


@dataclass(frozen=True)
class Domain:
    """Where a signature counts: one market contract on one chain."""

    chain_id: int
    verifying_contract: str
    name: str = "Neural Nexus"
    version: str = "1"

    def __post_init__(self) -> None:
        object.__setattr__(self, "verifying_contract", checksum(self.verifying_contract))

    @cached_property
    def separator(self) -> bytes:
        """The 32-byte EIP-712 domain separator."""
        return keccak256(
            _DOMAIN_TYPEHASH
            + keccak256(self.name.encode())
            + keccak256(self.version.encode())
            + self.chain_id.to_bytes(32, "big")
            + bytes(12)
            + bytes.fromhex(self.verifying_contract[2:])
        )

    def to_typed_data(self) -> dict[str, Any]:
        """The domain as ``eth_signTypedData`` wants it."""
        return {
            "name": self.name,
            "version": self.version,
            "chainId": self.chain_id,
            "verifyingContract": self.verifying_contract,
        }


@dataclass(frozen=True)
class Field:
    """One member of a document: Python attribute, EIP-712 name, EIP-712 type."""

    attribute: str
    name: str
    type: str

    @property
    def is_array(self) -> bool:
        return self.type.endswith("[]")

    @property
    def item_type(self) -> str:
        return self.type.removesuffix("[]")


class Document:
    """Base of the signed documents: subclasses are frozen dataclasses that list their FIELDS.

    Construction checks every field against its EIP-712 type, so a document that exists can be
    hashed, signed and written. What a document *means* is checked elsewhere.
    """

    FIELDS: ClassVar[tuple[Field, ...]]
    #: Documents used as members, by EIP-712 name.
    MEMBERS: ClassVar[Mapping[str, type[Document]]] = {}
    #: The EIP-712 name, which is part of what is signed: the class's own, unless it says another.
    STRUCT: ClassVar[str]

    def __init_subclass__(cls) -> None:
        if "STRUCT" not in cls.__dict__:
            cls.STRUCT = cls.__name__

    def __post_init__(self) -> None:
        for field in self.FIELDS:
            value = getattr(self, field.attribute)
            where = f"{self.STRUCT}.{field.name}"
            if field.is_array:
                checked: Any = tuple(self._checked(field.item_type, item, where) for item in value)
            else:
                checked = self._checked(field.type, value, where)
            object.__setattr__(self, field.attribute, checked)

    @classmethod
    def _checked(cls, kind: str, value: Any, where: str) -> Any:
        member = cls.MEMBERS.get(kind)
        if member is not None:
            if isinstance(value, member):
                return value
        elif kind == "address":
            return checksum(value)
        elif kind == "bytes32":
            if isinstance(value, (bytes, bytearray)) and len(value) == 32:
                return bytes(value)
        elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << int(kind[4:]):
            return int(value)
        shown = value.hex() if isinstance(value, (bytes, bytearray)) else repr(value)
        raise DocumentFormatError(f"{where} = {shown[:80]} is not a {kind}", advice=f"Give a value that fits {kind}.")

    # ---------------------------------------------------------------- hashing

    @classmethod
    def encode_type(cls) -> str:
        """The EIP-712 type string, referenced types appended in alphabetical order."""

        def one(document: type[Document]) -> str:
            return f"{document.STRUCT}({','.join(f'{f.type} {f.name}' for f in document.FIELDS)})"

        return one(cls) + "".join(one(cls.MEMBERS[name]) for name in sorted(cls.MEMBERS))

    def struct_hash(self) -> bytes:
        """EIP-712 ``hashStruct``, 32 bytes."""
        typehash, encoders = _encoders(type(self))
        return keccak256(typehash + b"".join([encode(getattr(self, attribute)) for attribute, encode in encoders]))

    def digest(self, domain: Domain) -> bytes:
        """The 32 bytes that are signed: keccak(0x1901 || domain separator || struct hash)."""
        return keccak256(b"\x19\x01" + domain.separator + self.struct_hash())

    def to_typed_data(self, domain: Domain) -> dict[str, Any]:
        """The full message for wallets that sign by ``eth_signTypedData_v4``."""
        types: dict[str, list[dict[str, str]]] = {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ]
        }
        for document in (type(self), *self.MEMBERS.values()):
            types[document.STRUCT] = [{"name": f.name, "type": f.type} for f in document.FIELDS]
        message = self.to_dict()
        return {
            "types": types,
            "primaryType": self.STRUCT,
            "domain": domain.to_typed_data(),
            "message": message,
        }

    # ------------------------------------------------------------------- JSON

    def to_dict(self) -> dict[str, Any]:
        """Canonical JSON value: EIP-712 names, bytes as 0x hex, large integers as decimal strings."""
        return {field.name: _to_json(getattr(self, field.attribute)) for field in self.FIELDS}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of ``to_dict``; refuses missing, unknown or differently spelled members."""
        expected = {field.name for field in cls.FIELDS}
        if not isinstance(data, Mapping) or set(data) != expected:
            raise DocumentFormatError(
                f"{cls.STRUCT} has members {sorted(data) if isinstance(data, Mapping) else data!r}",
                advice=f"Give exactly {sorted(expected)}.",
            )
        values: dict[str, Any] = {}
        for field in cls.FIELDS:
            raw, where = data[field.name], f"{cls.STRUCT}.{field.name}"
            if not field.is_array:
                values[field.attribute] = cls._parsed(field.type, raw, where)
            elif isinstance(raw, list):
                values[field.attribute] = tuple(cls._parsed(field.item_type, item, where) for item in raw)
            else:
                raise DocumentFormatError(f"{where} is not a list", advice="Give a JSON list.")
        return cls(**values)

    @classmethod
    def _parsed(cls, kind: str, raw: Any, where: str) -> Any:
        """One JSON value as Python, in its only accepted spelling."""
        if kind in cls.MEMBERS:
            return cls.MEMBERS[kind].from_dict(raw)
        if kind == "address" and isinstance(raw, str) and _ADDRESS.match(raw) and checksum(raw) == raw:
            return raw
        if kind == "bytes32" and isinstance(raw, str) and _BYTES32.match(raw):
            return bytes.fromhex(raw[2:])
        if kind.startswith("uint"):
            if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw <= LARGEST_JSON_NUMBER:
                return raw
            if isinstance(raw, str) and len(raw) <= 78 and _DECIMAL.match(raw) and int(raw) > LARGEST_JSON_NUMBER:
                return int(raw)
        raise DocumentFormatError(
            f"{where} = {str(raw)[:80]!r} is not a canonical {kind}",
            advice="Write bytes as lower-case 0x hex, addresses checksummed, "
            "integers as numbers up to 2^53 - 1 and as decimal strings above.",
        )

    def to_json(self) -> str:
        """Canonical JSON text: sorted keys, no spaces, ASCII."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of ``to_json``. Raises DocumentFormatError for anything else."""
        if len(text) > LONGEST_JSON:
            raise DocumentFormatError(
                f"{cls.STRUCT} has {len(text)} characters, at most {LONGEST_JSON} are read",
                advice="Send a document's own JSON.",
            )
        try:
            data = parse_json(text, deepest=_DEEPEST)
        except ValueError as error:
            raise DocumentFormatError(f"{cls.STRUCT} is not JSON: {error}", advice="Send it again.") from error
        return cls.from_dict(data)


def _to_json(value: Any) -> Any:
    if isinstance(value, Document):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, int) and value > LARGEST_JSON_NUMBER:
        return str(value)
    return value


def _word(document: type[Document], kind: str) -> Word:
    """The function that turns a checked value of EIP-712 type ``kind`` into its 32-byte word."""
    if kind.endswith("[]"):
        item = _word(document, kind[:-2])
        return lambda values: keccak256(b"".join([item(value) for value in values]))
    if kind in document.MEMBERS:
        return lambda value: value.struct_hash()
    if kind == "address":
        return lambda value: bytes(12) + bytes.fromhex(value[2:])
    if kind == "bytes32":
        return lambda value: value
    return lambda value: value.to_bytes(32, "big")


#: Filled on first use; one entry per document type.
_ENCODERS: dict[type[Document], tuple[bytes, tuple[tuple[str, Word], ...]]] = {}


def _encoders(document: type[Document]) -> tuple[bytes, tuple[tuple[str, Word], ...]]:
    found = _ENCODERS.get(document)
    if found is None:
        words = tuple((field.attribute, _word(document, field.type)) for field in document.FIELDS)
        found = _ENCODERS[document] = keccak256(document.encode_type().encode()), words
    return found


# ------------------------------------------------------------------ signatures


def address_of(key: bytes | coincurve.PrivateKey) -> ChecksumAddress:
    """The address of a 32-byte private key."""
    secret = key if isinstance(key, coincurve.PrivateKey) else coincurve.PrivateKey(key)
    return _address(secret.public_key)


def _address(public: coincurve.PublicKey) -> ChecksumAddress:
    return checksum("0x" + keccak256(public.format(compressed=False)[1:])[12:].hex())


def sign_digest(digest: bytes, key: bytes | coincurve.PrivateKey) -> bytes:
    """65 bytes r || s || v of a 32-byte digest: deterministic (RFC 6979), low s, v in {27, 28}."""
    secret = key if isinstance(key, coincurve.PrivateKey) else coincurve.PrivateKey(key)
    signature: bytes = secret.sign_recoverable(digest, hasher=None)
    return signature[:64] + bytes([27 + signature[64]])


def recover_digest(digest: bytes, signature: bytes) -> ChecksumAddress:
    """The address that signed ``digest``. Raises BadSignatureError (length, high s, v, no such point)."""
    if len(signature) != SIGNATURE_BYTES:
        raise BadSignatureError(
            f"a signature has 65 bytes, this one {len(signature)}", advice="Ask the signer for r || s || v."
        )
    # INVARIANT: one digest and key have one accepted signature, as in the contracts: s in the lower half.
    if int.from_bytes(signature[32:64], "big") > SECP256K1_ORDER // 2:
        raise BadSignatureError("the signature's s is in the upper half", advice="Sign again with low s.")
    if signature[64] not in (27, 28):
        raise BadSignatureError(f"the signature's v is {signature[64]}", advice="Use 27 or 28 for v.")
    try:
        compact = signature[:64] + bytes([signature[64] - 27])
        return _address(coincurve.PublicKey.from_signature_and_message(compact, digest, hasher=None))
    except Exception as error:  # coincurve raises a bare Exception for an impossible point
        raise BadSignatureError("the signature recovers no key", advice="Ask the signer to sign again.") from error


def sign(document: Document, key: bytes | coincurve.PrivateKey, domain: Domain) -> bytes:
    """65 bytes r || s || v of ``document`` in ``domain``."""
    return sign_digest(document.digest(domain), key)


def recover(document: Document, signature: bytes, domain: Domain) -> ChecksumAddress:
    """The address that signed ``document`` in ``domain``. Raises BadSignatureError."""
    return recover_digest(document.digest(domain), signature)


def require_signer(document: Document, signature: bytes, domain: Domain, signer: str) -> None:
    """Raise WrongSignerError unless ``signer`` signed ``document`` (BadSignatureError if nobody did)."""
    found = recover(document, signature, domain)
    if found != checksum(signer):
        raise WrongSignerError(
            f"this {document.STRUCT} was signed by {found}, not by {checksum(signer)}",
            advice="Check the key, the chain id and the market address: all three are part of what is signed.",
        )
