"""What anybody may fetch of a model: the three files that its version's roots fix, to recompute answers elsewhere.

They are public already: whoever has the version's manifest imports the same bytes. Nothing else of a folder is given
out, and names are compared with a list: no path can lead out of it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from nexus_chain.program.file_names import PROGRAM_FILE, TOKENIZER_FILE, WEIGHTS_FILE
from nexus_chain.versions.manifest import file_sha256
from node.gateway.errors import NotFoundError
from node.gateway.generation import OfferedModel

PUBLIC_FILES = (PROGRAM_FILE, WEIGHTS_FILE, TOKENIZER_FILE)


@dataclass(frozen=True)
class PublicFile:
    """A file with its size in bytes and its SHA-256 (0x hex)."""

    path: Path
    size: int
    sha256: str


class PublicFiles:
    """Reads each file once for its hash, and again when it is another. For one event loop."""

    def __init__(self) -> None:
        self._hashes: dict[tuple[str, int, int, int], str] = {}
        self._turn = asyncio.Lock()  # one hash at a time: callers who ask for many models cost one core

    async def of(self, model: OfferedModel) -> list[PublicFile]:
        """The files of a model. Raises NotFoundError where its weights are not on this machine."""
        return [await self._described(model, name) for name in PUBLIC_FILES]

    async def find(self, model: OfferedModel, name: str) -> PublicFile:
        """One of them by its name. Raises NotFoundError."""
        if name not in PUBLIC_FILES:
            raise NotFoundError(f"{name} is no public file of a model", advice=f"Ask {', '.join(PUBLIC_FILES)}.")
        return await self._described(model, name)

    async def _described(self, model: OfferedModel, name: str) -> PublicFile:
        path = model.files.folder / name
        try:
            found = await asyncio.to_thread(path.stat)
            key = (str(path), found.st_ino, found.st_size, found.st_mtime_ns)
            async with self._turn:
                if key not in self._hashes:
                    self._hashes[key] = await asyncio.to_thread(file_sha256, path)
        except OSError as error:
            raise NotFoundError(
                f"{name} of {model.name} is not on the gateway's machine",
                advice="Check answers with `nexus verify`, or at a gateway that has the model's weights.",
            ) from error
        return PublicFile(path, found.st_size, self._hashes[key])
