"""The audit: passes what is right, and fails at the right step for whatever is broken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from nexus_chain.certificates.audit import STEPS, AuditReport, audit
from nexus_chain.certificates.certificate import Certificate
from nexus_chain.chain.certificate_registry import AnchoredCertificate
from nexus_chain.chain.model_registry import SemVer
from nexus_chain.chain.wallet import Wallet
from nexus_chain.content.block_store import BlockStore, copy_file
from nexus_chain.content.canonical import canonical_bytes
from nexus_chain.content.cid import Cid
from nexus_chain.content.errors import BlockMissingError
from nexus_chain.content.listing import DataListing, ListedFile
from nexus_chain.quality.held_out import HeldOutSample, HeldOutText
from nexus_chain.versions.manifest import FileReference, Manifest
from tests.support.tiny_publication import PUBLISHER, Published, Registries, publish

STRANGER = Wallet(bytes(31) + b"\x08")


def run(subject: Published) -> AuditReport:
    return audit(subject.cid, subject.store, subject.chain)


def assert_fails_at(report: AuditReport, number: int, reason: str) -> None:
    failed = report.failed_step
    assert failed is not None, report
    assert (failed.number, reason in failed.detail) == (number, True), failed
    assert not report.passed
    assert [step.number for step in report.steps] == list(range(1, number + 1)), "it stops at the failed step"


def rewritten(subject: Published, change: Callable[[Certificate], Certificate]) -> Published:
    """The publisher signs and anchors a changed certificate: only the steps' own checks can object."""
    return subject.anchored(change(subject.signed.certificate).sign(PUBLISHER))


def with_model(subject: Published, **changes: object) -> Published:
    return rewritten(subject, lambda c: replace(c, model=replace(c.model, **changes)))


def with_data(subject: Published, **changes: object) -> Published:
    return rewritten(subject, lambda c: replace(c, data=replace(c.data, **changes)))


def with_metrics(subject: Published, **changes: object) -> Published:
    return rewritten(subject, lambda c: replace(c, metrics=replace(c.metrics, **changes)))


def with_training(subject: Published, **changes: object) -> Published:
    return rewritten(subject, lambda c: replace(c, training=replace(c.training, **changes)))


def with_version(subject: Published, publisher: str | None = None, **changes: object) -> Published:
    """The same certificate, with a registry that says something else."""
    owner, version = subject.chain.published[subject.version_id]
    entry = (publisher or owner, replace(version, **changes))
    return replace(subject, chain=Registries(subject.chain.anchors, {subject.version_id: entry}))


def with_manifest(subject: Published, manifest: Manifest, **model: object) -> Published:
    """Certificate and registry agree on another manifest (and on other model fields)."""
    cid = manifest.store(subject.store)
    return with_model(with_version(subject, manifest_cid=cid), manifest=cid, **model)


def without_block(subject: Published, cid: str, folder: Path) -> Published:
    """A source that has every block but one."""

    class Lossy:
        def get(self, wanted: Cid) -> bytes:
            if str(wanted) == cid:
                raise BlockMissingError(f"no {wanted}", advice="Ask somebody else")
            return subject.store.get(wanted)

    return replace(subject, store=Lossy())  # type: ignore[arg-type]


def test_honest_certificate_passes_every_step(published: Published) -> None:
    told = []
    report = audit(published.cid, published.store, published.chain, told.append)
    assert report.passed, report
    assert report.failed_step is None
    assert told == list(report.steps)
    assert [(step.number, step.title) for step in report.steps] == [(i + 1, t) for i, (t, _) in enumerate(STEPS)]
    assert json.loads(json.dumps(report.to_dict()))["passed"] is True


def test_steps_are_tagged_with_their_numbers_in_the_code() -> None:
    for number, (_, check) in enumerate(STEPS, start=1):
        assert (check.__doc__ or "").startswith(f"Step {number}: ")


def test_audit_needs_only_the_blocks_that_the_certificate_names(published: Published, tmp_path: Path) -> None:
    certificate, elsewhere = published.signed.certificate, BlockStore(tmp_path)
    manifest = Manifest.fetch(published.store, certificate.model.manifest)
    named = [published.cid, certificate.model.manifest, certificate.data.listing, certificate.metrics.sample]
    for cid in [*named, *(file.cid for file in manifest.files.values())]:
        copy_file(published.store, Cid.parse(cid), elsewhere)
    assert audit(published.cid, elsewhere, published.chain).passed


# Step 1: bytes


