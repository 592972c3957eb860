"""Models of a local network: fetched, published and cut into shards where that is not done yet."""

from __future__ import annotations

from pathlib import Path

from nexus_chain.client.home import ClientHome
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.workflows.catalogue import CatalogueEntry, fetch_model
from nexus_chain.workflows.local_network.state import CHAT, COMPLETION, EMBEDDING, ServedVersion
from nexus_chain.workflows.workspace import Workspace


def served_version(
    workspace: Workspace, entry: CatalogueEntry, user_home: ClientHome, segments: int, known: ServedVersion | None
) -> ServedVersion:
    """The published version of a model, cut into ``segments`` files; ``known``: what an earlier run says of it.

    Raises the errors of fetching, importing, publishing and cutting.
    """
    if known is not None and _is_published(workspace, known):
        if len(known.shards) == segments and all(Path(shard).is_file() for shard in known.shards):
            return known
        if (folder := _folder(workspace, known)).is_dir():
            return ServedVersion(known.version, _cut(workspace, folder, segments), known.kind)
    return _publish(workspace, entry, fetch_model(entry, user_home, workspace.observer), segments)


def _publish(workspace: Workspace, entry: CatalogueEntry, checkpoint: Path, segments: int) -> ServedVersion:
    # With torch, which takes seconds to import: a second start needs none of it.
    from nexus_chain.quality import GATE
    from nexus_chain.workflows.importing import Measuring
    from nexus_chain.workflows.publishing import VersionRequest, publish

    measuring = Measuring(GATE) if entry.weights_root is None else None
    wanted = VersionRequest(
        checkpoint, "1.0.0", measuring, name=entry.name, certified=False, shards=segments, entry=entry
    )
    with workspace.observer.stage(f"Publishing {entry.name}"):
        done = publish(workspace, wanted)
    return ServedVersion(
        "0x" + done.registered.version.hex(), tuple(str(one.file) for one in done.shards), _kind(done.folder)
    )


def _cut(workspace: Workspace, folder: Path, segments: int) -> tuple[str, ...]:
    from nexus_chain.workflows.sharding import write_shards

    return tuple(str(one.file) for one in write_shards(folder, segments, observer=workspace.observer))


def _is_published(workspace: Workspace, known: ServedVersion) -> bool:
    return workspace.chain.models.publisher_of(bytes.fromhex(known.version[2:])) is not None


def _folder(workspace: Workspace, known: ServedVersion) -> Path:
    return workspace.home.models / known.version[2:18]


def _kind(folder: Path) -> str:
    """What the model is asked for."""
    files = ModelFiles(folder)
    if files.program.is_encoder:
        return EMBEDDING
    return CHAT if files.codec.chat_template is not None else COMPLETION
