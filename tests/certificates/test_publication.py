"""Trained folders that lack something, and documents that contradict each other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from nexus_chain.certificates.audit import audit
from nexus_chain.certificates.certificate import Certificate, SignedCertificate
from nexus_chain.certificates.measurement import measure_folder
from nexus_chain.certificates.publication import Publication
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.content.block_store import BlockStore
from nexus_chain.content.errors import CanonicalFormatError
from nexus_chain.content.listing import DataListing
from nexus_chain.program import Recipe, import_checkpoint
from nexus_chain.program.recipe import RECIPE_FILE
from nexus_chain.quality.held_out import HeldOutSample, measure
from nexus_chain.versions.errors import TrainedFolderError
from tests.support.tiny_publication import HELD_OUT, PUBLISHER, TRAINING, FloatModel, Published, publish, train


def certify(folder: Path, tmp_path: Path) -> Certificate:
    publication = Publication.prepare(folder, BlockStore(tmp_path / "blocks"), "1.0.0")
    return publication.certificate(PUBLISHER.address, bytes(32))


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "model"))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_publishing_twice_gives_the_same_bytes(published: Published, trained: Path, tmp_path: Path) -> None:
    again = Publication.prepare(trained, BlockStore(tmp_path), "1.0.0")
    assert again.manifest_cid == published.publication.manifest_cid
    signed = again.certificate(PUBLISHER.address, published.version_id).sign(PUBLISHER)
    assert signed.to_bytes() == published.signed.to_bytes()
    assert SignedCertificate.from_bytes(signed.to_bytes()) == signed
    assert signed.content_hash == signed.cid.digest, "one block: the anchored hash is the CID's own"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("model.safetensors", "folder of a trained model"),
        ("tokenizer.json", "folder of a trained model"),
        ("training.json", "Train a model first"),
        ("data.json", "certify_model"),
        ("held_out.json.gz", "certify_model"),
        ("metrics.json", "certify_model"),
    ],
)
def test_missing_file_is_named_with_advice(folder: Path, tmp_path: Path, name: str, advice: str) -> None:
    (folder / name).unlink()
    with pytest.raises(TrainedFolderError, match=advice) as caught:
        certify(folder, tmp_path)
    assert name in str(caught.value)


def test_metrics_of_another_checkpoint_are_refused(folder: Path, tmp_path: Path) -> None:
    edit(folder / "metrics.json", checkpoint_sha256="0x" + "00" * 32)
    with pytest.raises(TrainedFolderError, match="another checkpoint"):
        certify(folder, tmp_path)


def test_garbled_records_are_refused(folder: Path, tmp_path: Path) -> None:
    store = BlockStore(tmp_path / "blocks")
    edit(folder / "training.json", curve=[{}])
    with pytest.raises(TrainedFolderError, match=r"lacks or garbles 'step'"):
        certify(folder, tmp_path)
    edit(folder / "metrics.json", activation_bits={"down": 15})
    with pytest.raises(TrainedFolderError, match="activation bits"):
        Publication.prepare(folder, store, "1.0.0")
    (folder / "metrics.json").write_text("{")
    with pytest.raises(TrainedFolderError, match="is not JSON"):
        Publication.prepare(folder, store, "1.0.0")


def test_other_data_than_trained_on_is_not_listed(folder: Path) -> None:
    with pytest.raises(TrainedFolderError, match="held_out files listed"):
        measure_folder(folder, TRAINING, HELD_OUT[1:], FloatModel(folder))


def test_version_that_is_none_is_refused(folder: Path, tmp_path: Path) -> None:
    for version in ("1", "1.0.0-beta", "01.0.0", "1.0.65536"):
        with pytest.raises(CanonicalFormatError, match=r"version like 1.2.3"):
            Publication.prepare(folder, BlockStore(tmp_path / "blocks"), version)


def test_listing_proves_nothing_else(trained: Path) -> None:
    listing = DataListing.from_bytes((trained / "data.json").read_bytes())
    assert DataListing.of(reversed(TRAINING), HELD_OUT) == listing
    assert listing.leaked() == []
    assert DataListing.of(TRAINING, TRAINING[:1]).leaked() == [TRAINING[0][0]]
    with pytest.raises(CanonicalFormatError, match="sorted by path"):
        DataListing(tuple(reversed(listing.training)), listing.held_out)
    with pytest.raises(CanonicalFormatError, match="canonical"):
        DataListing.from_bytes((trained / "data.json").read_bytes() + b" ")


def test_sample_is_the_same_bytes_every_time_and_bounded(trained: Path) -> None:
    data = (trained / "held_out.json.gz").read_bytes()
    sample = HeldOutSample.from_bytes(data)
    assert sample.to_bytes() == data
    with pytest.raises(CanonicalFormatError, match="truncated"):
        HeldOutSample.from_bytes(data[:-9])


class Stub:
    """Fixed logits, to know the answer by hand."""

    def __init__(self, logits: torch.Tensor) -> None:
        self._logits = logits

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        return self._logits[: len(tokens)]


def test_measurement_counts_by_hand() -> None:
    logits = torch.tensor([[5, 5, 1], [0, 9, 9], [4096, 0, 0]], dtype=torch.int32)
    found = measure(Stub(logits), [torch.tensor([9, 0, 2, 0])])
    assert found.best.tolist() == [0, 1, 0], "of equal logits the lowest index"
    assert found.hits == (2,)
    expected = torch.nn.functional.cross_entropy(logits.double() / 4096, torch.tensor([0, 2, 0]))
    assert found.perplexity == round(float(expected.exp()), 4)


def test_a_recorded_recipe_is_published_with_the_model_and_audited(tmp_path: Path) -> None:
    folder = tmp_path / "smoothed"
    folder.mkdir()
    train(folder)
    plain = import_checkpoint(folder)
    recipe = Recipe(wider=("1.mlp_input",), smoothing={"0.mlp": (1, -1) * 32})
    (folder / RECIPE_FILE).write_text(recipe.to_json())
    measure_folder(folder, TRAINING, HELD_OUT, FloatModel(folder), sample_tokens=150)
    store = BlockStore(tmp_path / "blocks")
    published = publish(folder, store)
    assert published.publication.recipe == recipe
    assert published.publication.commitment != ModelCommitment.of(plain)
    assert RECIPE_FILE in published.publication.manifest.files
    assert audit(published.cid, store, published.chain).passed