def test_step_1_damaged_bytes(published: Published, tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    copy_file(published.store, published.signed.cid, store)
    (path,) = tmp_path.rglob(published.cid)
    path.write_bytes(path.read_bytes().replace(b'"PSF-2.0"', b'"MIT-0.0"'))
    assert_fails_at(run(replace(published, store=store)), 1, "hash to")


def test_step_1_missing_document_and_bad_cid(published: Published, tmp_path: Path) -> None:
    assert_fails_at(run(replace(published, store=BlockStore(tmp_path))), 1, "has no")
    assert_fails_at(audit("Qmnonsense", published.store, published.chain), 1, "is not a CID")


@pytest.mark.parametrize(
    ("spell", "reason"),
    [
        (lambda data: data + b"\n", "not canonical"),
        (lambda data: json.dumps(json.loads(data), indent=1).encode(), "not canonical"),
        (lambda data: data[:-1], "not JSON"),
        (lambda data: b"[" * 100_000, "not JSON"),
    ],
)
def test_step_1_other_spellings(published: Published, spell: Callable[[bytes], bytes], reason: str) -> None:
    cid = published.store.add_bytes(spell(published.signed.to_bytes()))
    assert_fails_at(audit(str(cid), published.store, published.chain), 1, reason)


# Step 2: schema


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("certificate", "model", "layers"), "two", "document.certificate.model.layers must be of type int"),
        (("certificate", "model", "version"), "1.0", "model.version must be a version"),
        (("certificate", "model", "weights_root"), "0xAB", "model.weights_root must be 0x and 64"),
        (("certificate", "model", "manifest"), "Qm", "model.manifest must be a CID"),
        (("certificate", "metrics", "tokens"), 7, "metrics.tokens must be window x windows"),
        (("certificate", "training", "curve"), {}, "training.curve must be a list"),
        (("certificate", "format"), "v0", "certificate.format must be"),
        (("certificate", "extra"), 1, "has an unknown field ['extra']"),
        (("signature",), None, "signature must be of type str"),
    ],
)
def test_step_2_schema(published: Published, path: tuple[str, ...], value: object, reason: str) -> None:
    document = json.loads(published.signed.to_bytes())
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    cid = published.store.add_bytes(canonical_bytes(document))
    assert_fails_at(audit(str(cid), published.store, published.chain), 2, reason)


def test_step_2_missing_field(published: Published) -> None:
    document = json.loads(published.signed.to_bytes())
    del document["certificate"]["data"]["licence"]
    cid = published.store.add_bytes(canonical_bytes(document))
    assert_fails_at(audit(str(cid), published.store, published.chain), 2, "lacks the field ['licence']")


# Step 3: signature


def test_step_3_signed_by_somebody_else(published: Published) -> None:
    forged = published.signed.certificate.sign(STRANGER)
    assert_fails_at(run(published.anchored(forged)), 3, f"signed by {STRANGER.address.lower()}")


def test_step_3_changed_after_signing(published: Published) -> None:
    certificate = published.signed.certificate
    better = replace(certificate, metrics=replace(certificate.metrics, perplexity_integer=1.0))
    assert_fails_at(run(published.anchored(replace(published.signed, certificate=better))), 3, "signed by")


def test_step_3_impossible_signature(published: Published) -> None:
    broken = replace(published.signed, signature="0x" + "ff" * 65)
    assert_fails_at(run(published.anchored(broken)), 3, "signature")


# Step 4: anchor


def test_step_4_not_anchored(published: Published) -> None:
    assert_fails_at(run(replace(published, chain=Registries({}, published.chain.published))), 4, "no certificate")


def test_step_4_another_document_is_anchored(published: Published) -> None:
    first = published.chain.anchors[published.version_id]
    for anchor, reason in (
        (replace(first, cid=published.publication.manifest_cid), "the anchored certificate is"),
        (AnchoredCertificate(first.cid, bytes(32), 1), "the anchored hash is"),
    ):
        chain = Registries({published.version_id: anchor}, published.chain.published)
        assert_fails_at(run(replace(published, chain=chain)), 4, reason)


# Step 5: registry


