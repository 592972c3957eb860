"""Checkpoints whose tensors have other names: mapped where the names are known, shown where they are not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from nexus_chain.program import IntegerModel, import_checkpoint
from nexus_chain.program.errors import TensorMismatchError
from nexus_chain.program.tensor_names import expected_name
from nexus_chain.quality.errors import FloatModelError
from nexus_chain.quality.float_model import FloatModel
from tests.support.random_checkpoints import TOKENS, checkpoint, float_logits

FILE = "model.safetensors"
Renaming = Callable[[str], str]


def without_model(name: str) -> str:
    return name.removeprefix("model.")


SPELLINGS: dict[str, Renaming] = {
    "a base model": without_model,
    "compiled": lambda name: f"_orig_mod.{name}",
    "distributed": lambda name: f"module.{name}",
    "distributed and compiled": lambda name: f"module._orig_mod.{name}",
    "an adapter's base": lambda name: f"base_model.model.{name}",
    "in a larger model": lambda name: f"language_model.{name}",
    "in a larger model, newer": lambda name: name.replace("model.", "model.language_model.", 1),
    "transformer": lambda name: f"transformer.{without_model(name)}",
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain") / "tiny"
    checkpoint(folder)
    return folder


def renamed(plain: Path, folder: Path, renaming: Renaming) -> Path:
    shutil.copytree(plain, folder)
    save_file(
        {renaming(name): value for name, value in load_file(plain / FILE).items()}, folder / FILE, {"format": "pt"}
    )
    return folder


def assert_same(found: IntegerModel, expected: IntegerModel) -> None:
    assert all(torch.equal(found.weights[name], value) for name, value in expected.weights.items())


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_known_prefixes_are_mapped_for_the_integer_and_the_float_model(
    spelling: str, plain: Path, tmp_path: Path
) -> None:
    folder = renamed(plain, tmp_path / "tiny", SPELLINGS[spelling])
    assert_same(import_checkpoint(folder), import_checkpoint(plain))
    assert torch.equal(FloatModel(folder).logits(TOKENS), FloatModel(plain).logits(TOKENS))


def test_shards_with_other_names(plain: Path, tmp_path: Path) -> None:
    folder = renamed(plain, tmp_path / "tiny", without_model)
    tensors = load_file(folder / FILE)
    (folder / FILE).unlink()
    index = {name: f"model-0000{1 + place % 2}-of-00002.safetensors" for place, name in enumerate(tensors)}
    for shard in set(index.values()):
        save_file({name: tensors[name] for name in tensors if index[name] == shard}, folder / shard, {"format": "pt"})
    (folder / f"{FILE}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    assert_same(import_checkpoint(folder), import_checkpoint(plain))
    assert torch.equal(FloatModel(folder).logits(TOKENS), FloatModel(plain).logits(TOKENS))


def test_unknown_names_are_shown(plain: Path, tmp_path: Path) -> None:
    folder = renamed(plain, tmp_path / "tiny", lambda name: f"decoder.{name}")
    with pytest.raises(TensorMismatchError) as refusal:
        import_checkpoint(folder)
    assert "model.embed_tokens.weight" in refusal.value.message
    assert "it holds 21 that are not expected, such as decoder.lm_head.weight, decoder.model." in refusal.value.message


def test_two_tensors_of_one_name_are_refused(plain: Path, tmp_path: Path) -> None:
    folder = renamed(plain, tmp_path / "tiny", str)
    tensors = load_file(folder / FILE)
    save_file({**tensors, "norm.weight": torch.ones(64)}, folder / FILE, {"format": "pt"})
    with pytest.raises(TensorMismatchError, match=r"model\.norm\.weight and norm\.weight both stand for model\.norm"):
        import_checkpoint(folder)


@pytest.mark.parametrize("buffer", ["rotary_emb.inv_freq", "rotary_emb.cos_cached", "rotary_emb.sin_cached"])
def test_buffers_of_old_versions_are_left_aside(buffer: str, plain: Path, tmp_path: Path) -> None:
    folder = renamed(plain, tmp_path / "tiny", str)
    held = {**load_file(folder / FILE), f"model.layers.0.self_attn.{buffer}": torch.ones(8)}
    save_file(held, folder / FILE, {"format": "pt"})
    assert_same(import_checkpoint(folder), import_checkpoint(plain))


def test_old_names_of_norms_in_an_encoder() -> None:
    assert expected_name("bert.encoder.layer.0.output.LayerNorm.gamma") == "encoder.layer.0.output.LayerNorm.weight"
    assert expected_name("bert.embeddings.LayerNorm.beta") == "embeddings.LayerNorm.bias"


def test_an_encoder_of_old_names_imports_as_the_new_one(tmp_path: Path) -> None:
    torch.manual_seed(3)
    sizes = {"vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertModel(BertConfig(**sizes, intermediate_size=64, max_position_embeddings=32)).save_pretrained(tmp_path / "tiny")

    def old(name: str) -> str:
        return "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")

    folder = renamed(tmp_path / "tiny", tmp_path / "old" / "tiny", old)
    assert_same(import_checkpoint(folder), import_checkpoint(tmp_path / "tiny"))


def test_the_float_model_makes_nothing_up(plain: Path, tmp_path: Path) -> None:
    folder = renamed(plain, tmp_path / "tiny", str)
    held = load_file(folder / FILE)
    del held["model.layers.1.mlp.up_proj.weight"]
    save_file(held, folder / FILE, {"format": "pt"})
    with pytest.raises(FloatModelError, match=r"no model\.layers\.1\.mlp\.up_proj\.weight .*1 in all"):
        FloatModel(folder)


@pytest.mark.parametrize("tied", [True, False])
def test_a_tied_head_is_nothing_made_up(tied: bool, tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "tiny", tie_word_embeddings=tied)
    assert torch.equal(FloatModel(tmp_path / "tiny").logits(TOKENS).double(), float_logits(model))


def test_one_file_goes_before_shards_for_both_models(plain: Path, tmp_path: Path) -> None:
    folder = renamed(plain, tmp_path / "tiny", str)
    other = {name: value + 1 for name, value in load_file(folder / FILE).items()}
    save_file(other, folder / "model-00001-of-00001.safetensors", {"format": "pt"})
    index = {"metadata": {}, "weight_map": dict.fromkeys(other, "model-00001-of-00001.safetensors")}
    (folder / f"{FILE}.index.json").write_text(json.dumps(index))
    assert_same(import_checkpoint(folder), import_checkpoint(plain))
    assert torch.equal(FloatModel(folder).logits(TOKENS), FloatModel(plain).logits(TOKENS))
