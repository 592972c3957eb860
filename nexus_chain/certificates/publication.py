"""From a trained folder to a certificate: what publishing needs, assembled offline in seconds.

A trained folder holds the Hugging Face checkpoint and tokenizer. The training script adds ``training.json``.
``scripts/runs/certify_model.py`` adds ``data.json``, which is the data listing, ``held_out.json.gz``, which is the
sample, and ``metrics.json``. Nothing is measured here. A checkpoint without these records can be released without a
certificate, as a ``Release``.

    publication = Publication.prepare(folder, store, "1.0.0")
    version_id = ...register publication.manifest_cid and publication.commitment on-chain...
    signed = publication.certificate(publisher, version_id, parent).sign(wallet)
    cid = store.add_bytes(signed.to_bytes())       # anchor str(cid) and signed.content_hash
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nexus_chain.certificates.certificate import (
    NO_PARENT_ID,
    Certificate,
    CertifiedData,
    CertifiedMetrics,
    CertifiedModel,
)
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.content.block_store import BlockStore
from nexus_chain.content.cid import Cid
from nexus_chain.content.listing import DataListing, corpus_hash
from nexus_chain.json_text import parse_json
from nexus_chain.program import ActivationBits, IntegerModel, Recipe, import_checkpoint
from nexus_chain.program.file_names import METRICS_FILE, TOKENIZER_FILE
from nexus_chain.program.recipe import RECIPE_FILE
from nexus_chain.quality.held_out import SAMPLE_FILE
from nexus_chain.training.record import CertifiedTraining, CurvePoint
from nexus_chain.versions.errors import TrainedFolderError
from nexus_chain.versions.manifest import FileReference, Manifest, weights_of, weights_sha256

LISTING_FILE = "data.json"
TRAINING_FILE = "training.json"


@dataclass(frozen=True)
class Release:
    """A model version's files, in the block store, and its roots: what the registry is told.

    By itself it is a version without a certificate: whose weights these are is known, not where they come from.
    """

    folder: Path
    manifest: Manifest
    manifest_cid: str
    model: IntegerModel
    commitment: ModelCommitment
    recipe: Recipe

    @classmethod
    def of(
        cls, folder: Path, model: IntegerModel, recipe: Recipe, store: BlockStore, version: str, name: str | None = None
    ) -> Release:
        """Keep the checkpoint's files in ``store``, with the ``recipe`` that made ``model`` of them.

        Raises TrainedFolderError where a file is missing.
        """
        listed = Manifest.of_folder(folder, name or folder.resolve().name, version, store)
        chosen = FileReference.store(recipe.to_json().encode(), store)
        manifest = replace(listed, files={**listed.files, RECIPE_FILE: chosen})
        return cls(folder, manifest, manifest.store(store), model, ModelCommitment.of(model), recipe)

    @property
    def tokenizer_sha256(self) -> bytes:
        """SHA-256 of tokenizer.json, as the model registry keeps it."""
        return bytes.fromhex(self.manifest.files[TOKENIZER_FILE].sha256[2:])

    @property
    def cids(self) -> tuple[Cid, ...]:
        """Every file that is needed to make the model again: what to pin."""
        files = (file.cid for file in self.manifest.files.values())
        return tuple(Cid.parse(cid) for cid in (self.manifest_cid, *files))


@dataclass(frozen=True)
class Publication(Release):
    """A trained and measured folder: a release that can be certified."""

    listing_cid: str
    sample_cid: str

    @classmethod
    def prepare(cls, folder: Path, store: BlockStore, version: str, name: str | None = None) -> Publication:
        """Import the checkpoint, hash it, and keep every file that an auditor will want in ``store``.

        Raises TrainedFolderError where a file is missing and the importer's errors for a bad checkpoint.
        """
        bits = ActivationBits(**_bits_of(folder))
        manifest = Manifest.of_folder(folder, name or folder.resolve().name, version, store)
        _require_measured(folder, manifest)
        recipe = replace(Recipe.of_folder(folder), widths=bits)
        model = import_checkpoint(folder, recipe=recipe)
        return cls(
            folder,
            manifest,
            manifest.store(store),
            model,
            ModelCommitment.of(model),
            recipe,
            str(store.add_bytes(_read(folder, LISTING_FILE))),
            str(store.add_bytes(_read(folder, SAMPLE_FILE))),
        )

    @property
    def relative_increase(self) -> float:
        """How much larger the measured perplexity of the integer program is than that of float32."""
        found = _read_json(self.folder, METRICS_FILE).get("relative_increase")
        if not isinstance(found, int | float):
            raise TrainedFolderError(
                f"{METRICS_FILE} in {self.folder} names no relative increase",
                advice="Run `python -m scripts.runs.certify_model` on the folder",
            )
        return float(found)

    @property
    def cids(self) -> tuple[Cid, ...]:
        """Every file that an auditor needs beside the certificate itself: what to pin."""
        return (*super().cids, Cid.parse(self.listing_cid), Cid.parse(self.sample_cid))

    def certificate(self, publisher: str, model_version: bytes, parent: bytes = NO_PARENT_ID) -> Certificate:
        """The unsigned certificate of the version registered as ``model_version`` by ``publisher``."""
        training, metrics = _read_json(self.folder, TRAINING_FILE), _read_json(self.folder, METRICS_FILE)
        try:
            return Certificate(
                model=self._model(publisher, model_version, parent),
                data=self._data(training["data"]),
                training=_training(training),
                metrics=self._metrics(metrics),
                toolchain={"python": training["data"]["python"], "torch": training["torch"], **metrics["toolchain"]},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TrainedFolderError(
                f"{TRAINING_FILE} or {METRICS_FILE} in {self.folder} lacks or garbles {error}",
                advice="Train or measure again with this repository's scripts",
            ) from error

    def _model(self, publisher: str, model_version: bytes, parent: bytes) -> CertifiedModel:
        return CertifiedModel(
            name=self.manifest.name,
            version=self.manifest.version,
            model_version=_hex(model_version),
            parent=_hex(parent),
            publisher=publisher.lower(),
            layers=self.model.program.shape.layers,
            weights_root=_hex(self.commitment.weights_root),
            program_root=_hex(self.commitment.program_root),
            tokenizer_sha256=_hex(self.tokenizer_sha256),
            manifest=self.manifest_cid,
            activation_bits=asdict(self.recipe.widths),
        )

    def _data(self, data: dict[str, Any]) -> CertifiedData:
        listing = DataListing.from_bytes(_read(self.folder, LISTING_FILE))
        require_trained_on(listing, data)
        return CertifiedData(
            listing=self.listing_cid,
            source=f"{data['source']}, Python {data['python']}",
            licence=data["licence"],
            training_root=_hex(listing.training_root),
            training_files=len(listing.training),
            training_tokens=data["training"]["tokens"],
            held_out_root=_hex(listing.held_out_root),
            held_out_files=len(listing.held_out),
            held_out_tokens=data["held_out"]["tokens"],
        )

    def _metrics(self, metrics: dict[str, Any]) -> CertifiedMetrics:
        return CertifiedMetrics(
            sample=self.sample_cid,
            window=metrics["window"],
            tokens=metrics["tokens"],
            perplexity_float32=metrics["perplexity_float32"],
            perplexity_integer=metrics["perplexity_integer"],
            hits_float32=metrics["hits_float32"],
            hits_integer=metrics["hits_integer"],
            agreements=metrics["agreements"],
            window_hits=tuple(metrics["window_hits"]),
        )


def require_trained_on(listing: DataListing, data: dict[str, Any]) -> None:
    """Raise TrainedFolderError unless ``listing`` is the data that ``training.json`` names."""
    for side, files in (("training", listing.training), ("held_out", listing.held_out)):
        stated = data[side]
        if (stated["files"], stated["sha256"]) != (len(files), corpus_hash(files)):
            raise TrainedFolderError(
                f"the {side} files listed are not those that {TRAINING_FILE} names",
                advice="List it with the training script and on the Python version that made the model",
            )


def _require_measured(folder: Path, manifest: Manifest) -> None:
    """Raise TrainedFolderError unless the metrics are those of the weights that ``manifest`` lists."""
    weights = weights_sha256({name: manifest.files[name].sha256 for name in weights_of(folder)})
    if _read_json(folder, METRICS_FILE).get("checkpoint_sha256") != weights:
        raise TrainedFolderError(
            f"{METRICS_FILE} was measured on another checkpoint: a file of weights has changed since",
            advice="Restore the file, or run `python -m scripts.runs.certify_model` again",
        )


def _training(record: dict[str, Any]) -> CertifiedTraining:
    curve = tuple(CurvePoint(point["step"], point["training"], point.get("held_out")) for point in record["curve"])
    run = {name: float(value) for name, value in record["run"].items()}
    return CertifiedTraining(run, record["parameters"], record["tokens_seen"], record["threads"], curve)


def _bits_of(folder: Path) -> dict[str, int]:
    bits = _read_json(folder, METRICS_FILE).get("activation_bits")
    if not isinstance(bits, dict) or set(bits) != set(asdict(ActivationBits())):
        raise TrainedFolderError(
            f"{METRICS_FILE} in {folder} names no activation bits",
            advice="Run `python -m scripts.runs.certify_model` on the folder",
        )
    return bits


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        measure = "Run `python -m scripts.runs.certify_model` on the folder, or publish it --uncertified"
        advice = "Train a model first" if name == TRAINING_FILE else measure
        raise TrainedFolderError(f"{folder} has no readable {name}", advice=advice) from error


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    try:
        found = parse_json(_read(folder, name))
    except ValueError as error:
        raise TrainedFolderError(f"{name} in {folder} is not JSON", advice="Write it again with its script") from error
    if not isinstance(found, dict):
        raise TrainedFolderError(f"{name} in {folder} is no JSON object", advice="Write it again with its script")
    return found


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
