"""The audit: every field that a configuration class of the installed transformers has is in the importer's tables."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, BertConfig, BertModel, GenerationConfig, MinistralConfig, PreTrainedConfig

from nexus_chain.program.errors import CheckpointLayoutError
from nexus_chain.program.families.bert import encoder_shape
from nexus_chain.program.families.configuration import decoder_shape, layer_windows, rotation
from nexus_chain.program.families.fields import ABSENT, FAMILIES, Harmless, Only, Read, read_fields
from nexus_chain.program.hugging_face import architecture
from tests.support.configurations import PUBLIC
from tests.support.random_checkpoints import FAMILIES as NETWORKS
from tests.support.random_checkpoints import SIZES, TOKENS

CLASSES: dict[str, type[Any]] = {name: classes[0] for name, classes in NETWORKS.items()} | {"bert": BertConfig}
#: What version 4 of transformers had in its base class and wrote into files.
VERSION_4 = (
    "add_cross_attention", "bad_words_ids", "begin_suppress_tokens", "bos_token_id", "chunk_size_feed_forward",
    "cross_attention_hidden_size", "decoder_start_token_id", "diversity_penalty", "do_sample", "early_stopping",
    "encoder_no_repeat_ngram_size", "eos_token_id", "exponential_decay_length_penalty", "finetuning_task",
    "forced_bos_token_id", "forced_eos_token_id", "id2label", "is_decoder", "is_encoder_decoder", "label2id",
    "length_penalty", "max_length", "min_length", "no_repeat_ngram_size", "num_beam_groups", "num_beams",
    "num_return_sequences", "output_attentions", "output_hidden_states", "output_scores", "pad_token_id",
    "problem_type", "pruned_heads", "remove_invalid_values", "repetition_penalty", "return_dict",
    "return_dict_in_generate", "sep_token_id", "suppress_tokens", "task_specific_params", "temperature",
    "tf_legacy_loss", "tie_encoder_decoder", "tie_word_embeddings", "tokenizer_class", "top_k", "top_p",
    "torch_dtype", "torchscript", "typical_p", "use_bfloat16",
)  # fmt: skip


def class_fields(kind: type[Any]) -> set[str]:
    return {one.name for one in fields(kind)} | set(kind().to_dict())


@pytest.mark.parametrize("family", CLASSES)
def test_every_field_of_the_configuration_class_is_known(family: str) -> None:
    known = set(FAMILIES[family])
    assert class_fields(CLASSES[family]) <= known
    assert class_fields(PreTrainedConfig) <= known
    assert set(CLASSES[family].attribute_map) <= known
    assert set(GenerationConfig._get_default_generation_params()) <= known
    assert set(VERSION_4) <= known
    assert "per_layer_config" in known
    assert family == "bert" or {"rope_scaling", "rope_theta", "original_max_position_embeddings"} <= known


def test_mistral_with_layer_types_has_no_field_more_than_the_class_that_runs_it() -> None:
    assert class_fields(MinistralConfig) <= set(FAMILIES["ministral"])


@pytest.mark.parametrize("family", CLASSES)
def test_defaults_are_those_of_the_configuration_class(family: str) -> None:
    stated = {one.name: one.default for one in fields(CLASSES[family]) if one.default is not MISSING}
    table = FAMILIES[family]
    for name, default in stated.items():
        row = table[name]
        if isinstance(row, Read) and row.default is not ABSENT:
            assert (name, row.default) == (name, default)
        elif isinstance(row, Only):
            assert (name, row.values[0]) == (name, default)
    if "rope_theta" in table:
        theta = table["rope_theta"]
        assert isinstance(theta, Read)
        assert theta.default == CLASSES[family].default_theta


@pytest.mark.parametrize("family", CLASSES)
def test_every_harmless_field_has_a_reason(family: str) -> None:
    assert all(row.reason for row in FAMILIES[family].values() if isinstance(row, Harmless))


#: Another value than the default, for fields of the classes that are said to be harmless.
OTHER_VALUES: dict[str, Any] = {
    "attention_dropout": 0.5, "attention_probs_dropout_prob": 0.5, "bos_token_id": 3, "chunk_size_feed_forward": 4,
    "classifier_dropout": 0.5, "eos_token_id": [4, 5], "hidden_dropout_prob": 0.5, "id2label": {0: "a"},
    "initializer_range": 0.5, "is_decoder": True, "label2id": {"a": 0}, "output_attentions": False,
    "output_hidden_states": True, "output_router_logits": True, "pad_token_id": 7, "pretraining_tp": 2,
    "problem_type": "regression", "return_dict": True, "router_aux_loss_coef": 0.5, "router_jitter_noise": 0.5,
    "tie_word_embeddings": False, "transformers_version": "4.1.0", "use_cache": False, "dtype": None,
    "_name_or_path": "elsewhere",
}  # fmt: skip


@torch.no_grad()
def outputs(model: Any) -> torch.Tensor:
    """Logits, or the last rows of an encoder."""
    found = model(TOKENS[None].long())
    rows: torch.Tensor = found.logits if "logits" in found else found.last_hidden_state
    return rows


@pytest.mark.parametrize("family", CLASSES)
def test_harmless_fields_change_nothing_of_what_transformers_computes(family: str) -> None:
    kind, network = NETWORKS.get(family, (BertConfig, BertModel))
    sizes = {name: value for name, value in SIZES.items() if isinstance(FAMILIES[family].get(name), Read)}
    torch.manual_seed(3)
    plain = network(kind(**sizes)).eval()
    expected = outputs(plain)
    harmless = {name for name in class_fields(kind) if isinstance(FAMILIES[family][name], Harmless)}
    for name in sorted(harmless):
        other = network(kind(**sizes, **{name: OTHER_VALUES[name]})).eval()
        other.load_state_dict(plain.state_dict())
        # A chunk of rows is multiplied in another order than all rows.
        assert torch.allclose(outputs(other), expected, atol=1e-5, rtol=0), name


@pytest.mark.parametrize("name", PUBLIC)
def test_public_configurations_are_understood(name: str, tmp_path: Path) -> None:
    config = PUBLIC[name]
    family = config["model_type"]
    assert architecture(config) == config["architectures"][0]
    found = read_fields(config, family)
    (tmp_path / "config.json").write_text(json.dumps(config))
    expected = AutoConfig.from_pretrained(tmp_path)
    if family == "bert":
        assert encoder_shape(found).width == expected.hidden_size
        return
    shape = decoder_shape(found)
    assert (shape.layers, shape.width, shape.vocab) == (
        expected.num_hidden_layers, expected.hidden_size, expected.vocab_size,
    )  # fmt: skip
    assert shape.kv_heads == expected.num_key_value_heads
    assert shape.rope_theta == expected.rope_parameters["rope_theta"]
    assert len(rotation(found, shape).frequencies) == shape.head_dim // 2


@pytest.mark.parametrize(
    ("family", "field", "value"),
    [
        ("llama", "embedding_multiplier", 12.0),
        ("llama", "residual_multiplier", 0.22),
        ("llama", "attention_multiplier", 0.0078125),
        ("llama", "logits_scaling", 8.0),
        ("llama", "scale_emb", 12),
        ("llama", "final_logit_softcapping", 30.0),
        ("llama", "query_pre_attn_scalar", 256),
        ("llama", "clip_qkv", 8.0),
        ("llama", "use_rope", False),
        ("llama", "no_rope_layers", [1, 0]),
        ("llama", "sliding_window", 8),
        ("llama", "layer_types", ["sliding_attention", "full_attention"]),
        ("llama", "attention_chunk_size", 8192),
        ("llama", "text_config", {"hidden_size": 64}),
        ("llama", "num_local_experts", 8),
        ("llama", "layer_norm_eps", 1e-5),
        ("llama", "compression_config", {"format": "int-quantized"}),
        ("mistral", "use_sliding_window", False),
        ("mixtral", "layer_types", ["full_attention", "full_attention"]),
        ("qwen2", "dual_chunk_attention_config", {"chunk_size": 262144}),
        ("bert", "rope_theta", 10000.0),
        ("bert", "embedding_size", 128),
    ],
)
def test_a_field_that_is_not_understood_is_refused_by_name_and_value(family: str, field: str, value: Any) -> None:
    with pytest.raises(CheckpointLayoutError) as caught:
        read_fields({field: value}, family)
    assert f"{field} = {value!r}" in str(caught.value)
    assert "Delete the field" in caught.value.advice
    assert field not in read_fields({field: None}, family)


@pytest.mark.parametrize(
    ("family", "field", "value"),
    [
        ("llama", "quantization_config", {"quant_method": "fp8"}),
        ("llama", "quantization_config", {}),
        ("llama", "auto_map", {"AutoModel": "modeling.Own"}),
        ("llama", "per_layer_config", {"0": {"intermediate_size": 32}}),
        ("llama", "hidden_act", "relu"),
        ("llama", "hidden_act", None),
        ("llama", "rope_interleaved", True),
        ("llama", "partial_rotary_factor", 0.5),
        ("llama", "is_causal", False),
        ("llama", "add_cross_attention", True),
        ("mistral", "attention_bias", True),
        ("qwen2", "mlp_bias", True),
        ("qwen2", "use_mrope", True),
        ("mixtral", "norm_topk_prob", False),
        ("bert", "is_decoder", True),
        ("bert", "pruned_heads", {"0": [1]}),
        ("bert", "hidden_act", "gelu_new"),
        ("bert", "position_embedding_type", "relative_key_query"),
    ],
)
def test_a_value_that_is_not_supported_is_refused_by_name(family: str, field: str, value: Any) -> None:
    with pytest.raises(CheckpointLayoutError, match=f"The field {field} of config.json is .*only .* is supported"):
        read_fields({field: value}, family)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_size", "64"),
        ("hidden_size", 64.0),
        ("num_hidden_layers", True),
        ("vocab_size", None),
        ("rms_norm_eps", "1e-5"),
        ("rms_norm_eps", float("nan")),
        ("rope_theta", "10000"),
        ("rope_theta", None),
        ("tie_word_embeddings", 1),
        ("attention_bias", "false"),
        ("rope_parameters", [1]),
        ("num_key_value_heads", 2.5),
    ],
)
def test_a_value_of_another_kind_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(CheckpointLayoutError, match=f"The field {field} of config.json has no usable value"):
        read_fields({field: value}, "llama")


def test_one_and_true_are_not_the_same_value() -> None:
    with pytest.raises(CheckpointLayoutError, match="rope_interleaved"):
        read_fields({"rope_interleaved": 0}, "llama")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"architectures": ["LlamaForCausalLM"], "model_type": "mistral"}, "LlamaForCausalLM.*'mistral'"),
        ({"architectures": ["BertModel"], "model_type": "roberta"}, "BertModel.*'roberta'"),
        ({"architectures": ["Qwen2ForCausalLM"], "auto_map": {"AutoModel": "own.Model"}}, "auto_map.*own.Model"),
        ({"architectures": ["LlamaForCausalLM"], "quantization_config": {}}, "quantization_config"),
        ({"architectures": ["LlamaForCausalLM"], "scale_emb": 12}, "scale_emb = 12"),
        ({"architectures": ["BertModel"], "hidden_size": "768"}, "hidden_size"),
    ],
)
def test_another_network_under_a_known_name_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointLayoutError, match=message) as caught:
        architecture(config)
    assert caught.value.advice


def test_windows_follow_the_types_of_layers() -> None:
    types = ["full_attention", "sliding_attention"]
    found = read_fields({**SIZES, "sliding_window": 16, "layer_types": types}, "mistral")
    assert layer_windows(found, decoder_shape(found), 0) == (0, 16)
    with pytest.raises(CheckpointLayoutError, match=r"layer_types .*no sliding_window"):
        layer_windows({**found, "sliding_window": None}, decoder_shape(found), 0)
