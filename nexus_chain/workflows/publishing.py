"""Publishing a model version: prove, register, certify, keep its files for others to fetch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from nexus_chain.certificates.distillation_certificate import CertifiedParent
from nexus_chain.certificates.distillation_publication import DistillationPublication
from nexus_chain.certificates.errors import DistillationRecordError
from nexus_chain.certificates.publication import Publication, Release
from nexus_chain.certificates.signing import SignedDocument
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.model_registry import ModelVersion, SemVer
from nexus_chain.content.block_store import BlockStore
from nexus_chain.content.canonical import require_semver
from nexus_chain.content.cid import Cid
from nexus_chain.content.kubo import KuboDaemon, Pinner, PinQueue, QueuedPin
from nexus_chain.disputes.caps import check_caps
from nexus_chain.planning.shards import shard_model
from nexus_chain.program.overflow import prove_no_overflow
from nexus_chain.program.reproduction import reproduce
from nexus_chain.quality import require_within
from nexus_chain.quality.calibration import require_vocabulary
from nexus_chain.workflows.catalogue import CatalogueEntry, require_weights_root
from nexus_chain.workflows.checkpoints import opened_folder
from nexus_chain.workflows.importing import Measuring, convert, convert_measured, keep_model
from nexus_chain.workflows.observer import TaskObserver
from nexus_chain.workflows.sharding import WrittenShard, write_shards
from nexus_chain.workflows.workspace import Workspace


@dataclass(frozen=True)
class VersionRequest:
    """What is published. ``version``: semantic; ``price``: suggested wei per token over all layers.

    ``measuring`` None: it is not compared with the float model, which only a version without a certificate may do.
    ``name``: in the certificate, by default the folder's. ``parent``: the beginning of the id of the version that
    this one came from. ``certified``: with a certificate, which needs the records of training and measuring.
    ``shards``: TensorBlocks that the model is cut into for nodes; 0: it is not. ``entry``: of the catalogue, whose
    weights it has to come to. ``distillation``: the folder that a distillation kept; the version then gets the
    certificate of what it learned from ``parent``, and ``certified`` does not count.
    """

    checkpoint: Path
    version: str
    measuring: Measuring | None
    price: int = 0
    name: str | None = None
    parent: str | None = None
    certified: bool = True
    shards: int = 0
    entry: CatalogueEntry | None = None
    distillation: Path | None = None


@dataclass(frozen=True)
class Registered:
    """A version's id and the gas of registering it; 0: it was registered before."""

    version: bytes
    gas: int


@dataclass(frozen=True)
class Anchored:
    """A certificate on the chain, or none; ``gas`` of anchoring it."""

    cid: Cid | None = None
    gas: int = 0


@dataclass(frozen=True)
class PublishedVersion:
    """A registered version, kept in ``folder``. ``overflow_bits``: of its largest intermediate.

    ``pinned``: whether the IPFS daemon took everything; None: there is none.
    """

    registered: Registered
    anchored: Anchored
    manifest_cid: str
    overflow_bits: int
    pinned: bool | None
    folder: Path
    shards: tuple[WrittenShard, ...] = ()


def publish(workspace: Workspace, wanted: VersionRequest, ipfs: str | None = None) -> PublishedVersion:
    """Prove, register and certify a model; its files go into the block store, and to the Kubo daemon ``ipfs``.

    What can be refused is refused before anything is paid for. Raises TrainedFolderError, QualityError,
    CalibrationError, ShardCountError, IpfsDaemonError, DistillationRecordError, ChainError and the errors of the
    importer and of the proofs.
    """
    require_semver(wanted.version, "version")  # before minutes of measuring
    if wanted.distillation is not None and wanted.parent is None:
        raise DistillationRecordError("a model that learned has a parent", advice="Name the version with --parent.")
    observer = workspace.observer
    contracts = workspace.wallet_chain  # so is a wrong password
    store = BlockStore(workspace.home.prepare().blocks)
    address = ipfs or workspace.settings.ipfs
    pinner = open_pinner(workspace, address) if address else None
    with opened_folder(wanted.checkpoint, workspace.home, observer) as folder:
        return _publish(workspace, contracts, replace(wanted, checkpoint=folder), store, pinner)


def _publish(
    workspace: Workspace, contracts: Contracts, wanted: VersionRequest, store: BlockStore, pinner: Pinner | None
) -> PublishedVersion:
    """Publish a checkpoint whose folder is there; raises as ``publish`` does."""
    observer = workspace.observer
    release = _prepare(wanted, store, observer)
    if wanted.entry is not None:
        require_weights_root(wanted.entry, release.commitment.weights_root)
    if wanted.shards:
        shard_model(release.model.program, wanted.shards)  # so many are possible
    bits = _prove(release, observer)
    learned = DistillationPublication.prepare(wanted.distillation, release, store) if wanted.distillation else None
    before = workspace.library.choose(wanted.parent) if wanted.parent else bytes(32)
    with observer.stage("Registering"):
        entry = registry_entry(release, wanted.version, wanted.price, before)
        version_id = contracts.models.id_of(workspace.wallet.address, entry)
        signed = _signed(workspace, learned or release, version_id, before)
        registered = _register(contracts, version_id, entry, signed)
        anchored = _anchor(contracts, version_id, signed, store)
    kept = workspace.home.models / registered.version.hex()[:16]
    keep_model(release.model, release.recipe, wanted.checkpoint, kept)
    cids = (learned or release).cids
    files = [anchored.cid, *cids] if anchored.cid else cids
    pinned = pinner.pin_all(files) if pinner else None
    shards = tuple(write_shards(kept, wanted.shards, observer=observer)) if wanted.shards else ()
    return PublishedVersion(registered, anchored, release.manifest_cid, bits, pinned, kept, shards)


