"""The base model of a training: where it comes from, which one it is, and how it is loaded in float32."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from nexus_chain.distillation.lora.errors import BaseModelError
from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.errors import ProgramError
from nexus_chain.program.file_names import CONFIG_FILE
from nexus_chain.program.gguf_import import convert_gguf
from nexus_chain.quality.errors import FloatModelError
from nexus_chain.quality.float_model import load_float_model
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.versions.tokenizer_faults import tokenizer_faults


def float_checkpoint(source: Path, folder: Path) -> Path:
    """A folder that trainers read: ``source`` itself, or ``folder``, made once of the GGUF file that ``source`` is.

    ``source`` may also be a folder with one GGUF file in it. Raises BaseModelError, and OSError where there is no room.
    """
    if (source / CONFIG_FILE).is_file():
        return source
    files = [source] if source.is_file() else sorted(source.glob("*.gguf"))
    if len(files) != 1:
        raise BaseModelError(f"{source} holds no checkpoint", advice="Name a checkpoint's folder or a GGUF file.")
    if not (folder / CONFIG_FILE).is_file():
        try:
            convert_gguf(files[0], folder)
        except ProgramError as cause:
            raise BaseModelError(f"{files[0]} cannot be converted: {cause.message}", advice=cause.advice) from cause
    return folder


def base_sha256(folder: Path) -> str:
    """Which model this is: a SHA-256 in hex over its configuration and weights, file by file in order of their names.

    Raises BaseModelError.
    """
    names = [CONFIG_FILE, *sorted(path.name for path in folder.glob("*.safetensors"))]
    if len(names) == 1:
        raise BaseModelError(f"{folder} holds no safetensors file", advice="Name a checkpoint's folder.")
    whole = hashlib.sha256()
    try:
        for name in names:
            with (folder / name).open("rb") as file:
                whole.update(f"{name}\0".encode() + hashlib.file_digest(file, "sha256").digest())
    except OSError as cause:
        raise BaseModelError(
            f"{cause.filename} cannot be read ({cause.strerror})", advice="Check the base model's folder."
        ) from cause
    return whole.hexdigest()


def load_base(folder: Path) -> tuple[Any, Any]:
    """The model in float32 and its tokenizer, as ``transformers`` runs them. Raises BaseModelError."""
    from transformers import AutoTokenizer  # takes seconds to import

    try:
        Checkpoint(folder)
        with tokenizer_faults(f"the tokenizer of {folder} cannot be loaded"):
            return load_float_model(folder), AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (FloatModelError, ProgramError, ModelFilesError) as cause:
        raise BaseModelError(cause.message, advice="Repair the base model's folder, or fetch it again.") from cause
    except (OSError, ValueError) as cause:
        raise BaseModelError(
            f"the tokenizer of {folder} cannot be loaded ({cause})", advice="Repair the base model's folder."
        ) from cause
