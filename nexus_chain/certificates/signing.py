"""How a certificate is signed, whatever it certifies.

A signed certificate is canonical JSON ``{"certificate": ..., "signature": ...}``; its CID and the
SHA-256 of its bytes are anchored on-chain. The publisher signs (EIP-191) the SHA-256 of the inner
document's canonical JSON, so the signature is not part of what it signs.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Protocol, Self

from nexus_chain.content.canonical import canonical_bytes, read_canonical, require_hex
from nexus_chain.content.cid import Cid
from nexus_chain.content.unixfs import cid_of
from nexus_chain.keccak import keccak256
from nexus_chain.market.eip712 import recover_digest

_SIGNATURE_BYTES = 65


class Signer(Protocol):
    """A key that signs digests; ``nexus_chain.chain.wallet.Wallet`` is one."""

    @property
    def address(self) -> str:
        """0x and 40 hexadecimal digits."""

    def sign_digest(self, digest: bytes) -> bytes:
        """65 bytes r || s || v."""


class Signable:
    """A certificate before it is signed: any frozen dataclass that has a canonical form."""

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical JSON: what the publisher signs."""
        return sha256(canonical_bytes(self)).digest()

    def signature_by(self, signer: Signer) -> str:
        """``signer``'s signature, as 0x and 130 hexadecimal digits."""
        return "0x" + signer.sign_digest(_eip191(self.digest)).hex()


class SignedDocument:
    """A certificate and its publisher's signature; the document that is stored and anchored.

    Its kinds are frozen dataclasses with these two fields.
    """

    certificate: Any
    signature: str

    def __post_init__(self) -> None:
        require_hex(self.signature, _SIGNATURE_BYTES, "signature")

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read ``to_bytes``; CanonicalFormatError, naming the field, for anything else."""
        return read_canonical(cls, data, "document")

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical_bytes(self)

    @property
    def cid(self) -> Cid:
        """Address of the document."""
        return cid_of(self.to_bytes())

    @property
    def content_hash(self) -> bytes:
        """SHA-256 of the document's bytes: what is anchored beside the CID."""
        return sha256(self.to_bytes()).digest()

    def signer(self) -> str:
        """Address (lower case) that signed; BadSignatureError where nobody can have."""
        signature = require_hex(self.signature, _SIGNATURE_BYTES, "signature")
        return recover_digest(_eip191(self.certificate.digest), signature).lower()


def _eip191(digest: bytes) -> bytes:
    """What wallets sign for a 32-byte message: nobody can be tricked into signing a transaction."""
    return keccak256(b"\x19Ethereum Signed Message:\n32" + digest)
