"""The certificate of a model version: what it was made from, how, and how well it does.

``signing.py`` says how it is signed and what is anchored. The certificate of a version that learned from others is
in ``distillation_certificate.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from nexus_chain.certificates.signing import Signable, SignedDocument, Signer
from nexus_chain.content.canonical import require, require_cid, require_hex, require_semver
from nexus_chain.content.field_forms import Address, CidText, Hex32, Positive, SemVerText
from nexus_chain.training.record import CertifiedTraining

CERTIFICATE_FORMAT = "nexus.certificate.v1"
#: The parent of a version that came from none.
NO_PARENT_ID = bytes(32)


@dataclass(frozen=True)
class CertifiedModel:
    """What the model registry must say about the version, and the files behind it."""

    name: str
    version: SemVerText
    model_version: Hex32  # id in the registry
    parent: Hex32  # id of the version this one came from, zero for a first one
    publisher: Address
    layers: Positive
    weights_root: Hex32
    program_root: Hex32
    tokenizer_sha256: Hex32
    manifest: CidText
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
class Certificate(Signable):
    """Everything that a publisher vouches for."""

    model: CertifiedModel
    data: CertifiedData
    training: CertifiedTraining
    metrics: CertifiedMetrics
    toolchain: dict[str, str]  # versions of what trained and measured it
    format: str = CERTIFICATE_FORMAT

    def __post_init__(self) -> None:
        require(self.format == CERTIFICATE_FORMAT, "certificate.format", f"must be {CERTIFICATE_FORMAT}")

    def sign(self, signer: Signer) -> SignedCertificate:
        """The certificate with its publisher's signature."""
        return SignedCertificate(self, self.signature_by(signer))


@dataclass(frozen=True)
class SignedCertificate(SignedDocument):
    """A certificate and its publisher's signature."""

    certificate: Certificate
    signature: str
