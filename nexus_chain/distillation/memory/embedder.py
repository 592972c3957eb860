"""What makes rows of numbers of texts, so that texts of like meaning lie in like directions."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from nexus_chain.program.file_names import PROGRAM_FILE, TOKENIZER_FILE, WEIGHTS_FILE

if TYPE_CHECKING:
    from nexus_chain.versions.text_codec import TextCodec

_BATCH = 16


class Embedder(Protocol):
    """``name``: the same for two embedders only if they give the same rows; rows of others are never compared."""

    name: str

    def embed(self, texts: Sequence[str]) -> npt.NDArray[Any]:
        """Float or integer rows [n, width], one a text; only their directions count."""


class MiniLmEmbedder:
    """An encoder's integer program, such as all-MiniLM-L6-v2: the same rows on every machine. Any thread may use it."""

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        """``folder``: an imported encoder (``program.json``, ``weights.safetensors``, ``tokenizer.json``).

        ``threads``: None for torch's. Raises ModelFilesError, ProgramError and OSError.
        """
        # With torch, which takes seconds to import.
        from nexus_chain.engine.engine import Engine
        from nexus_chain.program.model import IntegerModel
        from nexus_chain.versions.model_files import ModelFiles

        files = ModelFiles(folder)
        files.require(encoder=True)
        model = IntegerModel.load(folder)
        self.name = f"encoder-{_files_hash(folder)[:16]}"
        self._room = model.program.shape.context - 1  # the answer of an encoder takes one position
        self._codec = files.codec
        self._engine = Engine(model.program, model.weights, 0, model.program.shape.layers - 1, threads=threads)
        self._turn = threading.Lock()

    def embed(self, texts: Sequence[str]) -> npt.NDArray[Any]:
        """i32[n, width] with 16 fraction bits; a text that is too long loses its end."""
        import torch

        from nexus_chain.engine.embedding import embeddings

        rows = [torch.tensor(cut_tokens(self._codec, text, self._room), dtype=torch.int32) for text in texts]
        order = sorted(range(len(rows)), key=lambda at: len(rows[at]))  # like lengths together
        found: list[Any] = [None] * len(rows)
        with self._turn:
            for start in range(0, len(order), _BATCH):
                places = order[start : start + _BATCH]
                for at, row in zip(places, embeddings(self._engine, [rows[at] for at in places]), strict=True):
                    found[at] = row.numpy()
        return np.stack(found) if found else np.empty((0, 0), np.int32)


def cut_tokens(codec: TextCodec, text: str, room: int) -> list[int]:
    """At most ``room`` token ids of a text, with what the tokenizer puts around it, which stays."""
    tokens = codec.encode_plain(text, special=True)
    if len(tokens) <= room:
        return tokens
    plain = codec.encode_plain(text)
    extra = len(tokens) - len(plain)
    start = next(at for at in range(extra + 1) if tokens[at : at + len(plain)] == plain)
    return [*tokens[:start], *plain[: room - extra], *tokens[start + len(plain) :]]


def _files_hash(folder: Path) -> str:
    """SHA-256 of all that the rows depend on, in hexadecimal."""
    total = hashlib.sha256()
    for name in (TOKENIZER_FILE, PROGRAM_FILE, WEIGHTS_FILE):
        with (folder / name).open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
