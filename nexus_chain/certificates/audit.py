"""Audit a certificate from its CID, a chain and a source of blocks alone.

``audit`` runs eleven numbered steps, in order, and stops at the first that fails; the report says
which step that was and why. It trusts neither the source (every byte is hashed) nor the
certificate (what can be recomputed is). What it cannot recompute are the figures of the float32
model and the training itself; those the publisher vouches for with a signature.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from tokenizers import Tokenizer

from nexus_chain.certificates.certificate import NO_PARENT_ID, Certificate, SignedCertificate
from nexus_chain.certificates.errors import CertificateError
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.content.block_store import BlockSource, fetch_file
from nexus_chain.content.canonical import canonical_bytes
from nexus_chain.content.listing import DataListing
from nexus_chain.engine.engine import Engine
from nexus_chain.errors import NexusError
from nexus_chain.json_text import parse_json
from nexus_chain.program import ActivationBits, IntegerModel, import_checkpoint
from nexus_chain.program.file_names import TOKENIZER_FILE
from nexus_chain.program.overflow import prove_no_overflow
from nexus_chain.quality.errors import MeasurementError
from nexus_chain.quality.held_out import HeldOutSample, measure
from nexus_chain.training.record import check_training
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.versions.manifest import MAX_DOCUMENT_BYTES, Manifest
from nexus_chain.versions.tokenizer_assembly import assemble


class Anchor(Protocol):
    """What CertificateRegistry keeps."""

    @property
    def cid(self) -> str: ...
    @property
    def content_hash(self) -> bytes: ...


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


@dataclass(frozen=True)
class AuditStep:
    """One step's outcome; ``detail`` is what was found, or why it failed."""

    number: int
    title: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class AuditReport:
    """The steps up to and including the first that failed."""

    cid: str
    steps: tuple[AuditStep, ...]

    @property
    def passed(self) -> bool:
        """Whether every step ran and passed."""
        return len(self.steps) == len(STEPS) and all(step.passed for step in self.steps)

    @property
    def failed_step(self) -> AuditStep | None:
        """The step that failed, or None."""
        return next((step for step in self.steps if not step.passed), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"cid": self.cid, "passed": self.passed, "steps": [asdict(step) for step in self.steps]}


class AuditStepError(CertificateError):
    """A step's check does not hold."""


@dataclass
class _Evidence:
    """What the steps have established so far."""

    cid: str
    source: BlockSource
    chain: ChainReader
    folder: Path  # empty at first; receives the checkpoint
    document: bytes = field(init=False)  # set by step 1, and so on: no step reads what a later one sets
    signed: SignedCertificate = field(init=False)
    listing: DataListing = field(init=False)
    model: IntegerModel = field(init=False)

    @property
    def certificate(self) -> Certificate:
        return self.signed.certificate

    @property
    def version_id(self) -> bytes:
        return bytes.fromhex(self.certificate.model.model_version[2:])


def audit(
    cid: str, source: BlockSource, chain: ChainReader, progress: Callable[[AuditStep], None] | None = None
) -> AuditReport:
    """Check the certificate at ``cid``; ``progress`` is told of every step as it ends.

    Never raises for what it audits: a failed check, missing blocks and an unreachable chain are a
    failed step of the report.
    """
    steps = []
    with ExitStack() as stack:
        evidence = _Evidence(cid, source, chain, Path(stack.enter_context(_workspace())))
        for step in _run(evidence):
            steps.append(step)
            if progress is not None:
                progress(step)
    return AuditReport(cid, tuple(steps))


def _workspace() -> AbstractContextManager[str]:
    return tempfile.TemporaryDirectory(prefix="nexus-audit-")


def _run(evidence: _Evidence) -> Iterator[AuditStep]:
    for number, (title, check) in enumerate(STEPS, start=1):
        try:
            detail = check(evidence)
        except (NexusError, OSError) as error:
            yield AuditStep(number, title, False, error.message if isinstance(error, NexusError) else str(error))
            return
        yield AuditStep(number, title, True, detail)


