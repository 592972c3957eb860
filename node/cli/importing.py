"""From a Hugging Face folder to the integer model's folder that ``ask`` and ``verify`` look for."""

from __future__ import annotations

import shutil
from pathlib import Path

from nexus_chain.client.errors import ModelFilesError
from nexus_chain.client.model_files import TOKENIZER_FILE
from nexus_chain.json_text import parse_json
from nexus_chain.program import ActivationBits, IntegerModel, import_checkpoint

CHECKPOINT_FILE = "model.safetensors"
METRICS_FILE = "metrics.json"


def import_folder(checkpoint: Path, folder: Path) -> IntegerModel:
    """Import ``checkpoint`` with the activation widths that it was measured with, and keep it in ``folder``.

    Raises the importer's errors and ModelFilesError.
    """
    model = import_checkpoint(checkpoint, widths=activation_bits(checkpoint))
    keep(model, checkpoint, folder)
    return model


def activation_bits(checkpoint: Path) -> ActivationBits | None:
    """The widths that the folder's metrics were measured with; None (the defaults) without metrics."""
    path = checkpoint / METRICS_FILE
    if not path.is_file():
        return None
    try:
        return ActivationBits(**parse_json(path.read_bytes())["activation_bits"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFilesError(
            f"{path} names no activation bits ({error})", advice="Run scripts/certify_model.py on the folder again."
        ) from error


def keep(model: IntegerModel, checkpoint: Path, folder: Path) -> None:
    """Write the integer model and the checkpoint's tokenizer. Raises ModelFilesError."""
    tokenizer = checkpoint / TOKENIZER_FILE
    if not tokenizer.is_file():
        raise ModelFilesError(f"{checkpoint} has no {TOKENIZER_FILE}", advice="Copy the model's tokenizer there.")
    model.save(folder)
    shutil.copyfile(tokenizer, folder / TOKENIZER_FILE)
