"""The merge that an audit checks is the one that PEFT makes, in every type that checkpoints are stored in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from nexus_chain.certificates.audit_evidence import AuditStepError
from nexus_chain.certificates.distillation_adapter import require_merged
from nexus_chain.distillation.lora.adapter import ADAPTER_FILE
from nexus_chain.program.file_names import ADAPTER_CONFIG_FILE
from tests.support.tiny_distillation import TARGETS, Distilled, adapter_config
from tests.support.tiny_publication import Published


@pytest.fixture
def adapter(distilled: Distilled, tmp_path: Path) -> Path:
    """The adapter's folder as PEFT reads it."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    shutil.copyfile(distilled.folder / ADAPTER_FILE, folder / "adapter_model.safetensors")
    targets = [target.split(".")[1] for target in TARGETS]
    settings = {**adapter_config(), "target_modules": targets, "task_type": "CAUSAL_LM"}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_peft_merges_holds(distilled: Distilled, adapter: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    model = LlamaForCausalLM.from_pretrained(distilled.child, dtype=dtype)
    stored = tmp_path / "parent"
    model.save_pretrained(stored)
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    config = adapter / "adapter_config.json"
    files = (adapter / "adapter_model.safetensors", config, tmp_path / "merged")
    assert require_merged(stored, *files) == 6

    weights = load_file(tmp_path / "merged" / "model.safetensors")
    for name, step in (("model.layers.1.mlp.down_proj.weight", 0.05), ("model.norm.weight", 0.01)):
        changed = {key: tensor.clone() for key, tensor in weights.items()}
        changed[name].view(-1)[7] += step
        save_file(changed, tmp_path / "merged" / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(AuditStepError, match=name):
            require_merged(stored, *files)


def test_an_adapter_for_another_model_is_refused(distilled: Distilled, adapter: Path, tmp_path: Path) -> None:
    lora = load_file(adapter / "adapter_model.safetensors")
    config, child = distilled.folder / ADAPTER_CONFIG_FILE, distilled.child
    for word, other, reason in (
        ("layers.1", "layers.7", "changes what the parent does not have"),
        ("self_attn.q_proj", "input_layernorm", "do not fit its shape"),
        ("lora_B", "lora_C", "no pairs of LoRA matrices"),
        ("base_model.", "", "no pairs of LoRA matrices"),
    ):
        path = tmp_path / "other.safetensors"
        save_file({name.replace(word, other): tensor for name, tensor in lora.items()}, path)
        with pytest.raises(AuditStepError, match=reason):
            require_merged(child, path, config, child)
    wrong = {name: tensor[:, :1] if "lora_A" in name else tensor for name, tensor in lora.items()}
    save_file({name: tensor.contiguous() for name, tensor in wrong.items()}, tmp_path / "wide.safetensors")
    with pytest.raises(AuditStepError, match="do not fit its shape"):
        require_merged(child, tmp_path / "wide.safetensors", config, child)


HUGE = 3e5
"""Products of it are far beyond every weight, and finite."""


def test_terms_that_cancel_leave_no_room_for_other_weights(
    distilled: Distilled, published: Published, tmp_path: Path
) -> None:
    """Two columns that cancel add nothing, and a tolerance that grew with them would take any weights."""
    name = "model.layers.0.self_attn.q_proj"
    lora = load_file(distilled.folder / ADAPTER_FILE)
    first, second = (f"base_model.model.{name}.lora_{letter}.weight" for letter in "AB")
    lora[first], lora[second] = torch.full_like(lora[first], HUGE), torch.full_like(lora[second], HUGE)
    lora[second][:, 1] = -HUGE
    save_file(lora, tmp_path / "adapter.safetensors")
    weights = load_file(distilled.child / "model.safetensors")
    weights[f"{name}.weight"] = torch.randn_like(weights[f"{name}.weight"].float()).to(weights[f"{name}.weight"].dtype)
    child = shutil.copytree(distilled.child, tmp_path / "child")
    save_file(weights, child / "model.safetensors", metadata={"format": "pt"})
    parent, config = published.publication.folder, distilled.folder / ADAPTER_CONFIG_FILE
    with pytest.raises(AuditStepError, match="so large that rounding alone"):
        require_merged(parent, tmp_path / "adapter.safetensors", config, child)


@pytest.mark.parametrize("alpha", ["1e400", "-1e400", "NaN"])
def test_a_scale_that_is_not_finite(distilled: Distilled, tmp_path: Path, alpha: str) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(adapter_config()).replace('"lora_alpha": 4', f'"lora_alpha": {alpha}'))
    with pytest.raises(AuditStepError, match=r"not finite|cannot be read"):
        require_merged(distilled.child, distilled.folder / ADAPTER_FILE, config, distilled.child)


@pytest.mark.parametrize(("name", "value"), [("rms_norm_eps", None), ("rope_scaling", {"factor": 2.0})])
def test_a_setting_that_the_child_drops_or_adds(distilled: Distilled, tmp_path: Path, name: str, value: Any) -> None:
    parent, child = (shutil.copytree(distilled.child, tmp_path / folder) for folder in ("parent", "child"))
    settings = json.loads((child / "config.json").read_text())
    settings.pop(name, None)
    (child / "config.json").write_text(json.dumps(settings if value is None else {**settings, name: value}))
    if value is not None:
        (parent / "config.json").write_text(json.dumps(settings))
    with pytest.raises(AuditStepError, match=rf"has another {name} than the parent's"):
        require_merged(parent, distilled.folder / ADAPTER_FILE, distilled.folder / ADAPTER_CONFIG_FILE, child)
