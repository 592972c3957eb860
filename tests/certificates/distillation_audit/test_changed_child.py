"""Weights, settings and adapters that are not what the training made of the parent."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from nexus_chain.certificates.audit_evidence import AuditRequest
from nexus_chain.certificates.distillation_evaluation import score_of
from nexus_chain.certificates.distillation_publication import (
    EVALUATION_FILE,
)
from nexus_chain.certificates.distillation_records import (
    ProblemRecord,
)
from nexus_chain.distillation.lora.adapter import ADAPTER_FILE
from nexus_chain.program.file_names import ADAPTER_CONFIG_FILE
from tests.support.forged_distillation import EVERYTHING, Forge, assert_fails_at
from tests.support.tiny_distillation import (
    Distilled,
    evaluator,
)
from tests.support.tiny_publication import Registries


def test_weight_of_the_child(forge: Forge, distilled: Distilled, tmp_path: Path) -> None:
    """One weight more than the adapter explains, registered and evaluated in due form."""
    child = tmp_path / "child"
    shutil.copytree(distilled.child, child)
    weights = load_file(child / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] += 0.125
    save_file(weights, child / "model.safetensors", metadata={"format": "pt"})
    scored = score_of(list(evaluator(child).results(forge.records(EVALUATION_FILE, ProblemRecord))))
    forge.summarise(lambda summary: replace(summary, after=scored))
    reason = "model.layers.1.mlp.up_proj.weight is not the parent's, and the adapter does not change it"
    assert_fails_at(forge.certified(child).audit(EVERYTHING), 19, reason)


def test_weight_of_the_child_where_the_adapter_changes_it(forge: Forge, distilled: Distilled, tmp_path: Path) -> None:
    child = tmp_path / "child"
    shutil.copytree(distilled.child, child)
    weights = load_file(child / "model.safetensors")
    weights["model.layers.0.self_attn.q_proj.weight"][0, 0] += 0.25
    save_file(weights, child / "model.safetensors", metadata={"format": "pt"})
    scored = score_of(list(evaluator(child).results(forge.records(EVALUATION_FILE, ProblemRecord))))
    forge.summarise(lambda summary: replace(summary, after=scored))
    assert_fails_at(forge.certified(child).audit(EVERYTHING), 19, "is not the parent's plus the adapter's")


def test_configuration_of_the_child(forge: Forge, distilled: Distilled, tmp_path: Path) -> None:
    child = tmp_path / "child"
    shutil.copytree(distilled.child, child)
    config = json.loads((child / "config.json").read_text())
    (child / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 2e-6}))
    scored = score_of(list(evaluator(child).results(forge.records(EVALUATION_FILE, ProblemRecord))))
    forge.summarise(lambda summary: replace(summary, after=scored))
    assert_fails_at(forge.certified(child).audit(EVERYTHING), 19, "another rms_norm_eps than the parent's")


def test_weights_other_than_the_registered(distilled: Distilled) -> None:
    owner, version = distilled.chain.published[distilled.version_id]
    chain = Registries(distilled.chain.anchors, {**distilled.chain.published, distilled.version_id: (
        owner, replace(version, weights_root=bytes(32)))})  # fmt: skip
    assert_fails_at(replace(distilled, chain=chain).audit(), 5, "weights root")
    lying = distilled.certificate
    lying = replace(lying, model=replace(lying.model, weights_root="0x" + "00" * 32))
    assert_fails_at(replace(distilled, chain=chain).certified(lying).audit(), 8, "weights root of the checkpoint")


def test_adapter_of_another_training(forge: Forge) -> None:
    lora = load_file(forge.folder / ADAPTER_FILE)
    save_file({name: torch.zeros_like(tensor) for name, tensor in lora.items()}, forge.folder / ADAPTER_FILE)
    assert_fails_at(forge.certified().audit(), 19, "is not the parent's plus the adapter's")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("lora_alpha", 8, "is not the parent's plus the adapter's"),
        ("r", 3, "a matrix has not the rank 3"),
        ("r", 0, "configuration cannot be read"),
        ("use_dora", True, "use_dora is not one that an audit can merge"),
        ("peft_type", "IA3", "no LoRA adapter"),
    ],
)
def test_adapter_that_is_merged_in_another_way(forge: Forge, field: str, value: object, reason: str) -> None:
    config = json.loads((forge.folder / ADAPTER_CONFIG_FILE).read_text())
    (forge.folder / ADAPTER_CONFIG_FILE).write_text(json.dumps({**config, field: value}))
    assert_fails_at(forge.certified().audit(AuditRequest(sample=1)), 19, reason)


def test_files_that_are_no_adapter(forge: Forge) -> None:
    (forge.folder / ADAPTER_FILE).write_bytes(b"junk")
    assert_fails_at(forge.certified().audit(AuditRequest(sample=1)), 19, "cannot be read")
