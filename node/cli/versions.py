"""Which model version a command means, and where its files are."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.model_registry import ModelVersion
from nexus_chain.program.checkpoint import TOKENIZER_FILE, holds_checkpoint
from nexus_chain.program.model import PROGRAM_FILE
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.versions.model_files import ModelFiles, find_model_files, folders_in
from node.cli.importing import import_folder
from node.cli.output import hex_id, spinner
from node.cli.settings import Settings


def places(settings: Settings) -> list[Path]:
    """Where model files are looked for, in order."""
    shipped = Path(str(resources.files("nexus_chain"))) / "models"
    found = [settings.home.models, shipped]
    return [settings.model_dir, *found] if settings.model_dir else found


def files_of(settings: Settings, version: bytes) -> ModelFiles:
    """The registered files of a version on this machine; a checkpoint of it is imported once.

    Raises ModelFilesError.
    """
    return _files(settings, version, settings.chain.models.version(version))


def _files(settings: Settings, version: bytes, record: ModelVersion) -> ModelFiles:
    try:
        return find_model_files(record, places(settings))
    except ModelFilesError:
        target = settings.home.models / version.hex()[:16]
        for checkpoint in _checkpoints(settings, record):
            with spinner(f"Importing {checkpoint.name} for the first time"):
                import_folder(checkpoint, target)
            if ModelFiles(target).matches(record):
                return ModelFiles(target)
        raise


def _checkpoints(settings: Settings, record: ModelVersion) -> Iterator[Path]:
    """Hugging Face folders with the version's tokenizer and without a program yet."""
    for folder in folders_in(places(settings)):
        complete = (folder / TOKENIZER_FILE).is_file() and holds_checkpoint(folder)
        imported = (folder / PROGRAM_FILE).is_file()
        if complete and not imported and ModelFiles(folder).tokenizer_hash == record.tokenizer_hash:
            yield folder


def choose_version(settings: Settings, wanted: str | None) -> bytes:
    """The version whose id starts with ``wanted``; without it the newest whose files are here.

    Raises ModelFilesError: none, or several.
    """
    if wanted is None:
        return _newest_here(settings)
    prefix = wanted.lower().removeprefix("0x")
    found = [version for version, _ in versions_of(settings.chain) if version.hex().startswith(prefix)]
    if len(found) == 1:
        return found[0]
    raise ModelFilesError(
        f"{len(found)} registered model versions start with {wanted}",
        advice="Take an id from `nexus models`, at least so much of it that it is the only one.",
    )


def versions_of(contracts: Contracts) -> Iterator[tuple[bytes, ModelVersion]]:
    """Every registered version, oldest first."""
    for version in contracts.models.versions():
        yield version, contracts.models.version(version)


def _newest_here(settings: Settings) -> bytes:
    for version, record in reversed(list(versions_of(settings.chain))):
        try:
            _files(settings, version, record)
        except ModelFilesError:
            continue
        return version
    looked = ", ".join(map(str, places(settings)))
    raise ModelFilesError(
        f"the files of no registered model version are on this machine (looked in {looked})",
        advice=f"Import a model there, or give its folder with --model-dir; registered: {_ids(settings)}.",
    )


def _ids(settings: Settings) -> str:
    return ", ".join(hex_id(version)[:12] for version, _ in versions_of(settings.chain)) or "none"
