"""An adapter: low-rank additions to a base model's linear layers, as PEFT names and reads them.

Its file is canonical: the same numbers are the same bytes, so that a hash speaks for the adapter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from nexus_chain.distillation.errors import require_packages
from nexus_chain.distillation.lora.config import TrainingConfig
from nexus_chain.distillation.lora.errors import AdapterError, OtherBaseError, TrainingConfigError
from nexus_chain.json_text import parse_json

PEFT = {"peft": "peft"}
"""Module and package, of whatever reads or trains an adapter."""
ADAPTER_FILE = "adapter_model.safetensors"
BASE_FILE = "base.json"
"""Beside an adapter: the SHA-256 of the base model that it was trained on, and of the adapter itself."""


def with_adapter(model: Any, config: TrainingConfig) -> Any:
    """``model`` inside PEFT with a new adapter, made from torch's random state. Raises TrainingConfigError."""
    require_packages(PEFT)
    from peft import LoraConfig, get_peft_model  # takes seconds to import

    settings = LoraConfig(
        task_type="CAUSAL_LM",
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=list(config.target_modules),
    )
    try:
        return get_peft_model(model, settings)
    except ValueError as cause:
        raise TrainingConfigError(
            f"the adapter does not fit the base model ({str(cause).splitlines()[0]})",
            advice="Name linear layers of the base model in target_modules.",
        ) from cause


def adapter_tensors(peft_model: Any) -> dict[str, Tensor]:
    """The adapter's tensors by the names that PEFT stores."""
    from peft import get_peft_model_state_dict

    found = get_peft_model_state_dict(peft_model, save_embedding_layers=False)
    return {name: tensor.detach() for name, tensor in found.items()}


def adapter_content(tensors: Mapping[str, Tensor]) -> bytes:
    """A safetensors file of float32 without metadata; names ascend, so the same tensors give the same bytes."""
    return bytes(save({name: tensors[name].to(torch.float32).contiguous() for name in sorted(tensors)}))


def write_adapter(peft_model: Any, base: str, folder: Path) -> str:
    """Write the adapter's files into ``folder``; returns the SHA-256 in hex of its canonical bytes. Raises OSError.

    ``base``: the SHA-256 of the base model.
    """
    content = adapter_content(adapter_tensors(peft_model))
    found = hashlib.sha256(content).hexdigest()
    settings = peft_model.peft_config["default"]
    settings.base_model_name_or_path = None  # a path of this machine says nothing; BASE_FILE says which it is
    settings.inference_mode = True
    settings.save_pretrained(str(folder))
    (folder / ADAPTER_FILE).write_bytes(content)
    (folder / BASE_FILE).write_text(json.dumps({"base_sha256": base, "adapter_sha256": found}, indent=1) + "\n")
    return found


def apply_adapter(model: Any, base: str, folder: Path) -> Any:
    """``model`` inside PEFT with the adapter of ``folder``.

    Raises AdapterError, OtherBaseError, MissingPackageError.
    """
    require_packages(PEFT)
    from peft import PeftModel

    require_adapter(folder, base)
    try:
        return PeftModel.from_pretrained(model, str(folder))
    except (OSError, ValueError, RuntimeError, KeyError) as cause:
        raise _damaged(folder, str(cause).splitlines()[0]) from cause


def require_adapter(folder: Path, base: str) -> None:
    """Raise AdapterError unless the adapter is whole, OtherBaseError unless it belongs to the base of that SHA-256."""
    try:
        stated = parse_json((folder / BASE_FILE).read_bytes())
        named, stored = stated["base_sha256"], stated["adapter_sha256"]
        found = hashlib.sha256(adapter_content(load_file(folder / ADAPTER_FILE))).hexdigest()
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as cause:
        raise _damaged(folder, str(cause)) from cause
    if found != stored:
        raise _damaged(folder, f"its hash is {found}, {stored} is stated")
    if named != base:
        raise OtherBaseError(
            f"the adapter in {folder} was trained on the base model {named[:16]}…, this one is {base[:16]}…",
            advice="Take the base model that the adapter names.",
        )


def _damaged(folder: Path, problem: str) -> AdapterError:
    return AdapterError(f"the adapter in {folder} cannot be read ({problem})", advice="Train the version again.")
