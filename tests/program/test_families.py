"""Every decoder family against transformers on random weights: windows, biases, head norms, rotary scalings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from nexus_chain.engine.engine import Engine
from nexus_chain.program import ActivationBits, IntegerModel, import_checkpoint, prove_no_overflow
from nexus_chain.program.errors import CheckpointLayoutError, TensorMismatchError
from nexus_chain.program.rotary import scaled_rotation
from tests.program.test_hugging_face import EMBEDDING, edit_config, edit_tensors
from tests.support.random_checkpoints import SIZES, TOKENS, assert_close, checkpoint, float_logits

SCALED: dict[str, dict[str, Any]] = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "llama3": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
    "yarn_mscale": {
        "rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 16, "mscale": 1.0,
        "mscale_all_dim": 0.7, "beta_fast": 20, "beta_slow": 2, "truncate": False,
    },
}  # fmt: skip
WIDE = ActivationBits(15, 15, 15, 15, 15)
ROUTED = {"num_local_experts": 2}  # every row goes to both experts: none is chosen otherwise after rounding
LAYERED = ["full_attention", "sliding_attention"]
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "mistral": ("mistral", {"sliding_window": 8}),
    "mistral_wide_heads": ("mistral", {"sliding_window": 5, "head_dim": 32, "tie_word_embeddings": True}),
    "mistral_without_window": ("mistral", {"sliding_window": None}),
    "qwen2": ("qwen2", {}),
    "qwen2_window_from_a_layer_on": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1},
    ),
    "qwen2_window_by_layer": ("qwen2", {"use_sliding_window": True, "sliding_window": 9, "layer_types": LAYERED[::-1]}),
    "qwen2_window_turned_off": ("qwen2", {"use_sliding_window": False, "sliding_window": 6, "max_window_layers": 0}),
    "qwen3": ("qwen3", {"head_dim": 32}),
    "qwen3_biases_windows_tied": (
        "qwen3",
        {
            "head_dim": 8,
            "attention_bias": True,
            "tie_word_embeddings": True,
            "use_sliding_window": True,
            "sliding_window": 7,
            "max_window_layers": 1,
        },
    ),
    "qwen3_yarn": ("qwen3", {"head_dim": 16, "rope_parameters": {"rope_theta": 10000.0, **SCALED["yarn"]}}),
    **{
        f"llama_{name}": ("llama", {"rope_parameters": {"rope_theta": 10000.0, **scaling}})
        for name, scaling in SCALED.items()
    },
}


#: Fields as files state them, of a checkpoint saved with these changes; None drops a field.
STATED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "mistral_window_of_some_layers": ("mistral", {"sliding_window": 6}, {"layer_types": LAYERED}),
    "mistral_under_its_other_name": (
        "mistral",
        {"sliding_window": 6},
        {"layer_types": LAYERED[::-1], "model_type": "ministral", "architectures": ["MinistralForCausalLM"]},
    ),
    "qwen2_wide_heads": ("qwen2", {"head_dim": 32}, {}),
    "mixtral_defaults": ("mixtral", {"rms_norm_eps": 1e-5, **ROUTED}, {"rms_norm_eps": None, "rope_parameters": None}),
    "mixtral_experts_by_another_name": (
        "mixtral", ROUTED, {"num_experts": 2, "num_local_experts": None},
    ),
    "mixtral_window": ("mixtral", {"sliding_window": 7, **ROUTED}, {}),
    "mistral_heads_by_default": (
        "mistral",
        {"num_attention_heads": 8, "num_key_value_heads": 8, "sliding_window": None},
        {"num_key_value_heads": None, "rope_parameters": None},
    ),
    "qwen3_heads_by_default": ("qwen3", {"head_dim": 128}, {"head_dim": None}),
    "scaling_of_version_4_beside_rope_theta": (
        "llama", {},
        {"rope_parameters": None, "rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0}},
    ),
    "scaling_of_version_4_instead_of_the_newer_block": (
        "llama", {},
        {
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
            "rope_scaling": {"type": "linear", "factor": 4},
        },
    ),
    "both_blocks_with_a_base": (
        "llama", {},
        {
            "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 8.0},
            "rope_scaling": {"rope_type": "yarn", "rope_theta": 3e5, "factor": 2.0},
        },
    ),
    "base_in_the_block_and_beside_it": (
        "qwen2", {}, {"rope_theta": 10000.0, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
    ),
    "original_length_beside_the_block": (
        "llama", {},
        {
            "rope_parameters": None, "rope_theta": 5e5, "original_max_position_embeddings": 16,
            "rope_scaling": {"rope_type": "yarn", "factor": 4.0},
        },
    ),
    "original_length_beside_and_inside": (
        "llama", {},
        {
            "rope_parameters": {
                "rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
            },
            "original_max_position_embeddings": 16,
        },
    ),
    "yarn_factor_from_lengths": (
        "qwen3", {"head_dim": 16},
        {
            "rope_parameters": {
                "rope_type": "yarn", "rope_theta": 1e4, "factor": None, "original_max_position_embeddings": 8,
            },
        },
    ),
    "original_length_by_default": (
        "llama", {}, {"rope_parameters": {"type": "yarn", "factor": 4.0, "rope_theta": 1e4, "attention_factor": 1}},
    ),
    "dynamic_scaling_within_the_context": (
        "llama", {}, {"rope_parameters": None, "rope_theta": 1e4, "rope_scaling": {"type": "dynamic", "factor": 2.0}},
    ),
    "swish_is_silu": ("llama", {}, {"hidden_act": "swish"}),
    "a_zero_of_no_meaning": ("llama", {}, {"pretraining_tp": 4, "attention_dropout": 0.1, "do_sample": True}),
}  # fmt: skip


def integer_logits(model: IntegerModel) -> torch.Tensor:
    return Engine(model.program, model.weights).logits(TOKENS).double() / 4096


def state(folder: Path, fields: dict[str, Any]) -> None:
    """Write fields into config.json; one that is None is dropped from it."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **fields}
    path.write_text(json.dumps({name: value for name, value in config.items() if fields.get(name, 0) is not None}))