def test_step_5_unknown_version(published: Published) -> None:
    assert_fails_at(run(replace(published, chain=Registries(published.chain.anchors, {}))), 5, "has no version")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("weights_root", bytes(32), "registry's weights root is"),
        ("program_root", bytes(32), "registry's program root is"),
        ("tokenizer_hash", bytes(32), "registry's tokenizer hash is"),
        ("parent", b"\x01" * 32, "registry's parent is"),
        ("semver", SemVer(1, 0, 1), "registry's version is 1.0.1"),
        ("manifest_cid", "bafkqaaa", "registry's manifest is"),
        ("layers", 3, "registry's number of layers is 3"),
        ("publisher", STRANGER.address, "was published by"),
    ],
)
def test_step_5_registry_says_otherwise(published: Published, field: str, value: object, reason: str) -> None:
    assert_fails_at(run(with_version(published, **{field: value})), 5, reason)  # type: ignore[arg-type]


def test_step_5_unknown_parent(published: Published) -> None:
    orphan = with_model(with_version(published, parent=b"\x01" * 32), parent="0x" + "01" * 32)
    assert_fails_at(run(orphan), 5, "no parent version")


# Step 6: data


def test_step_6_roots_and_counts(published: Published) -> None:
    for field, reason in (
        ("training_root", "listing's training root"),
        ("held_out_root", "listing's held-out root"),
    ):
        assert_fails_at(run(with_data(published, **{field: "0x" + "00" * 32})), 6, reason)
    assert_fails_at(run(with_data(published, training_files=7)), 6, "number of training files is 6")
    assert_fails_at(run(with_data(published, held_out_files=0)), 6, "number of held-out files is 4")


def test_step_6_listing_is_no_listing(published: Published) -> None:
    assert_fails_at(run(with_data(published, listing=published.publication.manifest_cid)), 6, "listing")
    absent = str(Cid.of(b"nowhere"))
    assert_fails_at(run(with_data(published, listing=absent)), 6, "has no")


@pytest.mark.parametrize("same", ["path", "content"])
def test_step_6_trained_on_held_out_data(published: Published, same: str) -> None:
    listing = DataListing.from_bytes(published.store.get(Cid.parse(published.publication.listing_cid)))
    leak = listing.held_out[0]
    leak = ListedFile(leak.path, "0x" + "00" * 32, 1) if same == "path" else replace(leak, path="copied.py")
    leaky = replace(listing, training=tuple(sorted([*listing.training, leak], key=lambda f: f.path)))
    changed = with_data(
        published,
        listing=str(published.store.add_bytes(leaky.to_bytes())),
        training_root="0x" + leaky.training_root.hex(),
        training_files=len(leaky.training),
    )
    assert_fails_at(run(changed), 6, "held-out files were trained on: beta/file_0.py")


# Step 7: files


def test_step_7_file_is_missing(published: Published, tmp_path: Path) -> None:
    weights = published.publication.manifest.files["model.safetensors"].cid
    assert_fails_at(run(without_block(published, weights, tmp_path)), 7, f"no {weights}")


def test_step_7_reference_contradicts_itself(published: Published) -> None:
    manifest = published.publication.manifest
    wrong = replace(manifest.files["model.safetensors"], sha256="0x" + "00" * 32)
    changed = with_manifest(published, replace(manifest, files={**manifest.files, "model.safetensors": wrong}))
    assert_fails_at(run(changed), 7, "another size or SHA-256")


def test_step_7_other_tokenizer(published: Published) -> None:
    manifest = published.publication.manifest
    other = FileReference.store(b"{}", published.store)
    changed = with_manifest(published, replace(manifest, files={**manifest.files, "tokenizer.json": other}))
    assert_fails_at(run(changed), 7, "manifest's tokenizer")


def test_step_7_manifest_of_another_version(published: Published) -> None:
    changed = with_manifest(published, replace(published.publication.manifest, version="2.0.0"))
    assert_fails_at(run(changed), 7, "of another version")


# Step 8: integer program


def changed_checkpoint(published: Published, trained: Path, tmp_path: Path) -> Manifest:
    tensors = load_file(trained / "model.safetensors")
    tensors["model.layers.0.mlp.up_proj.weight"][3, 4] += 1.0
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    reference = FileReference.store((tmp_path / "model.safetensors").read_bytes(), published.store)
    manifest = published.publication.manifest
    return replace(manifest, files={**manifest.files, "model.safetensors": reference})


def test_step_8_checkpoint_gives_other_weights(published: Published, trained: Path, tmp_path: Path) -> None:
    changed = with_manifest(published, changed_checkpoint(published, trained, tmp_path))
    assert_fails_at(run(changed), 8, "weights root of the checkpoint")


