"""A GGUF file written out as the folder of a Hugging Face checkpoint, all of it or nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from nexus_chain.program.errors import CheckpointFileError
from nexus_chain.program.file_names import CONFIG_FILE
from nexus_chain.program.gguf_import.configuration import configuration_of
from nexus_chain.program.gguf_import.metadata import GgufFile
from nexus_chain.program.gguf_import.tensors import checkpoint_names, float_bytes, write_tensors
from nexus_chain.program.gguf_import.tokenizer import tokenizer_files
from nexus_chain.staging import staged


def convert_gguf(path: Path, folder: Path) -> None:
    """Write the checkpoint that the GGUF file ``path`` holds into ``folder``.

    Weights become float32; those in float16 or bfloat16 stay so. What is not supported is found before anything is
    written. Raises CheckpointLayoutError, which names it, CheckpointFileError and OSError.
    """
    file = GgufFile(path)
    config = configuration_of(file)
    checkpoint_names(file)
    texts = {CONFIG_FILE: json.dumps(config, indent=2)}
    texts |= tokenizer_files(file, config["max_position_embeddings"])
    _require_room(file, folder)
    with staged(folder) as part:
        write_tensors(file, part)
        for name, text in texts.items():
            (part / name).write_text(text, encoding="utf-8")


def _require_room(file: GgufFile, folder: Path) -> None:
    place = next(parent for parent in folder.resolve().parents if parent.exists())
    needed, free = float_bytes(file), shutil.disk_usage(place).free
    if needed > free:
        raise CheckpointFileError(
            f"{file.path.name} is {needed / 1e9:.1f} GB of floats while it is imported, {place} has {free / 1e9:.1f}",
            advice="Make room there, or set NEXUS_HOME to a place with more.",
        )
