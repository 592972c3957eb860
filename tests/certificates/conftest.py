"""Fixtures: a tiny trained and measured folder, and its publication."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_chain.certificates.measurement import measure_folder
from nexus_chain.content.block_store import BlockStore
from tests.support.tiny_distillation import Distilled, distil
from tests.support.tiny_publication import HELD_OUT, TRAINING, FloatModel, Published, publish, train


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    train(folder)
    measure_folder(folder, TRAINING, HELD_OUT, FloatModel(folder), sample_tokens=150)
    return folder


@pytest.fixture(scope="session")
def published(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish(trained, BlockStore(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="session")
def distilled(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Distilled:
    return distil(published, tmp_path_factory.mktemp("distilled"), published.store)
