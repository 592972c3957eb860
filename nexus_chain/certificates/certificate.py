"""The certificate of a model version: what it was made from, how, and how well it does.

A signed certificate is canonical JSON ``{"certificate": ..., "signature": ...}``; its CID and the
SHA-256 of its bytes are anchored on-chain. The publisher signs (EIP-191) the SHA-256 of the inner
document's canonical JSON, so the signature is not part of what it signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from nexus_chain.content.canonical import (
    canonical_bytes,
    read_canonical,
    require,
    require_cid,
    require_hex,
    require_semver,
)
from nexus_chain.content.cid import Cid
from nexus_chain.content.unixfs import cid_of
from nexus_chain.keccak import keccak256
from nexus_chain.market.eip712 import recover_digest
from nexus_chain.training.record import CertifiedTraining

_FORMAT = "nexus.certificate.v1"
_SIGNATURE_BYTES = 65
#: The parent of a version that came from none.
NO_PARENT_ID = bytes(32)


class Signer(Protocol):
    """A key that signs digests; ``nexus_chain.chain.wallet.Wallet`` is one."""

    @property
    def address(self) -> str:
        """0x and 40 hexadecimal digits."""

    def sign_digest(self, digest: bytes) -> bytes:
        """65 bytes r || s || v."""


@dataclass(frozen=True)
class CertifiedModel:
    """What the model registry must say about the version, and the files behind it."""

    name: str
    version: str  # SemVer
    model_version: str  # id in the registry
    parent: str  # id of the version this one came from, zero for a first one
    publisher: str
    layers: int
    weights_root: str
    program_root: str
    tokenizer_sha256: str
    manifest: str  # CID
    activation_bits: dict[str, int]  # of the integer program, by family of linear inputs

    def __post_init__(self) -> None:
        require_semver(self.version, "model.version")
        require_cid(self.manifest, "model.manifest")
        require_hex(self.publisher, 20, "model.publisher")
        for name in ("model_version", "parent", "weights_root", "program_root", "tokenizer_sha256"):
            require_hex(getattr(self, name), 32, f"model.{name}")
        require(self.layers > 0, "model.layers", "must be positive")


@dataclass(frozen=True)
class CertifiedData:
    """What the model was trained on; ``listing`` is the CID of the data listing."""

    listing: str
    source: str
    licence: str
    training_root: str
    training_files: int
    training_tokens: int
    held_out_root: str
    held_out_files: int
    held_out_tokens: int

    def __post_init__(self) -> None:
        require_cid(self.listing, "data.listing")
        require_hex(self.training_root, 32, "data.training_root")
        require_hex(self.held_out_root, 32, "data.held_out_root")


@dataclass(frozen=True)
class CertifiedMetrics:
    """Measured on ``tokens`` held-out tokens in windows of ``window`` (see ``held_out``).

    Hits are counts of positions where the largest logit is the next token; ``agreements`` where
    integer program and float32 model have the same largest logit. ``window_hits`` are the integer
    program's per window, so that a window can be re-checked alone. Perplexities have 4 decimals.
    """

    sample: str  # CID
    window: int
    tokens: int
    perplexity_float32: float
    perplexity_integer: float
    hits_float32: int
    hits_integer: int
    agreements: int
    window_hits: tuple[int, ...]

    def __post_init__(self) -> None:
        require_cid(self.sample, "metrics.sample")
        require(self.window > 0, "metrics.window", "must be positive")
        require(self.tokens == self.window * len(self.window_hits), "metrics.tokens", "must be window x windows")
        require(self.hits_integer == sum(self.window_hits), "metrics.hits_integer", "must be the sum of window_hits")
        for name in ("hits_float32", "hits_integer", "agreements"):
            require(0 <= getattr(self, name) <= self.tokens, f"metrics.{name}", "must lie between 0 and tokens")


@dataclass(frozen=True)
class Certificate:
    """Everything that a publisher vouches for."""

    model: CertifiedModel
    data: CertifiedData
    training: CertifiedTraining
    metrics: CertifiedMetrics
    toolchain: dict[str, str]  # versions of what trained and measured it
    format: str = _FORMAT

    def __post_init__(self) -> None:
        require(self.format == _FORMAT, "certificate.format", f"must be {_FORMAT}")

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical JSON: what the publisher signs."""
        return sha256(canonical_bytes(self)).digest()

    def sign(self, signer: Signer) -> SignedCertificate:
        """The certificate with its publisher's signature."""
        return SignedCertificate(self, "0x" + signer.sign_digest(_eip191(self.digest)).hex())


@dataclass(frozen=True)
class SignedCertificate:
    """A certificate and its publisher's signature; the document that is stored and anchored."""

    certificate: Certificate
    signature: str

    def __post_init__(self) -> None:
        require_hex(self.signature, _SIGNATURE_BYTES, "signature")

    @classmethod
    def from_bytes(cls, data: bytes) -> SignedCertificate:
        """Read ``to_bytes``; CertificateFormatError, naming the field, for anything else."""
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