def pin_waiting(workspace: Workspace, address: str) -> tuple[list[Cid], list[QueuedPin]]:
    """Offer the daemon at ``address`` what it did not take before; returns what it has now and what still waits.

    Raises IpfsDaemonError.
    """
    pinned = open_pinner(workspace, address).retry()
    return pinned, PinQueue(workspace.home.pins).waiting()


def open_pinner(workspace: Workspace, address: str) -> Pinner:
    """What pins files of the home's block store to the daemon at ``address``. Raises IpfsDaemonError."""
    home = workspace.home.prepare()
    return Pinner(BlockStore(home.blocks), PinQueue(home.pins), KuboDaemon(address))


def registry_entry(release: Release, version: str, price: int, parent: bytes) -> ModelVersion:
    """What the registry is told of a release."""
    major, minor, patch = (int(part) for part in version.split("."))
    return ModelVersion(
        release.commitment.weights_root,
        release.commitment.program_root,
        release.tokenizer_sha256,
        price,
        release.model.program.shape.layers,
        SemVer(major, minor, patch),
        release.manifest_cid,
        parent,
    )


def _prepare(wanted: VersionRequest, store: BlockStore, observer: TaskObserver) -> Release:
    """The release, imported and hashed."""
    with observer.stage("Importing and hashing"):
        on_a_corpus = wanted.certified and wanted.distillation is None
        return _certifiable(wanted, store) if on_a_corpus else _uncertified(wanted, store, observer)


def _certifiable(wanted: VersionRequest, store: BlockStore) -> Publication:
    """A measured folder within the gate. Raises TrainedFolderError, QualityError and the importer's errors."""
    publication = Publication.prepare(wanted.checkpoint, store, wanted.version, wanted.name)
    require_vocabulary(wanted.checkpoint, publication.model.program.shape.vocab)
    if wanted.measuring is not None and not wanted.measuring.beyond_gate:
        require_within(publication.relative_increase, wanted.measuring.gate)
    return publication


def _uncertified(wanted: VersionRequest, store: BlockStore, observer: TaskObserver) -> Release:
    """Any checkpoint, measured here where it can be. Raises as ``_certifiable`` does."""
    if wanted.measuring is None:
        imported = convert(wanted.checkpoint)
    else:
        imported = convert_measured(wanted.checkpoint, wanted.measuring, observer)
    require_vocabulary(wanted.checkpoint, imported.model.program.shape.vocab)
    return Release.of(wanted.checkpoint, imported.model, imported.recipe, store, wanted.version, wanted.name)


def _prove(release: Release, observer: TaskObserver) -> int:
    """Bits of the largest intermediate of a program that may be served and disputed. Raises ProgramError."""
    with observer.stage("Proving that no operation overflows"):
        reproduce(release.model.program)
        proof = prove_no_overflow(release.model.program)
        check_caps(release.model.program)
    return proof.bits


def _signed(
    workspace: Workspace, made: Release | DistillationPublication, version: bytes, parent: bytes
) -> SignedDocument | None:
    """The certificate of what can be certified. The same version gives the same bytes: nothing in it is of a moment."""
    publisher = workspace.wallet.address
    if isinstance(made, DistillationPublication):
        before = _certified_parent(workspace.wallet_chain, parent)
        return made.certificate(publisher, version, before).sign(workspace.wallet)
    if isinstance(made, Publication):
        return made.certificate(publisher, version, parent).sign(workspace.wallet)
    return None


def _register(
    contracts: Contracts, version_id: bytes, entry: ModelVersion, signed: SignedDocument | None
) -> Registered:
    """Register, or go on after a crash at any time afterwards. A version with another certificate is refused."""
    if contracts.models.publisher_of(version_id):
        anchor = contracts.certificates.certificate(version_id)
        if anchor is None or (signed is not None and anchor.content_hash == signed.content_hash):
            return Registered(version_id, 0)
    version_id, mined = contracts.models.publish(entry)
    return Registered(version_id, mined.gas)


def _anchor(contracts: Contracts, version_id: bytes, signed: SignedDocument | None, store: BlockStore) -> Anchored:
    """Keep and anchor the certificate, unless exactly this one is anchored already."""
    if signed is None:
        return Anchored()
    cid = store.add_bytes(signed.to_bytes())
    anchor = contracts.certificates.certificate(version_id)
    if anchor is not None and anchor.content_hash == signed.content_hash:
        return Anchored(cid, 0)
    mined = contracts.certificates.anchor(version_id, str(cid), signed.content_hash)
    return Anchored(cid, mined.gas)


def _certified_parent(contracts: Contracts, parent: bytes) -> CertifiedParent:
    """What the chain says of the version that learned."""
    version, anchor = contracts.models.version(parent), contracts.certificates.certificate(parent)
    return CertifiedParent(
        model_version="0x" + parent.hex(),
        weights_root="0x" + version.weights_root.hex(),
        program_root="0x" + version.program_root.hex(),
        certificate=anchor.cid if anchor else None,
    )