def test_step_8_other_activation_bits(published: Published) -> None:
    bits = published.signed.certificate.model.activation_bits
    other = {**bits, "down": 23 - bits["down"]}
    assert_fails_at(run(with_model(published, activation_bits=other)), 8, "program root of the checkpoint")
    assert_fails_at(run(with_model(published, activation_bits={})), 8, "activation bits are incomplete")


def test_step_8_file_is_no_checkpoint(published: Published) -> None:
    manifest = published.publication.manifest
    junk = FileReference.store(b"junk", published.store)
    changed = with_manifest(published, replace(manifest, files={**manifest.files, "model.safetensors": junk}))
    assert_fails_at(run(changed), 8, "")


# Step 9: overflow


def test_step_9_program_that_cannot_be_proven(trained: Path, tmp_path: Path) -> None:
    """A checkpoint with an impossible epsilon, published and certified in due form."""
    folder = tmp_path / "hostile"
    shutil.copytree(trained, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e9}))
    assert_fails_at(run(publish(folder, BlockStore(tmp_path / "blocks"))), 9, "epsilon is outside")


# Step 10: metrics


def test_step_10_hits_are_exact(published: Published) -> None:
    metrics = published.signed.certificate.metrics
    hits = (metrics.window_hits[0] + 1, *metrics.window_hits[1:])
    changed = with_metrics(published, window_hits=hits, hits_integer=sum(hits))
    assert_fails_at(run(changed), 10, f"{sum(hits) - 1} hits were recomputed, {sum(hits)} are certified")


def test_step_10_perplexity_is_exact_to_four_decimals(published: Published) -> None:
    stated = published.signed.certificate.metrics.perplexity_integer
    changed = with_metrics(published, perplexity_integer=round(stated - 0.0001, 4))
    assert_fails_at(run(changed), 10, f"the perplexity is {stated}")


def test_step_10_sample_that_is_not_held_out(published: Published) -> None:
    sample = HeldOutSample.from_bytes(published.store.get(Cid.parse(published.publication.sample_cid)))
    for text in (HeldOutText(sample.texts[0].path, "easy " * 50), HeldOutText("alpha/file_0.py", "x")):
        easier = HeldOutSample((text, *sample.texts[1:]))
        changed = with_metrics(published, sample=str(published.store.add_bytes(easier.to_bytes())))
        assert_fails_at(run(changed), 10, "is not that held-out file")


def test_step_10_shorter_sample_and_longer_window(published: Published) -> None:
    sample = HeldOutSample.from_bytes(published.store.get(Cid.parse(published.publication.sample_cid)))
    shorter = str(published.store.add_bytes(HeldOutSample(sample.texts[1:]).to_bytes()))
    assert_fails_at(run(with_metrics(published, sample=shorter)), 10, "windows")
    count = len(published.signed.certificate.metrics.window_hits)
    assert_fails_at(run(with_metrics(published, window=64, tokens=64 * count)), 10, "longer than the model's context")
    junk = str(published.store.add_bytes(b"not gzip"))
    assert_fails_at(run(with_metrics(published, sample=junk)), 10, "not gzip")


# Step 11: training


def test_step_11_incomplete_record(published: Published) -> None:
    run_ = published.signed.certificate.training.run
    for name in ("seed", "steps", "adam_learning_rate"):
        without = {key: value for key, value in run_.items() if key != name}
        expected = "a learning rate" if "rate" in name else name
        assert_fails_at(run(with_training(published, run=without)), 11, f"lacks {expected}")
    assert_fails_at(run(rewritten(published, lambda c: replace(c, toolchain={}))), 11, "lacks python")


def test_step_11_record_of_another_model(published: Published) -> None:
    training = published.signed.certificate.training
    other = {**training.run, "hidden_size": 64.0}
    assert_fails_at(run(with_training(published, run=other)), 11, "hidden_size is 64.0 in the training record and 32")
    assert_fails_at(run(with_training(published, parameters=5)), 11, "the record 5")
    assert_fails_at(run(with_training(published, tokens_seen=5)), 11, "5 tokens seen")


def test_step_11_curve_with_gaps(published: Published) -> None:
    first, last = published.signed.certificate.training.curve
    for curve, reason in (
        ((), "do not ascend"),
        ((last, first), "do not ascend"),
        ((first,), "ends at step 20"),
        ((first, replace(last, held_out=None)), "without a held-out loss"),
        ((replace(first, training=-1.0), last), "not positive"),
    ):
        assert_fails_at(run(with_training(published, curve=curve)), 11, reason)
