"""Every decoder family against transformers on random weights: windows, biases, head norms, rotary scalings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from nexus_chain.engine.engine import Engine
from nexus_chain.program import IntegerModel, import_checkpoint, prove_no_overflow
from nexus_chain.program.errors import CheckpointLayoutError
from nexus_chain.program.rotary import scaled_rotation
from tests.program.test_hugging_face import edit_config
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


def integer_logits(model: IntegerModel) -> torch.Tensor:
    return Engine(model.program, model.weights).logits(TOKENS).double() / 4096


@pytest.mark.parametrize("variant", VARIANTS)
def test_imported_logits_are_those_of_transformers(tmp_path: Path, variant: str) -> None:
    family, changes = VARIANTS[variant]
    original = checkpoint(tmp_path, family, **changes)
    model = import_checkpoint(tmp_path)
    assert_close(float_logits(original), integer_logits(model))
    assert prove_no_overflow(model.program).bits <= 63


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
    ],
)
def test_windows_that_make_no_sense_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    checkpoint(tmp_path, "qwen2", use_sliding_window=True, sliding_window=6, max_window_layers=1)
    edit_config(tmp_path, **changes)
    with pytest.raises(CheckpointLayoutError, match=message):
        import_checkpoint(tmp_path)
