"""Which model version a task means, and where its files are on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.model_registry import ModelVersion
from nexus_chain.program.file_names import PROGRAM_FILE, TOKENIZER_FILE
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.workflows.observer import SILENT, TaskObserver

if TYPE_CHECKING:
    from nexus_chain.versions.model_files import ModelFiles


class ModelLibrary:
    """The versions that a chain registers, with their files. ``kept``: the folder where imported models are kept.

    ``first``: a folder that is looked at before ``kept`` and before the models of this package.
    """

    def __init__(
        self, contracts: Contracts, kept: Path, first: Path | None = None, observer: TaskObserver = SILENT
    ) -> None:
        self._contracts, self._kept, self._observer = contracts, kept, observer
        shipped = Path(str(resources.files("nexus_chain"))) / "models"
        self.places = [first, kept, shipped] if first else [kept, shipped]

    def versions(self) -> Iterator[tuple[bytes, ModelVersion]]:
        """Every registered version, oldest first."""
        for version in self._contracts.models.versions():
            yield version, self.record_of(version)

    def choose(self, wanted: str | None) -> bytes:
        """The version whose id starts with ``wanted``; without it the newest whose files are here.

        Raises ModelFilesError: none, or several.
        """
        if wanted is None:
            return self._newest_here()
        prefix = wanted.lower().removeprefix("0x")
        found = [version for version, _ in self.versions() if version.hex().startswith(prefix)]
        if len(found) == 1:
            return found[0]
        raise ModelFilesError(
            f"{len(found)} registered model versions start with {wanted}",
            advice="Take an id from `nexus models`, at least so much of it that it is the only one.",
        )

    def files_of(self, version: bytes) -> ModelFiles:
        """The registered files of a version on this machine; a checkpoint of it is imported once.

        Raises ModelFilesError.
        """
        return self._files(version, self.record_of(version))

    def record_of(self, version: bytes) -> ModelVersion:
        """What the registry says of a version."""
        return self._contracts.models.version(version)

    def _files(self, version: bytes, record: ModelVersion) -> ModelFiles:
        from nexus_chain.versions.model_files import ModelFiles, find_model_files  # slow to import; lists need none

        try:
            return find_model_files(record, self.places)
        except ModelFilesError:
            target = self._kept / version.hex()[:16]
            from nexus_chain.workflows.importing import import_folder  # with torch, which takes seconds to import

            for checkpoint in self._checkpoints(record):
                with self._observer.stage(f"Importing {checkpoint.name} for the first time"):
                    import_folder(checkpoint, target)
                if ModelFiles(target).matches(record):
                    return ModelFiles(target)
            raise

    def _checkpoints(self, record: ModelVersion) -> Iterator[Path]:
        """Hugging Face folders with the version's tokenizer and without a program yet."""
        from nexus_chain.program.checkpoint import holds_checkpoint
        from nexus_chain.versions.model_files import ModelFiles, folders_in

        for folder in folders_in(self.places):
            complete = (folder / TOKENIZER_FILE).is_file() and holds_checkpoint(folder)
            imported = (folder / PROGRAM_FILE).is_file()
            if complete and not imported and ModelFiles(folder).tokenizer_hash == record.tokenizer_hash:
                yield folder

    def _newest_here(self) -> bytes:
        for version, record in reversed(list(self.versions())):
            try:
                self._files(version, record)
            except ModelFilesError:
                continue
            return version
        looked = ", ".join(map(str, self.places))
        known = ", ".join(f"0x{version.hex()[:10]}" for version, _ in self.versions()) or "none"
        raise ModelFilesError(
            f"the files of no registered model version are on this machine (looked in {looked})",
            advice=f"Import a model there, or give its folder with --model-dir; registered: {known}.",
        )
