"""The steps that every audit takes, whichever kind the certificate is."""

from __future__ import annotations

from dataclasses import asdict
from hashlib import sha256
from typing import Any

from nexus_chain.certificates.audit_evidence import AuditEvidence, finding, require_found
from nexus_chain.certificates.certificate import NO_PARENT_ID, SignedCertificate
from nexus_chain.certificates.distillation_certificate import DISTILLATION_FORMAT, SignedDistillation
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.content.block_store import fetch_file
from nexus_chain.content.canonical import canonical_bytes
from nexus_chain.json_text import parse_json
from nexus_chain.program import ActivationBits, import_checkpoint
from nexus_chain.program.file_names import TOKENIZER_FILE
from nexus_chain.program.overflow import prove_no_overflow
from nexus_chain.versions.manifest import MAX_DOCUMENT_BYTES, Manifest


def check_bytes(evidence: AuditEvidence) -> str:
    """Step 1: the bytes match the CID and are canonical JSON."""
    evidence.document = fetch_file(evidence.source, evidence.cid, MAX_DOCUMENT_BYTES)
    try:
        canonical = canonical_bytes(parse_json(evidence.document))
    except ValueError as error:
        raise finding(f"the document is not JSON ({error})") from error
    require_found(canonical == evidence.document, "the document is not canonical JSON (RFC 8785)")
    return f"{len(evidence.document)} bytes hash to {evidence.cid}"


def check_schema(evidence: AuditEvidence) -> str:
    """Step 2: the document is a signed certificate, field by field."""
    kind = SignedDistillation if is_distillation(evidence.document) else SignedCertificate
    evidence.signed = kind.from_bytes(evidence.document)
    model = evidence.model
    return f"{model.name} {model.version}, {evidence.signed.certificate.format}"


def check_signature(evidence: AuditEvidence) -> str:
    """Step 3: the publisher that the certificate names signed it."""
    signer, publisher = evidence.signed.signer(), evidence.model.publisher
    require_found(signer == publisher, f"signed by {signer}, the publisher is {publisher}")
    return f"signed by {publisher}"


def check_anchor(evidence: AuditEvidence) -> str:
    """Step 4: this document is anchored for the model version it names."""
    anchor = evidence.chain.certificates.certificate(evidence.version_id)
    if anchor is None:
        raise finding(f"no certificate is anchored for version {evidence.model.model_version}")
    require_found(anchor.cid == evidence.cid, f"the anchored certificate is {anchor.cid}")
    digest = sha256(evidence.document).digest()
    require_found(
        anchor.content_hash == digest, f"the anchored hash is {anchor.content_hash.hex()}, not {digest.hex()}"
    )
    evidence.anchored_at = anchor.anchored_at
    return f"anchored for version {evidence.model.model_version}"


def check_registry(evidence: AuditEvidence) -> str:
    """Step 5: the model registry says the same as the certificate."""
    model, versions = evidence.model, evidence.chain.models
    publisher = versions.publisher_of(evidence.version_id)
    require_found(publisher is not None, f"the registry has no version {model.model_version}")
    require_found(str(publisher).lower() == model.publisher, f"the version was published by {publisher}")
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
        require_found(registered == certified, f"the registry's {name} is {registered}, the certificate's {certified}")
    has_parent = model.parent != "0x" + NO_PARENT_ID.hex()
    known = not has_parent or versions.publisher_of(version.parent) is not None
    require_found(known, f"the registry has no parent version {model.parent}")
    return "roots, tokenizer, parent, version, manifest and publisher agree"


def check_files(evidence: AuditEvidence) -> str:
    """Step 7: checkpoint and tokenizer are the published files."""
    model = evidence.model
    manifest = Manifest.fetch(evidence.source, model.manifest)
    require_found(
        (manifest.name, manifest.version) == (model.name, model.version), "the manifest is of another version"
    )
    tokenizer = manifest.files[TOKENIZER_FILE].sha256
    require_found(tokenizer == model.tokenizer_sha256, f"the manifest's tokenizer hashes to {tokenizer}")
    manifest.fetch_files(evidence.source, evidence.checkpoint)
    return f"{len(manifest.files)} files, {sum(file.size for file in manifest.files.values())} bytes"


def check_program(evidence: AuditEvidence) -> str:
    """Step 8: importing the checkpoint again gives the certified program and weights."""
    model = evidence.model
    require_found(set(model.activation_bits) == set(asdict(ActivationBits())), "the activation bits are incomplete")
    imported = import_checkpoint(evidence.checkpoint, widths=ActivationBits(**model.activation_bits))
    roots = ModelCommitment.of(imported)
    for name, found, certified in (
        ("program root", roots.program_root, model.program_root),
        ("weights root", roots.weights_root, model.weights_root),
    ):
        require_found(
            "0x" + found.hex() == certified, f"the {name} of the checkpoint is 0x{found.hex()}, not {certified}"
        )
    require_found(
        imported.program.shape.layers == model.layers, f"the checkpoint has {imported.program.shape.layers} layers"
    )
    evidence.integer_model = imported
    return f"{len(imported.program.ops)} ops, weights root {model.weights_root}"


def check_overflow(evidence: AuditEvidence) -> str:
    """Step 9: no intermediate of the program can overflow, for any input."""
    report = prove_no_overflow(evidence.integer_model.program)
    return f"proven for {len(report.proofs)} kinds of op"


def is_distillation(document: bytes) -> bool:
    """Whether a document, which may be anything, says that it is a distillation certificate."""
    try:
        found: Any = parse_json(document)["certificate"]["format"]
    except (ValueError, LookupError, TypeError):
        return False
    return bool(found == DISTILLATION_FORMAT)
