"""ModelRegistry: immutable model versions, what exactly a node claims to run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from nexus_chain.chain.bound import BoundContract
from nexus_chain.chain.errors import ContractRevertedError
from nexus_chain.chain.transactions import Mined
from nexus_chain.market.documents import checksum

NO_PARENT = bytes(32)


@dataclass(frozen=True, order=True)
class SemVer:
    """Semantic version; ordered by major, minor, patch."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True)
class ModelVersion:
    """What a publisher states about a version."""

    weights_root: bytes  # RFC 9162 root over all tensors
    program_root: bytes  # RFC 9162 root over the op descriptors
    tokenizer_hash: bytes  # SHA-256 of the tokenizer file
    price_per_token: int  # suggested wei per token over all layers
    layers: int
    semver: SemVer
    manifest_cid: str
    parent: bytes = NO_PARENT  # id of the version this one came from

    def _abi(self) -> tuple[Any, ...]:
        version = (self.semver.major, self.semver.minor, self.semver.patch)
        roots = (self.weights_root, self.program_root, self.tokenizer_hash, self.parent)
        return (*roots, self.price_per_token, self.layers, version, self.manifest_cid)


@dataclass(frozen=True)
class VersionShare:
    """What the publisher of a version asks beside what nodes earn, as the chain holds it."""

    publisher: str
    basis_points: int
    since: int  # timestamp at which it last rose from zero; 0 while it was never above


class ModelRegistry(BoundContract):
    """Typed access; methods are the contract's, in snake case."""

    CONTRACT: ClassVar[str] = "ModelRegistry"

    def publish(self, version: ModelVersion) -> tuple[bytes, Mined]:
        """Publish for ever; returns the version's id."""
        mined = self._send("publish", version._abi())
        return bytes(self.events_in(mined.receipt, "Published")[0].arguments["id"]), mined

    def set_share(self, version_id: bytes, basis_points: int) -> Mined:
        """Ask for a share of what nodes earn, on top, in sessions that are opened afterwards. Only its publisher."""
        return self._send("setShare", version_id, basis_points)

    def share_of(self, version_id: bytes) -> VersionShare:
        """Raises ContractRevertedError ModelRegistry_Unknown."""
        try:
            return VersionShare(*self._read("shareOf", version_id))
        except ContractRevertedError:
            # It refuses versions that are not published, and nothing else: a registry that is older than shares, of
            # which none can be paid there.
            publisher = self.publisher_of(version_id)
            if publisher is None:
                raise
            return VersionShare(publisher, 0, 0)

    def most_share(self) -> int:
        """The highest share that can be set, basis points; 0 where the registry is older than shares."""
        try:
            return int(self._read("mostShare"))
        except ContractRevertedError:  # it never refuses
            return 0

    def id_of(self, publisher: str, version: ModelVersion) -> bytes:
        """The id ``publish`` gives to this version of this publisher."""
        return bytes(self._read("idOf", checksum(publisher), version._abi()))

    def version(self, version_id: bytes) -> ModelVersion:
        """Raises ContractRevertedError ModelRegistry_Unknown."""
        weights, program, tokenizer, parent, price, layers, semver, cid = self._read("version", version_id)
        found = ModelVersion(weights, program, tokenizer, price, layers, SemVer(*semver), cid)
        return replace(found, parent=parent)

    def publisher_of(self, version_id: bytes) -> str | None:
        """Who published the version, or None when there is no such version."""
        found = str(self._read("publisherOf", version_id))
        return found if int(found, 16) else None

    def published_at(self, version_id: bytes) -> int:
        """When a version was published, Unix seconds of its block; 0 where no block says so."""
        for event in self.events("Published", where={"id": version_id}):
            return self.connection.block(event.block).timestamp
        return 0

    def versions(self) -> Iterator[bytes]:
        """Ids in order of publishing."""
        return (bytes(found) for found in self._pages("versions"))