def _bytes(evidence: _Evidence) -> str:
    """Step 1: the bytes match the CID and are canonical JSON."""
    evidence.document = fetch_file(evidence.source, evidence.cid, MAX_DOCUMENT_BYTES)
    try:
        canonical = canonical_bytes(parse_json(evidence.document))
    except ValueError as error:
        raise _finding(f"the document is not JSON ({error})") from error
    _require(canonical == evidence.document, "the document is not canonical JSON (RFC 8785)")
    return f"{len(evidence.document)} bytes hash to {evidence.cid}"


def _schema(evidence: _Evidence) -> str:
    """Step 2: the document is a signed certificate, field by field."""
    evidence.signed = SignedCertificate.from_bytes(evidence.document)
    model = evidence.certificate.model
    return f"{model.name} {model.version}, {evidence.certificate.format}"


def _signature(evidence: _Evidence) -> str:
    """Step 3: the publisher that the certificate names signed it."""
    signer, publisher = evidence.signed.signer(), evidence.certificate.model.publisher
    _require(signer == publisher, f"signed by {signer}, the publisher is {publisher}")
    return f"signed by {publisher}"


def _anchor(evidence: _Evidence) -> str:
    """Step 4: this document is anchored for the model version it names."""
    anchor = evidence.chain.certificates.certificate(evidence.version_id)
    if anchor is None:
        raise _finding(f"no certificate is anchored for version {evidence.certificate.model.model_version}")
    _require(anchor.cid == evidence.cid, f"the anchored certificate is {anchor.cid}")
    digest = sha256(evidence.document).digest()
    _require(anchor.content_hash == digest, f"the anchored hash is {anchor.content_hash.hex()}, not {digest.hex()}")
    return f"anchored for version {evidence.certificate.model.model_version}"


def _registry(evidence: _Evidence) -> str:
    """Step 5: the model registry says the same as the certificate."""
    model, versions = evidence.certificate.model, evidence.chain.models
    publisher = versions.publisher_of(evidence.version_id)
    _require(publisher is not None, f"the registry has no version {model.model_version}")
    _require(str(publisher).lower() == model.publisher, f"the version was published by {publisher}")
    version = versions.version(evidence.version_id)
    for name, registered, certified in (
        ("weights root", "0x" + version.weights_root.hex(), model.weights_root),
        ("program root", "0x" + version.program_root.hex(), model.program_root),
        ("tokenizer hash", "0x" + version.tokenizer_hash.hex(), model.tokenizer_sha256),
        ("parent", "0x" + version.parent.hex(), model.parent),
        ("version", str(version.semver), model.version),
        ("manifest", version.manifest_cid, model.manifest),
        ("number of layers", str(version.layers), str(model.layers)),
    ):
        _require(registered == certified, f"the registry's {name} is {registered}, the certificate's {certified}")
    has_parent = model.parent != "0x" + NO_PARENT_ID.hex()
    known = not has_parent or versions.publisher_of(version.parent) is not None
    _require(known, f"the registry has no parent version {model.parent}")
    return "roots, tokenizer, parent, version, manifest and publisher agree"


def _data(evidence: _Evidence) -> str:
    """Step 6: the data listing has the certified roots and counts, and nothing held out was trained on."""
    data = evidence.certificate.data
    evidence.listing = listing = DataListing.from_bytes(fetch_file(evidence.source, data.listing, MAX_DOCUMENT_BYTES))
    for name, found, certified in (
        ("training root", "0x" + listing.training_root.hex(), data.training_root),
        ("held-out root", "0x" + listing.held_out_root.hex(), data.held_out_root),
        ("number of training files", len(listing.training), data.training_files),
        ("number of held-out files", len(listing.held_out), data.held_out_files),
    ):
        _require(found == certified, f"the listing's {name} is {found}, the certificate's {certified}")
    leaked = listing.leaked()
    _require(not leaked, f"held-out files were trained on: {', '.join(leaked[:3])}")
    return f"{len(listing.training)} training and {len(listing.held_out)} held-out files, none in both"


