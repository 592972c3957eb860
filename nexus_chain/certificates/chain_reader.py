"""What an audit asks the chain for, as protocols: this room knows no chain."""

from __future__ import annotations

from typing import Protocol


class Anchor(Protocol):
    """What CertificateRegistry keeps; ``anchored_at``: seconds since 1970, by the chain's clock."""

    @property
    def cid(self) -> str: ...
    @property
    def content_hash(self) -> bytes: ...
    @property
    def anchored_at(self) -> int: ...


class RegisteredVersion(Protocol):
    """What ModelRegistry keeps; ``str(semver)`` is like ``1.2.3``."""

    @property
    def weights_root(self) -> bytes: ...
    @property
    def program_root(self) -> bytes: ...
    @property
    def tokenizer_hash(self) -> bytes: ...
    @property
    def parent(self) -> bytes: ...
    @property
    def layers(self) -> int: ...
    @property
    def semver(self) -> object: ...
    @property
    def manifest_cid(self) -> str: ...


class Anchors(Protocol):
    """Read access to CertificateRegistry."""

    def certificate(self, model_version: bytes) -> Anchor | None: ...


class Versions(Protocol):
    """Read access to ModelRegistry."""

    def publisher_of(self, version_id: bytes) -> str | None: ...
    def version(self, version_id: bytes) -> RegisteredVersion: ...


class ChainReader(Protocol):
    """The three calls an audit makes; ``nexus_chain.chain.contracts.Contracts`` answers them."""

    @property
    def certificates(self) -> Anchors: ...
    @property
    def models(self) -> Versions: ...
