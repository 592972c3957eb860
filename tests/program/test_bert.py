"""Importing BERT encoders: embeddings are those of transformers, and what cannot be imported is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM, BertModel

from nexus_chain.engine.embedding import embeddings
from nexus_chain.engine.engine import Engine
from nexus_chain.program import ActivationBits, IntegerModel, Recipe, import_checkpoint, prove_no_overflow
from nexus_chain.program.errors import CheckpointLayoutError, RecipeError, TensorMismatchError
from nexus_chain.program.recipe import RECIPE_FILE
from tests.program.test_hugging_face import edit_config

SIZES: dict[str, Any] = {
    "vocab_size": 90, "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 40, "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.0,
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "one_head": {"num_attention_heads": 1},
    "large_epsilon": {"layer_norm_eps": 1e-2},
    "one_type": {"type_vocab_size": 1},
    "chunked_down": {"intermediate_size": 8320, "num_hidden_layers": 1},
}
FILE = "model.safetensors"
LINEAR = "encoder.layer.1.attention.self.query.weight"
TEXTS = [torch.randint(0, 90, (n,), generator=torch.Generator().manual_seed(n)).int() for n in (1, 2, 17, 40)]


def checkpoint(folder: Path, **changes: Any) -> BertModel:
    """A randomly initialised encoder saved in ``folder``; norms, biases and types are random too."""
    torch.manual_seed(11)
    model = BertModel(BertConfig(**{**SIZES, **changes})).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "LayerNorm.weight" in name:
                parameter.copy_(0.5 + torch.rand_like(parameter))
            else:
                parameter.normal_(std=0.3 if name.endswith("bias") else 0.15)
    model.save_pretrained(folder)
    return model


@torch.no_grad()
def expected_embeddings(model: BertModel) -> torch.Tensor:
    return torch.stack([model(text[None].long()).last_hidden_state[0].mean(dim=0) for text in TEXTS]).double()


def integer_embeddings(model: IntegerModel) -> torch.Tensor:
    engine = Engine(model.program, model.weights, 0, model.program.shape.layers - 1)
    return embeddings(engine, TEXTS).double() / 2**16


@pytest.mark.parametrize("variant", VARIANTS)
def test_imported_embeddings_are_those_of_transformers(tmp_path: Path, variant: str) -> None:
    expected = expected_embeddings(checkpoint(tmp_path, **VARIANTS[variant]))
    found = integer_embeddings(import_checkpoint(tmp_path))
    assert float(torch.nn.functional.cosine_similarity(expected, found).min()) > 0.9995
    assert float((expected - found).pow(2).mean().sqrt()) < 0.02 * float(expected.std())


def test_wider_rows_come_closer(tmp_path: Path) -> None:
    expected = expected_embeddings(checkpoint(tmp_path))
    errors = [
        float((integer_embeddings(import_checkpoint(tmp_path, widths=ActivationBits(*bits))) - expected).pow(2).mean())
        for bits in ((8, 8, 8, 8), (15, 15, 15, 15))
    ]
    assert errors[1] < 0.6 * errors[0]


def test_an_imported_encoder_passes_the_overflow_proof_and_survives_saving(tmp_path: Path) -> None:
    checkpoint(tmp_path / "float")
    model = import_checkpoint(tmp_path / "float")
    assert prove_no_overflow(model.program).bits <= 63
    assert model.program.shape.layers == SIZES["num_hidden_layers"] + 1
    model.save(tmp_path / "integer")
    again = IntegerModel.load(tmp_path / "integer")
    assert again.program == model.program
    assert all(torch.equal(again.weights[name], tensor) for name, tensor in model.weights.items())


def test_a_recipe_widens_rows_of_one_layer_only(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    model = import_checkpoint(tmp_path, recipe=Recipe(ActivationBits(8, 8, 8, 8), wider=("1.mlp_input",)))
    wide = [op.name for op in model.program.ops if op.params.get("bits") == 15]
    assert wide == ["layers.1.mlp.input.quantise", "layers.1.mlp.up"]
    with pytest.raises(RecipeError, match=r"no rows named 2\.mlp_input"):
        import_checkpoint(tmp_path, recipe=Recipe(wider=("2.mlp_input",)))
    with pytest.raises(RecipeError, match="not smoothed"):
        import_checkpoint(tmp_path, recipe=Recipe(smoothing={"0.mlp": (0,) * 96}))


def test_rows_have_15_bits_unless_a_recipe_says_otherwise(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    assert {op.params["bits"] for op in import_checkpoint(tmp_path).program.ops if "bits" in op.params} == {15}
    (tmp_path / RECIPE_FILE).write_text(Recipe(ActivationBits(8, 8, 8, 8)).to_json())
    assert {op.params["bits"] for op in import_checkpoint(tmp_path).program.ops if "bits" in op.params} == {8}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pristine")
    checkpoint(folder)
    return folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    """A fresh copy to break."""
    return Path(shutil.copytree(pristine, tmp_path / "checkpoint"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_act": "gelu_new"}, "hidden_act of config.json is 'gelu_new', only 'gelu'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type .* only 'absolute'"),
        ({"is_decoder": True}, "is_decoder of config.json is True"),
        ({"add_cross_attention": True}, "add_cross_attention"),
        ({"num_attention_heads": 5}, "does not divide into 5 heads"),
        ({"num_attention_heads": 16}, "Head size 3 is odd"),
        ({"num_hidden_layers": 0}, "not positive"),
        ({"hidden_size": 8200, "num_attention_heads": 4}, "more than the 8192"),
        ({"max_position_embeddings": None}, "usable value"),
        ({"architectures": ["BertForMaskedLM"]}, "BertForMaskedLM.*not supported"),
    ],
)
def test_an_unsupported_configuration_is_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    edit_config(folder, **changes)
    with pytest.raises(CheckpointLayoutError, match=message) as caught:
        import_checkpoint(folder)
    assert caught.value.advice


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"pooling_mode_mean_tokens": false, "pooling_mode_cls_token": true}', "does not choose"),
        ('{"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true}', "does not choose"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
    ],
)
def test_another_pooling_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(text)
    with pytest.raises(CheckpointLayoutError, match=message):
        import_checkpoint(folder)


def test_mean_pooling_is_what_is_imported(folder: Path) -> None:
    (folder / "1_Pooling").mkdir()
    modes = {"word_embedding_dimension": 48, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    assert import_checkpoint(folder).program.is_encoder


def test_missing_extra_and_masked_language_tensors_are_named(folder: Path, tmp_path: Path) -> None:
    tensors = load_file(folder / FILE)
    save_file({name: tensor for name, tensor in tensors.items() if name != LINEAR}, folder / FILE)
    with pytest.raises(TensorMismatchError, match=f"Tensor {LINEAR} is missing"):
        import_checkpoint(folder)
    save_file({**tensors, "lora": torch.zeros(2, 2)}, folder / FILE)
    with pytest.raises(TensorMismatchError, match="Tensor lora is in the checkpoint"):
        import_checkpoint(folder)
    BertForMaskedLM(BertConfig(**SIZES)).save_pretrained(tmp_path / "masked")
    edit_config(tmp_path / "masked", architectures=["BertModel"])
    with pytest.raises(TensorMismatchError, match=r"cls\.predictions.* in the checkpoint"):
        import_checkpoint(tmp_path / "masked")
