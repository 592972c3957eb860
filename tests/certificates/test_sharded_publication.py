"""A checkpoint in shards is published and audited as its single file would be, and bound file by file."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from nexus_chain.certificates.audit import audit
from nexus_chain.certificates.publication import Publication
from nexus_chain.content.block_store import BlockStore, copy_file
from nexus_chain.content.cid import Cid
from nexus_chain.content.errors import BlockTamperedError, CanonicalFormatError, CidFormatError
from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.file_names import DRAFTS_FILE
from nexus_chain.versions.errors import TrainedFolderError
from nexus_chain.versions.manifest import FileReference, Manifest, weights_sha256
from tests.certificates.test_audit import assert_fails_at, run, with_manifest
from tests.support.sharded_checkpoint import INDEX, SINGLE, flip_a_weight, shard_name, sharded_twin
from tests.support.tiny_publication import Published, publish

SHARDS = [shard_name(number, 3) for number in (1, 2, 3)]


@pytest.fixture(scope="module")
def sharded(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sharded_twin(trained, tmp_path_factory.mktemp("sharded") / "tiny")


@pytest.fixture(scope="module")
def twin(sharded: Path, tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish(sharded, BlockStore(tmp_path_factory.mktemp("blocks")))


@pytest.fixture
def folder(sharded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sharded, tmp_path / "tiny"))


def refused(folder: Path, message: str) -> None:
    with pytest.raises(TrainedFolderError, match=message):
        Publication.prepare(folder, BlockStore(folder.parent / "blocks"), "1.0.0")


def test_roots_and_metrics_are_those_of_the_single_file(published: Published, twin: Published, sharded: Path) -> None:
    assert twin.publication.commitment == published.publication.commitment
    assert twin.signed.certificate.metrics == published.signed.certificate.metrics
    assert twin.signed.certificate.training == published.signed.certificate.training
    assert twin.publication.manifest_cid != published.publication.manifest_cid, "the files are others"
    assert Checkpoint(sharded).parameters() == twin.signed.certificate.training.parameters


def test_the_manifest_lists_index_and_every_shard(twin: Published, sharded: Path) -> None:
    files = twin.publication.manifest.files
    assert {name for name in files if "safetensors" in name} == {INDEX, *SHARDS}
    for name in (INDEX, *SHARDS):
        assert files[name] == FileReference.store((sharded / name).read_bytes(), twin.store)
        assert Cid.parse(files[name].cid) in twin.publication.cids, "pinned"


def test_an_auditor_needs_only_what_is_pinned(twin: Published, tmp_path: Path) -> None:
    elsewhere = BlockStore(tmp_path)
    for cid in (twin.signed.cid, *twin.publication.cids):
        copy_file(twin.store, cid, elsewhere)
    report = audit(twin.cid, elsewhere, twin.chain)
    assert report.passed, report
    assert report.steps[6].detail.startswith("7 files, ")  # config.json says what ends an answer


def test_one_digest_binds_names_and_contents(sharded: Path, trained: Path) -> None:
    lines = "".join(f"{sha256((sharded / name).read_bytes()).hexdigest()}  {name}\n" for name in [*SHARDS, INDEX])
    measured = json.loads((sharded / "metrics.json").read_text())["checkpoint_sha256"]
    assert measured == "0x" + sha256(lines.encode()).hexdigest(), "as sha256sum and sort say"
    single = json.loads((trained / "metrics.json").read_text())["checkpoint_sha256"]
    assert single == "0x" + sha256((trained / SINGLE).read_bytes()).hexdigest(), "as it always was"
    renamed = {"a": "0x" + "11" * 32, "b": "0x" + "22" * 32}
    assert weights_sha256(renamed) != weights_sha256({"a": renamed["b"], "b": renamed["a"]})
    assert weights_sha256(renamed) == weights_sha256(dict(reversed(renamed.items())))


def test_a_tampered_shard_is_not_published(folder: Path) -> None:
    flip_a_weight(folder / SHARDS[1])
    refused(folder, "measured on another checkpoint: a file of weights has changed")


def test_a_tampered_index_is_not_published(folder: Path) -> None:
    (folder / INDEX).write_text(json.dumps(json.loads((folder / INDEX).read_text()), indent=1))
    refused(folder, "measured on another checkpoint")


def test_a_missing_shard_is_not_published(folder: Path) -> None:
    (folder / SHARDS[2]).unlink()
    refused(folder, f"{INDEX} names {SHARDS[2]}, which is not in the folder. Give .* every shard")


@pytest.mark.parametrize("extra", ["model-00004-of-00003.safetensors", SINGLE])
def test_an_extra_shard_is_not_published(folder: Path, extra: str) -> None:
    shutil.copyfile(folder / SHARDS[0], folder / extra)
    refused(folder, f"{extra} is in the folder, but {INDEX} does not name it. Remove it")


def test_a_draft_table_beside_the_shards_is_published_with_them(folder: Path) -> None:
    (folder / DRAFTS_FILE).write_bytes(b"a table")
    store = BlockStore(folder.parent / "blocks")
    publication = Publication.prepare(folder, store, "1.0.0")
    reference = publication.manifest.files[DRAFTS_FILE]
    assert reference == FileReference.store(b"a table", store)
    assert Cid.parse(reference.cid) in publication.cids, "pinned"


def changed_files(twin: Published, change: Callable[[dict[str, FileReference]], None]) -> Published:
    """Manifest, certificate and registry agree on other files: only the audit's own checks can object."""
    files = dict(twin.publication.manifest.files)
    change(files)
    return with_manifest(twin, replace(twin.publication.manifest, files=files))


