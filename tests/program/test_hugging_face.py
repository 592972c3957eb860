"""Importing Hugging Face checkpoints: agreement with transformers, and every way a folder can be wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from nexus_chain.engine.reference import ReferenceExecutor
from nexus_chain.program import ActivationBits, IntegerModel, Sampling, import_checkpoint, prove_no_overflow
from nexus_chain.program.descriptors import LONGEST_CONTEXT
from nexus_chain.program.errors import (
    CheckpointFileError,
    CheckpointLayoutError,
    NonFiniteWeightError,
    ProgramError,
    TensorMismatchError,
)
from tests.support.random_checkpoints import TOKENS, assert_close, checkpoint, float_logits

VARIANTS: dict[str, dict[str, Any]] = {
    "grouped": {},
    "multi_head": {"num_key_value_heads": 4},
    "multi_query": {"num_key_value_heads": 1},
    "tied": {"tie_word_embeddings": True},
    "attention_bias": {"attention_bias": True},
    "mlp_bias": {"mlp_bias": True},
    "wide_heads": {"head_dim": 32},
    "other_theta": {"rope_theta": 500000.0},
    "chunked_down": {"intermediate_size": 8320, "num_hidden_layers": 1},
}


def integer_logits(model: IntegerModel) -> torch.Tensor:
    trace = ReferenceExecutor(model.program, model.weights).run(TOKENS, 1, Sampling())
    return trace["head.logits"].double() / 4096


@pytest.mark.parametrize("variant", VARIANTS)
def test_imported_logits_are_those_of_transformers(tmp_path: Path, variant: str) -> None:
    original = checkpoint(tmp_path, **VARIANTS[variant])
    expected, found = float_logits(original), integer_logits(import_checkpoint(tmp_path))
    assert_close(expected, found)


def test_wider_rows_come_closer(tmp_path: Path) -> None:
    expected = float_logits(checkpoint(tmp_path))
    errors = [
        float((integer_logits(import_checkpoint(tmp_path, widths=bits)) - expected).pow(2).mean())
        for bits in (ActivationBits(8, 8, 8, 8, 8), ActivationBits(15, 15, 15, 15, 15))
    ]
    assert errors[1] < 0.6 * errors[0]


def test_imported_program_passes_the_overflow_proof_and_survives_saving(tmp_path: Path) -> None:
    checkpoint(tmp_path / "float", attention_bias=True, mlp_bias=True)
    model = import_checkpoint(tmp_path / "float")
    assert prove_no_overflow(model.program).bits <= 63
    model.save(tmp_path / "integer")
    again = IntegerModel.load(tmp_path / "integer")
    assert again.program == model.program
    assert all(torch.equal(again.weights[name], tensor) for name, tensor in model.weights.items())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_files_of_other_precision_give_what_their_values_are(tmp_path: Path, dtype: torch.dtype) -> None:
    model = checkpoint(tmp_path / "float")
    model.to(dtype).save_pretrained(tmp_path / "half")
    model.to(torch.float32).save_pretrained(tmp_path / "same_values")
    half, same = (import_checkpoint(tmp_path / name) for name in ("half", "same_values"))
    assert all(torch.equal(half.weights[name], tensor) for name, tensor in same.weights.items())


def test_a_tied_model_may_store_its_one_tensor_under_the_heads_name(tmp_path: Path) -> None:
    """Regression: of two names of one tensor safetensors keeps one; the other one was asked for."""
    real = checkpoint(tmp_path, tie_word_embeddings=True)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["lm_head.weight"] = tensors.pop("model.embed_tokens.weight")
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    assert_close(float_logits(real), integer_logits(import_checkpoint(tmp_path)))


@pytest.mark.parametrize("base", ["org/base", None])
def test_an_adapter_is_no_model(folder: Path, base: str | None) -> None:
    """Regression: an adapter beside a model was ignored, which transformers would have run the model with."""
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    told = "adapter_config.json of org/base" if base else r"adapter_config.json\)"
    with pytest.raises(CheckpointLayoutError, match=rf"{told}.*merge_and_unload"):
        import_checkpoint(folder)


def test_a_decoder_that_makes_embeddings_is_refused(folder: Path) -> None:
    (folder / "modules.json").write_text("[]")
    with pytest.raises(CheckpointLayoutError, match=r"modules.json makes an embedding model"):
        import_checkpoint(folder)


def test_a_sharded_checkpoint_is_the_single_one(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "single")
    model.save_pretrained(tmp_path / "sharded", max_shard_size="100KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
    single, sharded = (import_checkpoint(tmp_path / name) for name in ("single", "sharded"))
    assert single.program.ops == sharded.program.ops
    assert all(torch.equal(sharded.weights[name], tensor) for name, tensor in single.weights.items())


def test_large_embeddings_keep_their_top_bits(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    edit_tensors(tmp_path, lambda tensors: tensors.update({EMBEDDING: tensors[EMBEDDING] * 40}))
    model = import_checkpoint(tmp_path)
    shift = model.program.ops[0].params["shift"]
    assert shift > 0
    step = 2.0 ** (shift - 16)
    restored = model.weights["embed.table"].double() * step
    # Rounded to the nearest step: products and differences of these powers of two are exact in float64.
    assert (restored - load_file(tmp_path / FILE)[EMBEDDING].double()).abs().max() <= step / 2


def test_a_context_beyond_what_disputes_can_be_about_is_cut(folder: Path) -> None:
    edit_config(folder, max_position_embeddings=2 * LONGEST_CONTEXT)
    program = import_checkpoint(folder).program
    assert program.shape.context == LONGEST_CONTEXT
    assert program.weight_specs["tables.rope"].shape[0] == LONGEST_CONTEXT


def test_a_row_of_zeros_is_imported_as_zeros(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    edit_tensors(tmp_path, lambda tensors: tensors[LINEAR][3].zero_())
    model = import_checkpoint(tmp_path)
    assert not bool(model.weights["layers.1.attention.query.weight"][3].any())


EMBEDDING = "model.embed_tokens.weight"
LINEAR = "model.layers.1.self_attn.q_proj.weight"
FILE = "model.safetensors"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pristine")
    checkpoint(folder)
    return folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    """A fresh copy to break."""
    return Path(shutil.copytree(pristine, tmp_path / "checkpoint"))


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_tensors(folder: Path, change: Any) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / FILE).items()}
    change(tensors)
    save_file(tensors, folder / FILE)


def refusal(folder: Path, kind: type[ProgramError]) -> str:
    with pytest.raises(kind) as caught:
        import_checkpoint(folder)
    assert caught.value.advice
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"architectures": ["GPT2LMHeadModel"]},
            r"architectures of config.json names \['GPT2LMHeadModel'\].*LlamaForCausalLM",
        ),
        ({"architectures": None, "model_type": "bert"}, "architectures of config.json is missing .*'bert'"),
        ({"hidden_act": "gelu"}, "hidden_act of config.json is 'gelu', only 'silu'"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config .gptq.*already quantised"),
        ({"rope_parameters": {"rope_type": "su", "rope_theta": 1e4, "factor": 8}}, "'su' is not supported.*yarn"),
        ({"rope_scaling": {"type": "longrope", "factor": 2.0}}, "'longrope' is not supported"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8}}, "'llama3' .*low_freq_factor"),
        ({"rope_scaling": {"type": "linear", "factor": 0}}, "'linear' .* lacks a usable value"),
        ({"rope_scaling": "linear"}, "rope_scaling .*'linear' is not an object or null"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"num_attention_heads": 0}, "not positive|usable value"),
        ({"num_key_value_heads": 3}, "do not divide"),
        ({"head_dim": 15}, "odd"),
        ({"hidden_size": "wide"}, "usable value"),
    ],
)
def test_an_unsupported_configuration_is_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    edit_config(folder, **changes)
    with pytest.raises(CheckpointLayoutError, match=message):
        import_checkpoint(folder)


def test_a_folder_without_configuration_or_weights_is_refused(folder: Path) -> None:
    (folder / FILE).unlink()
    assert "neither model.safetensors nor" in refusal(folder, CheckpointLayoutError)
    (folder / "config.json").unlink()
    assert "has no config.json" in refusal(folder, CheckpointLayoutError)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000])
def test_a_broken_configuration_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    assert "config.json" in refusal(folder, CheckpointLayoutError)


def test_a_truncated_file_names_the_first_tensor_and_row_it_lost(folder: Path) -> None:
    content = (folder / FILE).read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    begin, _ = json.loads(content[8:start])[LINEAR]["data_offsets"]
    (folder / FILE).write_bytes(content[: start + begin + 10 * 64 * 4 + 7])
    assert f"tensor {LINEAR} is cut off from row 10 of 64" in refusal(folder, CheckpointFileError)


HEADERS = (b"[]", b'{"a": 1}', b'{"a": {"data_offsets": [0, 9], "shape": []}}', b"[" * 100_000)


@pytest.mark.parametrize(
    "content",
    [b"", b"not a safetensors file", b"\xff" * 64, *(len(header).to_bytes(8, "little") + header for header in HEADERS)],
)
def test_a_file_that_is_no_safetensors_is_refused(folder: Path, content: bytes) -> None:
    (folder / FILE).write_bytes(content)
    assert f"{FILE} ({len(content)} bytes) is truncated or not" in refusal(folder, CheckpointFileError)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_non_finite_weights_name_the_tensor_and_the_rows(folder: Path, value: float) -> None:
    def plant(tensors: dict[str, torch.Tensor]) -> None:
        tensors[LINEAR][[3, 7], 5] = value

    edit_tensors(folder, plant)
    assert f"Tensor {LINEAR} holds NaN or infinity in rows 3, 7" in refusal(folder, NonFiniteWeightError)


def test_many_non_finite_rows_are_counted(folder: Path) -> None:
    edit_tensors(folder, lambda tensors: tensors["model.norm.weight"].fill_(float("nan")))
    assert "rows 0, 1, 2, 3 and 60 more" in refusal(folder, NonFiniteWeightError)


def test_a_missing_tensor_is_named(folder: Path) -> None:
    edit_tensors(folder, lambda tensors: tensors.pop(LINEAR))
    assert f"Tensor {LINEAR} is missing from the checkpoint" in refusal(folder, TensorMismatchError)


def test_an_extra_tensor_is_named(folder: Path) -> None:
    edit_tensors(folder, lambda tensors: tensors.update({"model.layers.0.lora_A": torch.zeros(2, 2)}))
    assert "Tensor model.layers.0.lora_A is in the checkpoint" in refusal(folder, TensorMismatchError)


def test_a_bias_that_the_configuration_does_not_announce_is_refused(folder: Path) -> None:
    edit_tensors(folder, lambda tensors: tensors.update({LINEAR.replace("weight", "bias"): torch.zeros(64)}))
    assert "q_proj.bias is in the checkpoint" in refusal(folder, TensorMismatchError)


def test_missing_rows_are_named(folder: Path) -> None:
    edit_tensors(folder, lambda tensors: tensors.update({LINEAR: tensors[LINEAR][:60].clone()}))
    assert "has shape (60, 64) but config.json makes it (64, 64): rows 60 to 63 are missing" in refusal(
        folder, TensorMismatchError
    )


def test_a_vocabulary_that_contradicts_the_configuration_is_refused(folder: Path) -> None:
    edit_config(folder, vocab_size=90)
    assert "rows 90 to 95 are too many" in refusal(folder, TensorMismatchError)


def test_integer_weights_are_refused(folder: Path) -> None:
    edit_tensors(folder, lambda tensors: tensors.update({LINEAR: tensors[LINEAR].to(torch.int8)}))
    assert f"Tensor {LINEAR} has type I8" in refusal(folder, TensorMismatchError)


def test_leftover_rotary_buffers_are_ignored(folder: Path) -> None:
    before = import_checkpoint(folder)
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    edit_tensors(folder, lambda tensors: tensors.update({name: torch.zeros(8)}))
    after = import_checkpoint(folder)
    assert all(torch.equal(after.weights[key], value) for key, value in before.weights.items())


def sharded(folder: Path) -> dict[str, Any]:
    """Replace the single file of ``folder`` by shards; their index."""
    tensors = load_file(folder / FILE)
    (folder / FILE).unlink()
    names = sorted(tensors)
    files = {"one.safetensors": names[::2], "two.safetensors": names[1::2]}
    for file, held in files.items():
        save_file({name: tensors[name] for name in held}, folder / file)
    index = {"weight_map": {name: file for file, held in files.items() for name in held}}
    (folder / f"{FILE}.index.json").write_text(json.dumps(index))
    return index


def test_a_missing_shard_is_named(folder: Path) -> None:
    sharded(folder)
    (folder / "two.safetensors").unlink()
    assert "names two.safetensors, which is not in the folder" in refusal(folder, CheckpointLayoutError)


def test_a_shard_outside_the_folder_is_refused(folder: Path) -> None:
    index = sharded(folder)
    index["weight_map"][LINEAR] = "../elsewhere.safetensors"
    (folder / f"{FILE}.index.json").write_text(json.dumps(index))
    assert "not in the folder" in refusal(folder, CheckpointLayoutError)


def test_a_shard_without_the_tensor_its_index_promises_is_refused(folder: Path) -> None:
    index = sharded(folder)
    index["weight_map"][LINEAR] = {"one": "two", "two": "one"}[index["weight_map"][LINEAR][:3]] + ".safetensors"
    (folder / f"{FILE}.index.json").write_text(json.dumps(index))
    assert f"Tensor {LINEAR} is missing from" in refusal(folder, TensorMismatchError)


def test_a_tensor_that_the_index_does_not_name_is_refused(folder: Path) -> None:
    """One file would be refused for it, so its shards are too; also for a second copy of a tensor."""
    index = sharded(folder)
    edited = {**load_file(folder / "two.safetensors"), LINEAR: load_file(folder / index["weight_map"][LINEAR])[LINEAR]}
    assert index["weight_map"][LINEAR] == "one.safetensors"
    save_file(edited, folder / "two.safetensors")
    assert f"Tensor {LINEAR} is in two.safetensors, where" in refusal(folder, TensorMismatchError)


def test_an_index_of_nothing_is_refused(folder: Path) -> None:
    sharded(folder)
    (folder / f"{FILE}.index.json").write_text('{"weight_map": {}}')
    assert "names no tensor" in refusal(folder, CheckpointLayoutError)


@pytest.mark.parametrize("text", ["{", "{}", '{"weight_map": 3}'])
def test_a_broken_index_is_refused(folder: Path, text: str) -> None:
    sharded(folder)
    (folder / f"{FILE}.index.json").write_text(text)
    assert "has no weight map" in refusal(folder, CheckpointLayoutError)
