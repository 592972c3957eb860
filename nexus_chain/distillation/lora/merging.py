"""Base model and adapter made one: a checkpoint's folder that the importer reads like any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from nexus_chain.distillation.lora.adapter import apply_adapter
from nexus_chain.distillation.lora.base_model import base_sha256, load_base
from nexus_chain.distillation.lora.errors import TrainingStorageError
from nexus_chain.json_text import parse_json
from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.file_names import CONFIG_FILE
from nexus_chain.staging import staged

_WEIGHTS = "model.safetensors"


def merge_adapter(base: Path, adapter: Path, folder: Path) -> Path:
    """Write the checkpoint of ``base`` with ``adapter`` added to its weights into ``folder``, all of it or nothing.

    Weights are float32 under the base's own names; every other file of the base, the tokenizer among them, stays as
    it is. Raises LoraError: AdapterError, OtherBaseError, BaseModelError, TrainingStorageError.
    """
    model, _ = load_base(base)
    merged = apply_adapter(model, base_sha256(base), adapter).merge_and_unload()
    try:
        with staged(folder) as part:
            save_file(_named_as_stored(merged, base), part / _WEIGHTS, metadata={"format": "pt"})
            _copy_texts(base, part)
    except OSError as cause:
        raise TrainingStorageError(
            f"the merged model cannot be written to {folder} ({cause.strerror or cause})",
            advice="Make room, or choose another place.",
        ) from cause
    return folder


def _named_as_stored(model: Any, base: Path) -> dict[str, torch.Tensor]:
    """Tensors by the names of the base's files; a head that is the embedding is stored once, as there."""
    stored_as = {name: stored for stored, name in Checkpoint(base).renamed.items()}
    found: dict[str, torch.Tensor] = {}
    places = set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in places:
            places.add(tensor.data_ptr())
            found[stored_as.get(name, name)] = tensor.to(torch.float32).contiguous()
    return found


def _copy_texts(base: Path, part: Path) -> None:
    for file in base.iterdir():
        if file.is_file() and ".safetensors" not in file.name and not file.name.startswith("."):
            shutil.copyfile(file, part / file.name)
    config = parse_json((base / CONFIG_FILE).read_bytes())
    config.pop("dtype", None)
    (part / CONFIG_FILE).write_text(json.dumps({**config, "torch_dtype": "float32"}, indent=2) + "\n")