def test_step_7_a_missing_shard(twin: Published) -> None:
    changed = changed_files(twin, lambda files: files.pop(SHARDS[0]) and None)
    assert_fails_at(run(changed), 7, f"names {SHARDS[0]}, which is not in the folder")


@pytest.mark.parametrize("extra", ["model-00004-of-00003.safetensors", SINGLE])
def test_step_7_an_extra_shard(twin: Published, extra: str) -> None:
    changed = changed_files(twin, lambda files: files.update({extra: files[SHARDS[0]]}))
    assert_fails_at(run(changed), 7, f"{extra} is in the folder, but {INDEX} does not name it")


def test_step_7_a_damaged_shard(twin: Published, tmp_path: Path) -> None:
    store, cid = BlockStore(tmp_path), twin.publication.manifest.files[SHARDS[1]].cid
    for needed in (twin.signed.cid, *twin.publication.cids):
        copy_file(twin.store, needed, store)
    (path,) = tmp_path.rglob(cid)
    flip_a_weight(path)
    assert_fails_at(run(replace(twin, store=store)), 7, f"the bytes received for {cid} hash to")


def test_a_shard_larger_than_memory_is_kept_and_fetched(tmp_path: Path) -> None:
    (tmp_path / "shard").write_bytes(bytes(40 << 20))
    store = BlockStore(tmp_path / "blocks")
    tracemalloc.start()
    try:
        FileReference.store_path(tmp_path / "shard", store).fetch(store, tmp_path / "fetched")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert (tmp_path / "fetched").read_bytes() == bytes(40 << 20)


def test_a_file_that_is_not_its_reference_is_not_left_behind(tmp_path: Path) -> None:
    store = BlockStore(tmp_path / "blocks")
    kept = FileReference.store(b"weights" * 50_000, store)
    for wrong, error in (
        (replace(kept, sha256="0x" + "ab" * 32), BlockTamperedError),
        (replace(kept, size=kept.size + 1), BlockTamperedError),
        (replace(kept, size=kept.size - 1), CidFormatError),
    ):
        with pytest.raises(error):
            wrong.fetch(store, tmp_path / "fetched")
        assert not (tmp_path / "fetched").exists()
    kept.fetch(store, tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == b"weights" * 50_000


def test_step_8_another_shard_in_due_form(twin: Published, folder: Path) -> None:
    flip_a_weight(folder / SHARDS[1])
    other = FileReference.store((folder / SHARDS[1]).read_bytes(), twin.store)
    changed = changed_files(twin, lambda files: files.update({SHARDS[1]: other}))
    assert_fails_at(run(changed), 8, "weights root of the checkpoint is")


def test_step_8_swapped_shards(twin: Published) -> None:
    def swap(files: dict[str, FileReference]) -> None:
        files[SHARDS[0]], files[SHARDS[1]] = files[SHARDS[1]], files[SHARDS[0]]

    assert_fails_at(run(changed_files(twin, swap)), 8, f"missing from {SHARDS[0]}")


def test_a_manifest_needs_weights_of_one_kind(twin: Published) -> None:
    manifest = twin.publication.manifest
    without = {name: file for name, file in manifest.files.items() if name != INDEX}
    with pytest.raises(CanonicalFormatError, match=r"lacks \['model.safetensors'\]"):
        replace(manifest, files=without)
    assert Manifest.fetch(twin.store, twin.publication.manifest_cid) == manifest
