"""An encoder's integer program as the embedder of a memory: a small random one, with a tokenizer of bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nexus_chain.distillation.memory.embedder import MiniLmEmbedder
from nexus_chain.distillation.memory.persistence import CognitivePersistence
from nexus_chain.engine.embedding import embeddings
from nexus_chain.engine.engine import Engine
from nexus_chain.program import IntegerModel
from nexus_chain.versions.errors import ModelFilesError
from tests.support.memory_examples import example
from tests.support.small_encoder import saved_model

TEXTS = ["river", "a longer text about bread and water", "river", "x" * 500]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_model(tmp_path_factory.mktemp("encoder"), "tiny-encoder")


def test_rows_are_those_of_the_integer_program(encoder: Path) -> None:
    found = MiniLmEmbedder(encoder, threads=1).embed(TEXTS)
    assert found.shape == (4, 48)
    assert found.dtype == np.int32
    model = IntegerModel.load(encoder)
    engine = Engine(model.program, model.weights, 0, 2, threads=1)
    letters = [1, *map(ord, "river"), 2]
    assert found[0].tolist() == embeddings(engine, [torch.tensor(letters, dtype=torch.int32)])[0].tolist()
    cut = [1, *[ord("x")] * 93, 2]  # 95 of 96 positions, with the end in its place
    assert found[3].tolist() == embeddings(engine, [torch.tensor(cut, dtype=torch.int32)])[0].tolist()
    assert (found[0] == found[2]).all()


def test_the_name_is_that_of_the_files(encoder: Path, tmp_path: Path) -> None:
    name = MiniLmEmbedder(encoder, threads=1).name
    assert MiniLmEmbedder(saved_model(tmp_path / "same", "tiny-encoder"), threads=1).name == name
    assert MiniLmEmbedder(saved_model(tmp_path / "other", "tiny-encoder", seed=5), threads=1).name != name


def test_a_model_that_continues_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFilesError, match="a language model"):
        MiniLmEmbedder(saved_model(tmp_path / "decoder", "tiny"))


def test_a_memory_searches_by_an_encoder(encoder: Path, memory_url: str) -> None:
    with CognitivePersistence(memory_url, MiniLmEmbedder(encoder, threads=1)) as memory:
        kept = [example("river of the north"), example("bread"), example("a house with a garden")]
        memory.save_examples(kept)
        assert memory.embed_new() == 3
        for one in kept:
            assert memory.search(f"{one.prompt}\n{one.response}", 1, by="meaning") == [one]