def reread(folder: Path) -> PreTrainedModel:
    """The network that transformers makes of a folder."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.eval()  # type: ignore[no-untyped-call]
    return model


@pytest.mark.parametrize("variant", VARIANTS)
def test_imported_logits_are_those_of_transformers(tmp_path: Path, variant: str) -> None:
    family, changes = VARIANTS[variant]
    original = checkpoint(tmp_path, family, **changes)
    model = import_checkpoint(tmp_path)
    assert_close(float_logits(original), integer_logits(model))
    assert prove_no_overflow(model.program).bits <= 63


@pytest.mark.parametrize("variant", STATED)
def test_fields_of_files_mean_what_transformers_reads(tmp_path: Path, variant: str) -> None:
    family, changes, stated = STATED[variant]
    checkpoint(tmp_path, family, **changes)
    state(tmp_path, stated)
    assert_close(float_logits(reread(tmp_path)), integer_logits(import_checkpoint(tmp_path, widths=WIDE)))


@pytest.mark.parametrize("family", ["llama", "mistral", "mixtral", "qwen2", "qwen3"])
def test_a_head_of_its_own_is_used_whatever_the_configuration_says(tmp_path: Path, family: str) -> None:
    checkpoint(tmp_path, family, **(ROUTED if family == "mixtral" else {}))
    edit_config(tmp_path, tie_word_embeddings=True)
    model = import_checkpoint(tmp_path, widths=WIDE)
    assert not model.program.shape.tied
    assert_close(float_logits(reread(tmp_path)), integer_logits(model))


def test_a_stored_copy_of_the_embedding_is_a_tied_head(tmp_path: Path) -> None:
    original = checkpoint(tmp_path, tie_word_embeddings=True)
    expected = import_checkpoint(tmp_path)
    edit_tensors(tmp_path, lambda tensors: tensors.update({"lm_head.weight": tensors[EMBEDDING].clone()}))
    model = import_checkpoint(tmp_path)
    assert model.program == expected.program
    assert model.program.shape.tied
    edit_tensors(tmp_path, lambda tensors: tensors.update({"lm_head.weight": tensors["lm_head.weight"][:-1]}))
    with pytest.raises(TensorMismatchError, match=r"lm_head\.weight has shape \(95, 64\)"):
        import_checkpoint(tmp_path)
    assert_close(float_logits(original), integer_logits(model))


@pytest.mark.parametrize("variant", ["mistral", "qwen2_window_by_layer", "llama_yarn"])
def test_what_a_family_adds_matters(tmp_path: Path, variant: str) -> None:
    """Without the window or the scaling, the same weights are another model: the test above would see it."""
    family, changes = VARIANTS[variant]
    expected = float_logits(checkpoint(tmp_path, family, **changes))
    plain = {"rope_type": "default", "rope_theta": 10000.0}
    edit_config(tmp_path, sliding_window=None, layer_types=None, rope_parameters=plain)
    found = integer_logits(import_checkpoint(tmp_path))
    assert float((expected - found).pow(2).mean().sqrt()) > 0.1 * float(expected.std())


@pytest.mark.parametrize("family", ["mistral", "qwen2", "qwen3"])
def test_half_precision_and_shards_give_what_their_values_are(tmp_path: Path, family: str) -> None:
    model = checkpoint(tmp_path / "float", family).to(torch.bfloat16)
    model.save_pretrained(tmp_path / "half", max_shard_size="60KB")
    assert len(list((tmp_path / "half").glob("*.safetensors"))) > 1
    model.to(torch.float32).save_pretrained(tmp_path / "same_values")
    half, same = (import_checkpoint(tmp_path / name) for name in ("half", "same_values"))
    assert all(torch.equal(half.weights[name], tensor) for name, tensor in same.weights.items())


@pytest.mark.parametrize("kind", SCALED)
def test_scaled_frequencies_are_those_of_transformers(kind: str) -> None:
    parameters = {"rope_theta": 500000.0, **SCALED[kind]}
    config = LlamaConfig(**{**SIZES, "head_dim": 64, "rope_parameters": dict(parameters)})
    expected, factor = ROPE_INIT_FUNCTIONS[parameters["rope_type"]](config, torch.device("cpu"))
    found = scaled_rotation(parameters["rope_type"], 64, 500000.0, parameters)
    # transformers computes in float32.
    assert torch.allclose(found.frequencies, expected.double(), rtol=1e-5, atol=0)
    assert found.factor == pytest.approx(factor)


def test_a_window_over_the_whole_context_is_none(tmp_path: Path) -> None:
    checkpoint(tmp_path, "mistral", sliding_window=64)
    assert import_checkpoint(tmp_path).program.shape.windows == ()
    edit_config(tmp_path, sliding_window=63)
    model = import_checkpoint(tmp_path)
    assert model.program.shape.windows == (63, 63)
    assert {op.params["window"] for op in model.program.ops if op.kind == "attention"} == {63}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer_types": ["full_attention"]}, "layer_types"),
        ({"layer_types": ["full_attention", "linear_attention"]}, "layer_types"),
        ({"layer_types": 3}, "layer_types"),
        ({"sliding_window": 0}, "sliding_window"),
        ({"sliding_window": "wide"}, "sliding_window"),
        ({"use_sliding_window": False, "layer_types": LAYERED}, "layer_types .* no sliding_window is in use"),
    ],
)
def test_windows_that_make_no_sense_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    checkpoint(tmp_path, "qwen2", use_sliding_window=True, sliding_window=6, max_window_layers=1)
    edit_config(tmp_path, **changes)
    with pytest.raises(CheckpointLayoutError, match=message):
        import_checkpoint(tmp_path)


THETAS_APART = {
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
    "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (THETAS_APART, "both rope_scaling and rope_parameters.*rope_theta = 1000000.0.*10000.0"),
        ({"rope_parameters": {"full_attention": {"rope_type": "default"}}}, "no parameter full_attention"),
        ({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "beta_fast": 32}}, "no parameter beta_fast: 32"),
        ({"rope_parameters": {"rope_type": "default", "factor": 2.0}}, "no parameter factor: 2.0"),
        ({"rope_parameters": {"rope_type": "linear", "factor": "2.0"}}, "factor is '2.0', no number"),
        ({"rope_parameters": {"rope_type": "linear", "factor": True}}, "factor is True, no number"),
        ({"rope_parameters": {"rope_type": None}}, "None is not supported"),
        ({"rope_parameters": {"rope_type": ["yarn"]}}, "'yarn'. is not supported"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "'factor'"),
        ({"rope_parameters": {"rope_type": "dynamic"}}, "'factor'"),
        ({"rope_parameters": {"rope_theta": "10000"}}, "rope_theta .* no usable value: '10000'"),
        ({"rope_parameters": {"rope_theta": -1.0}}, "rope_theta .* no usable value: -1.0"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
        ({"rope_parameters": {**SCALED["llama3"], "high_freq_factor": 1.0}}, "high_freq_factor 1.0"),
        (
            {"rope_parameters": SCALED["yarn"], "original_max_position_embeddings": None},
            "no usable original_max_position_embeddings: None",
        ),
    ],
)
def test_a_rotary_block_that_is_not_understood_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    checkpoint(tmp_path)
    edit_config(tmp_path, **changes)
    with pytest.raises(CheckpointLayoutError, match=message) as caught:
        import_checkpoint(tmp_path)
    assert caught.value.advice
