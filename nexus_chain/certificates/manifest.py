"""The manifest of a model version: the files it consists of, each with its CID.

The registry keeps the manifest's CID, so whoever knows a version's id can fetch the checkpoint and
the tokenizer from any source of blocks and know that they are the published ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from nexus_chain.certificates.block_store import BlockSource, BlockStore, fetch_file
from nexus_chain.certificates.canonical import (
    canonical_bytes,
    read_canonical,
    require,
    require_cid,
    require_hex,
    require_semver,
)
from nexus_chain.certificates.errors import BlockTamperedError, TrainedFolderError
from nexus_chain.program.recipe import RECIPE_FILE

FORMAT = "nexus.manifest.v1"
CHECKPOINT_FILES = ("config.json", "model.safetensors")
TOKENIZER_FILE = "tokenizer.json"
OPTIONAL_FILES = ("tokenizer_config.json", RECIPE_FILE)
MAX_DOCUMENT_BYTES = 64 << 20


@dataclass(frozen=True)
class FileReference:
    """Where a file is and what it must be."""

    cid: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        require_cid(self.cid, "file.cid")
        require_hex(self.sha256, 32, "file.sha256")
        require(self.size >= 0, "file.size", "must not be negative")

    @classmethod
    def store(cls, data: bytes, store: BlockStore) -> FileReference:
        """Keep a file in ``store`` and refer to it."""
        return cls(str(store.add_bytes(data)), "0x" + sha256(data).hexdigest(), len(data))

    def fetch(self, source: BlockSource) -> bytes:
        """The file's verified bytes."""
        data = fetch_file(source, self.cid, limit=max(self.size, 1))
        if len(data) != self.size or "0x" + sha256(data).hexdigest() != self.sha256:
            raise BlockTamperedError(
                f"the file at {self.cid} has another size or SHA-256 than its reference",
                advice="Do not use it: the document that refers to it contradicts itself",
            )
        return data


@dataclass(frozen=True)
class Manifest:
    """Name, version and files of a model version."""

    name: str
    version: str
    files: dict[str, FileReference]
    format: str = FORMAT

    def __post_init__(self) -> None:
        require(self.format == FORMAT, "manifest.format", f"must be {FORMAT}")
        require_semver(self.version, "manifest.version")
        missing = [name for name in (*CHECKPOINT_FILES, TOKENIZER_FILE) if name not in self.files]
        require(not missing, "manifest.files", f"lacks {missing}")
        odd = [name for name in self.files if "/" in name or "\\" in name or name.startswith(".")]
        require(not odd, "manifest.files", f"has names that are no plain file names: {odd}")

    @classmethod
    def of_folder(cls, folder: Path, name: str, version: str, store: BlockStore) -> Manifest:
        """Store the files of a Hugging Face folder and list them."""
        files = {}
        for file in (*CHECKPOINT_FILES, TOKENIZER_FILE, *OPTIONAL_FILES):
            if (folder / file).is_file():
                files[file] = FileReference.store((folder / file).read_bytes(), store)
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
        """Bring every file into ``folder``, verified."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, reference in self.files.items():
            (folder / name).write_bytes(reference.fetch(source))
