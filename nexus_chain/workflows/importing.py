"""From a Hugging Face checkpoint to the integer model's folder that asking and verifying look for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nexus_chain.client.home import ClientHome
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.disputes.caps import check_caps
from nexus_chain.engine.engine import Engine
from nexus_chain.json_text import parse_json
from nexus_chain.program import ActivationBits, IntegerModel, Recipe, import_checkpoint
from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.file_names import CONFIG_FILE, DRAFTS_FILE, METRICS_FILE, TOKENIZER_FILE
from nexus_chain.program.hugging_face import architecture, default_recipe
from nexus_chain.program.recipe import RECIPE_FILE
from nexus_chain.quality import FloatModel, assess, choose_recipe, require_alike
from nexus_chain.quality.calibration import calibration_windows, judging_windows, require_vocabulary
from nexus_chain.staging import staged
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.versions.text_files import TEXT_FILES, require_tokenizer
from nexus_chain.workflows.catalogue import catalogue, require_weights_root, resolve_checkpoint
from nexus_chain.workflows.checkpoints import opened_checkpoint
from nexus_chain.workflows.observer import SILENT, TaskObserver


@dataclass(frozen=True)
class Measuring:
    """How an import is measured: the largest relative increase of perplexity, and on which text.

    ``text`` None: the checkpoint's own held-out sample or else documentation, with conversations where the model has
    a chat format. One part of the text chooses, another judges.
    """

    gate: float
    text: Path | None = None
    beyond_gate: bool = False


@dataclass(frozen=True)
class Imported:
    """An integer model, the choices that made it, and what it loses as a line; None: not measured."""

    model: IntegerModel
    recipe: Recipe
    quality: dict[str, Any] | None = None


@dataclass(frozen=True)
class ImportedFolder:
    """Where an import is kept, and the roots that it would be registered with."""

    folder: Path
    imported: Imported
    commitment: ModelCommitment


def import_named(
    named: str, home: ClientHome, out: Path | None, measuring: Measuring | None, observer: TaskObserver = SILENT
) -> ImportedFolder:
    """Import the checkpoint in the folder or GGUF file ``named``, or of that id on the Hugging Face hub.

    A name of the catalogue is fetched first, and has to come to the weights that stand there. ``out``: where to keep
    it, by default among the home's models. ``measuring`` None: it is not compared with the float model. Raises the
    importer's errors, QualityError, ModelFilesError and CatalogueError; then nothing is kept.
    """
    place = resolve_checkpoint(named, home, observer)
    with observer.stage(f"Importing {named}"), opened_checkpoint(place, home, observer) as source:
        imported = convert(source) if measuring is None else convert_measured(source, measuring, observer)
        commitment = ModelCommitment.of(imported.model)
        if place != named:
            require_weights_root(catalogue()[named], commitment.weights_root)
        folder = out or home.models / (named if place != named else source.resolve().name)
        keep_model(imported.model, imported.recipe, source, folder)
        return ImportedFolder(folder, imported, commitment)


def import_folder(checkpoint: Path, folder: Path) -> Imported:
    """Import ``checkpoint`` with the choices that it records, else the defaults, and keep it in ``folder``.

    Raises the importer's errors and ModelFilesError.
    """
    found = convert(checkpoint)
    keep_model(found.model, found.recipe, checkpoint, folder)
    return found


def import_measured(checkpoint: Path, folder: Path, measuring: Measuring, observer: TaskObserver = SILENT) -> Imported:
    """Import ``checkpoint`` with the choices that it records or that meet the gate, and keep it in ``folder``.

    Raises what ``convert_measured`` raises, and ModelFilesError; past the gate nothing is kept, unless wanted.
    """
    found = convert_measured(checkpoint, measuring, observer)
    keep_model(found.model, found.recipe, checkpoint, folder)
    return found


def convert(checkpoint: Path) -> Imported:
    """``checkpoint`` with the choices that it records, else the defaults; nothing is kept.

    Raises the importer's errors, ModelFilesError, and ProgramTooLargeError where nobody could dispute the program.
    """
    recipe = recorded_recipe(checkpoint) or default_recipe(Checkpoint(checkpoint).config)
    with _one_thread():
        model = import_checkpoint(checkpoint, recipe=recipe)
    check_caps(model.program)
    return Imported(model, recipe)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Rounding passes over many blocks once. On a busy machine threads wait for each other five times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def convert_measured(checkpoint: Path, measuring: Measuring, observer: TaskObserver = SILENT) -> Imported:
    """``checkpoint`` with the choices that it records or that meet the gate; nothing is kept.

    A model that does not generate text has no perplexity and is not measured. Raises the importer's
    errors, ProgramTooLargeError and QualityError, also past the gate, unless that is wanted.
    """
    source = Checkpoint(checkpoint)
    if not architecture(source.config).endswith("ForCausalLM"):
        return convert(checkpoint)
    recorded = recorded_recipe(checkpoint)
    windows = calibration_windows(checkpoint, source.config, measuring.text)
    choice = choose_recipe(
        checkpoint,
        windows,
        measuring.gate,
        start=recorded,
        fixed=recorded is not None,
        tried=observer.note,
        accepted=check_caps,
    )
    with observer.stage("Judging on other texts"):
        judged = judging_windows(checkpoint, source.config, measuring.text)
        engine = Engine(choice.model.program, choice.model.weights)
        found = assess(engine, FloatModel(checkpoint), judged)
    if not measuring.beyond_gate:
        require_alike(found, measuring.gate)
    return Imported(choice.model, choice.recipe, found.figures())


def recorded_recipe(checkpoint: Path) -> Recipe | None:
    """The choices that a folder records: its recipe, with the widths that it was measured with, if any.

    Raises RecipeError and ModelFilesError.
    """
    widths = _measured_widths(checkpoint)
    if widths is None and not (checkpoint / RECIPE_FILE).is_file():
        return None
    recipe = Recipe.of_folder(checkpoint)
    return replace(recipe, widths=widths) if widths else recipe


def _measured_widths(checkpoint: Path) -> ActivationBits | None:
    """The widths that the folder's metrics were measured with; None without metrics."""
    path = checkpoint / METRICS_FILE
    if not path.is_file():
        return None
    try:
        return ActivationBits(**parse_json(path.read_bytes())["activation_bits"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFilesError(
            f"{path} names no activation bits ({error})",
            advice="Run `python -m scripts.runs.certify_model` on the folder again.",
        ) from error


def keep_model(model: IntegerModel, recipe: Recipe, checkpoint: Path, folder: Path) -> None:
    """Write the integer model, its recipe, the checkpoint's texts and draft table, if any: all of them or none.

    The texts are the tokenizer and the files beside it, unchanged, and the configuration, which may declare ends.
    Raises ModelFilesError, ModelFolderError and CalibrationError.
    """
    require_tokenizer(checkpoint)
    require_vocabulary(checkpoint, model.program.shape.vocab)
    with staged(folder) as part:
        model.save(part)
        (part / RECIPE_FILE).write_text(recipe.to_json())
        for name in (TOKENIZER_FILE, *TEXT_FILES, CONFIG_FILE, DRAFTS_FILE):
            if (file := checkpoint / name).is_file():
                shutil.copyfile(file, part / name)
