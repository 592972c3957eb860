"""The manifest of a model version: the files it consists of, each with its CID.

The registry keeps the manifest's CID. So whoever knows a version's id can fetch checkpoint and tokenizer from any
source of blocks, and knows that they are the published ones. A sharded checkpoint is listed file by file: its index,
every shard that the index names, and no other weights. The files that say how its texts begin and end, and how
conversations are written, are listed where the folder has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path

from nexus_chain.content.block_store import BlockSource, BlockStore, fetch_chunks, fetch_file
from nexus_chain.content.canonical import (
    canonical_bytes,
    read_canonical,
    require,
    require_cid,
    require_hex,
    require_semver,
)
from nexus_chain.content.errors import BlockTamperedError
from nexus_chain.content.field_forms import CidText, Count, Hex32
from nexus_chain.program.checkpoint import INDEX_FILE, SINGLE_FILE, weight_files
from nexus_chain.program.errors import CheckpointLayoutError
from nexus_chain.program.file_names import CONFIG_FILE, DRAFTS_FILE, TOKENIZER_FILE
from nexus_chain.program.recipe import RECIPE_FILE
from nexus_chain.versions.errors import TrainedFolderError
from nexus_chain.versions.text_files import TEXT_FILES

_FORMAT = "nexus.manifest.v1"
OPTIONAL_FILES = (*TEXT_FILES, RECIPE_FILE, DRAFTS_FILE)
MAX_DOCUMENT_BYTES = 64 << 20


@dataclass(frozen=True)
class FileReference:
    """Where a file is and what it must be."""

    cid: CidText
    sha256: Hex32
    size: Count

    def __post_init__(self) -> None:
        require_cid(self.cid, "file.cid")
        require_hex(self.sha256, 32, "file.sha256")
        require(self.size >= 0, "file.size", "must not be negative")

    @classmethod
    def store(cls, data: bytes, store: BlockStore) -> FileReference:
        """Keep a file in ``store`` and refer to it."""
        return cls(str(store.add_bytes(data)), "0x" + sha256(data).hexdigest(), len(data))

    @classmethod
    def store_path(cls, path: Path, store: BlockStore) -> FileReference:
        """Keep the file at ``path``, which may be larger than memory, and refer to it."""
        return cls(str(store.add_path(path)), file_sha256(path), path.stat().st_size)

    def fetch(self, source: BlockSource, path: Path) -> None:
        """Bring the file, which may be larger than memory, to ``path``; nothing is there unless it is verified."""
        try:
            self._write(source, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _write(self, source: BlockSource, path: Path) -> None:
        digest, size = sha256(), 0
        with path.open("wb") as file:
            for chunk in fetch_chunks(source, self.cid, limit=self.size):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        if size != self.size or "0x" + digest.hexdigest() != self.sha256:
            raise BlockTamperedError(
                f"the file at {self.cid} has another size or SHA-256 than its reference",
                advice="Do not use it: the document that refers to it contradicts itself",
            )


@dataclass(frozen=True)
class Manifest:
    """Name, version and files of a model version."""

    name: str
    version: str
    files: dict[str, FileReference]
    format: str = _FORMAT

    def __post_init__(self) -> None:
        require(self.format == _FORMAT, "manifest.format", f"must be {_FORMAT}")
        require_semver(self.version, "manifest.version")
        weights = INDEX_FILE if INDEX_FILE in self.files else SINGLE_FILE
        missing = [name for name in (CONFIG_FILE, weights, TOKENIZER_FILE) if name not in self.files]
        require(not missing, "manifest.files", f"lacks {missing}")
        odd = [name for name in self.files if "/" in name or "\\" in name or name.startswith(".")]
        require(not odd, "manifest.files", f"has names that are no plain file names: {odd}")

    @classmethod
    def of_folder(cls, folder: Path, name: str, version: str, store: BlockStore) -> Manifest:
        """Store the files of a Hugging Face folder and list them."""
        files = {}
        for file in (CONFIG_FILE, *weights_of(folder), TOKENIZER_FILE, *OPTIONAL_FILES):
            if (folder / file).is_file():
                files[file] = FileReference.store_path(folder / file, store)
            elif file not in OPTIONAL_FILES:
                raise TrainedFolderError(f"{folder} has no {file}", advice="Give the folder of a trained model")
        return cls(name, version, files)

    @classmethod
    def fetch(cls, source: BlockSource, cid: str) -> Manifest:
        """Fetch and read a manifest."""
        return read_canonical(cls, fetch_file(source, cid, MAX_DOCUMENT_BYTES), "manifest")

    def store(self, store: BlockStore) -> str:
        """Keep the manifest itself; returns its CID."""
        return str(store.add_bytes(canonical_bytes(self)))

    def fetch_files(self, source: BlockSource, folder: Path) -> None:
        """Bring every file into ``folder``, verified. Raises TrainedFolderError as ``weights_of`` does."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, reference in self.files.items():
            reference.fetch(source, folder / name)
        weights_of(folder)


def weights_of(folder: Path) -> tuple[str, ...]:
    """Names of the files with a checkpoint's weights, as ``weight_files`` gives them.

    Raises TrainedFolderError where one is missing, or where a file of weights lies beside a sharded
    checkpoint that its index does not name, the single file too: readers of what is published would disagree
    about which weights are meant. A draft table holds no weights.
    """
    try:
        names = weight_files(folder)
    except CheckpointLayoutError as cause:
        raise TrainedFolderError(
            cause.message, advice="Give the folder of a trained model, with every shard that its index names"
        ) from cause
    stray = {path.name for path in folder.glob("*.safetensors")}.difference(names, (DRAFTS_FILE,))
    if names == (SINGLE_FILE,) and (folder / INDEX_FILE).is_file():
        stray = {SINGLE_FILE}
    if (folder / INDEX_FILE).is_file() and stray:
        raise TrainedFolderError(
            f"{min(stray)} is in the folder, but {INDEX_FILE} does not name it",
            advice="Remove it, or save the model again so that the index names every shard",
        )
    return names


def weights_sha256(digests: Mapping[str, str]) -> str:
    """One SHA-256 for a checkpoint's weights, from those of its files (0x hex by name).

    That of a single file is its own; that of several is over the lines of ``sha256sum``, by name.
    """
    if set(digests) == {SINGLE_FILE}:
        return digests[SINGLE_FILE]
    lines = "".join(f"{digest[2:]}  {name}\n" for name, digest in sorted(digests.items()))
    return "0x" + sha256(lines.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """0x hex of a file that may be larger than memory."""
    with path.open("rb") as file:
        return "0x" + file_digest(file, "sha256").hexdigest()
