"""An auditor trains with what a certificate states, and with nothing that contradicts itself or has no end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nexus_chain.certificates.distillation_certificate import CertifiedAdaptation
from nexus_chain.content.block_store import BlockStore
from nexus_chain.distillation.lora.config import TrainingConfig
from nexus_chain.distillation.lora.errors import TrainingConfigError
from nexus_chain.versions.manifest import FileReference
from nexus_chain.workflows.learning.certifying import training_settings
from nexus_chain.workflows.learning.retraining import certified_config

PARENT, DATASET = Path("parent"), Path("dataset")
CONFIG = TrainingConfig(str(PARENT), str(DATASET), seed=7)


@pytest.fixture
def training(tmp_path: Path) -> CertifiedAdaptation:
    (tmp_path / "adapter").write_bytes(b"adapter")
    file = FileReference.store_path(tmp_path / "adapter", BlockStore(tmp_path / "blocks"))
    return CertifiedAdaptation(training_settings(CONFIG), {"training": 7}, {}, "any", file, file)


def test_the_settings_come_back(training: CertifiedAdaptation) -> None:
    assert certified_config(training, PARENT, DATASET) == CONFIG


@pytest.mark.parametrize("seeds", [{}, {"training": 31337}, {"training": 7, "x": 5}])
def test_a_seed_that_is_not_trained_with_is_refused(training: CertifiedAdaptation, seeds: dict[str, int]) -> None:
    with pytest.raises(TrainingConfigError, match="trains with 7"):
        certified_config(replace(training, seeds=seeds), PARENT, DATASET)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("learning_rate", json.dumps("x")),
        ("lora_dropout", json.dumps("a")),
        ("target_modules", "5"),
        ("target_modules", json.dumps("q_proj")),
        ("seed", "null"),
        ("batch_size", "1e400"),
        ("num_epochs", "1000000000000"),
        ("lora_rank", "1.5"),
        ("threads", "100000"),
        ("max_length", "["),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(training: CertifiedAdaptation, name: str, text: str) -> None:
    configuration = {**training.configuration, name: text}
    with pytest.raises(TrainingConfigError):
        certified_config(replace(training, configuration=configuration), PARENT, DATASET)