def _files(evidence: _Evidence) -> str:
    """Step 7: checkpoint and tokenizer are the published files."""
    model = evidence.certificate.model
    manifest = Manifest.fetch(evidence.source, model.manifest)
    _require((manifest.name, manifest.version) == (model.name, model.version), "the manifest is of another version")
    tokenizer = manifest.files[TOKENIZER_FILE].sha256
    _require(tokenizer == model.tokenizer_sha256, f"the manifest's tokenizer hashes to {tokenizer}")
    manifest.fetch_files(evidence.source, evidence.folder)
    return f"{len(manifest.files)} files, {sum(file.size for file in manifest.files.values())} bytes"


def _program(evidence: _Evidence) -> str:
    """Step 8: importing the checkpoint again gives the certified program and weights."""
    model = evidence.certificate.model
    _require(set(model.activation_bits) == set(asdict(ActivationBits())), "the activation bits are incomplete")
    imported = import_checkpoint(evidence.folder, widths=ActivationBits(**model.activation_bits))
    roots = ModelCommitment.of(imported)
    for name, found, certified in (
        ("program root", roots.program_root, model.program_root),
        ("weights root", roots.weights_root, model.weights_root),
    ):
        _require("0x" + found.hex() == certified, f"the {name} of the checkpoint is 0x{found.hex()}, not {certified}")
    _require(
        imported.program.shape.layers == model.layers, f"the checkpoint has {imported.program.shape.layers} layers"
    )
    evidence.model = imported
    return f"{len(imported.program.ops)} ops, weights root {model.weights_root}"


def _overflow(evidence: _Evidence) -> str:
    """Step 9: no intermediate of the program can overflow, for any input."""
    report = prove_no_overflow(evidence.model.program)
    return f"proven for {len(report.proofs)} kinds of op"


def _metrics(evidence: _Evidence) -> str:
    """Step 10: the integer program scores exactly what is certified on the held-out sample."""
    metrics = evidence.certificate.metrics
    sample = HeldOutSample.from_bytes(fetch_file(evidence.source, metrics.sample, MAX_DOCUMENT_BYTES))
    sample.require_listed(evidence.listing)
    _require(metrics.window <= evidence.model.program.shape.context, "windows are longer than the model's context")
    windows = sample.windows(_tokenizer(evidence.folder), metrics.window)
    _require(len(windows) == len(metrics.window_hits), f"the sample has {len(windows)} windows")
    measured = measure(Engine(evidence.model.program, evidence.model.weights), windows)
    _require(
        measured.hits == metrics.window_hits,
        f"{sum(measured.hits)} hits were recomputed, {metrics.hits_integer} are certified",
    )
    _require(
        measured.perplexity == metrics.perplexity_integer,
        f"the perplexity is {measured.perplexity}, {metrics.perplexity_integer} is certified",
    )
    return f"{metrics.hits_integer} hits in {metrics.tokens} tokens, perplexity {metrics.perplexity_integer}"


def _training(evidence: _Evidence) -> str:
    """Step 11: configuration, seeds and loss curve are complete and fit the checkpoint."""
    return check_training(evidence.certificate.training, evidence.certificate.toolchain, evidence.folder)


STEPS: tuple[tuple[str, Callable[[_Evidence], str]], ...] = (
    ("bytes match the CID and are canonical", _bytes),
    ("certificate schema", _schema),
    ("publisher's signature", _signature),
    ("anchored on-chain", _anchor),
    ("model registry agrees", _registry),
    ("data listing", _data),
    ("checkpoint and tokenizer", _files),
    ("integer program", _program),
    ("overflow proof", _overflow),
    ("held-out metrics", _metrics),
    ("training record", _training),
)


def _tokenizer(folder: Path) -> Tokenizer:
    try:
        return assemble(folder / TOKENIZER_FILE)
    except ModelFilesError as error:
        raise MeasurementError(
            f"the tokenizer cannot be read ({error.message})", advice="Publish a working one"
        ) from error


def _finding(problem: str) -> AuditStepError:
    return AuditStepError(problem, advice="Do not rely on this certificate")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise _finding(problem)
