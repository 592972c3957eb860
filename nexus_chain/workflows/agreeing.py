"""How answers are compared with each other when the network learns: by their final answers, or by their meanings."""

from __future__ import annotations

from pathlib import Path

from nexus_chain.client.home import ClientHome
from nexus_chain.distillation.distiller.agreement import Agreement, EmbeddingAgreement, ExactAgreement
from nexus_chain.program.file_names import PROGRAM_FILE
from nexus_chain.settings import Settings
from nexus_chain.workflows.catalogue import catalogue
from nexus_chain.workflows.errors import WorkflowError
from nexus_chain.workflows.observer import SILENT, TaskObserver


def agreement_named(encoder: str | None, settings: Settings, observer: TaskObserver = SILENT) -> Agreement:
    """Agreement by the meanings that ``encoder`` sees (see ``encoder_folder``); None: by the same final answer.

    Raises as ``encoder_folder``; ModelFilesError for a model that is no encoder, ProgramError and OSError.
    """
    if encoder is None:
        return ExactAgreement()
    folder = encoder_folder(encoder, ClientHome(settings.home), observer)
    from nexus_chain.distillation.memory.embedder import MiniLmEmbedder

    with observer.stage(f"Loading {encoder}"):
        embedder = MiniLmEmbedder(folder)
    return EmbeddingAgreement(embedder, embedder.name)


def encoder_folder(named: str, home: ClientHome, observer: TaskObserver = SILENT) -> Path:
    """The folder of an imported model: ``named`` itself, or what the home's models have under this name.

    A name of the catalogue is fetched and imported once. Raises WorkflowError where there is no such model,
    CatalogueError, DownloadError, and the importer's errors.
    """
    places = (Path(named), home.models / named)
    for place in places:
        if (place / PROGRAM_FILE).is_file():
            return place
    if places[0].exists() or named not in catalogue():
        raise WorkflowError(
            f"{named} is no imported model",
            advice=f"Give a folder that `nexus model import` wrote, or one of {', '.join(catalogue())}.",
        )
    from nexus_chain.workflows.importing import import_named  # with torch, which takes seconds to import

    return import_named(named, home, None, None, observer).folder
