"""Property: a random configuration is read as transformers reads it, or refused."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM, BertConfig, BertModel

from nexus_chain.program.descriptors import ModelShape
from nexus_chain.program.errors import CheckpointLayoutError
from nexus_chain.program.families import llama, mistral, mixtral, qwen
from nexus_chain.program.families.bert import encoder_shape
from nexus_chain.program.families.bert import expected_tensors as bert_tensors
from nexus_chain.program.families.decoder import expected_tensors
from nexus_chain.program.families.experts import StackedExperts
from nexus_chain.program.families.fields import FAMILIES, Harmless, Read, read_fields
from nexus_chain.program.hugging_face import ARCHITECTURES, architecture
from nexus_chain.program.recipe import Recipe
from nexus_chain.program.rotary import PARAMETERS, Rotation

NAMES = {
    "LlamaForCausalLM": "llama", "MinistralForCausalLM": "ministral",
    "MistralForCausalLM": "mistral", "MixtralForCausalLM": "mixtral",
    "Qwen2ForCausalLM": "qwen2", "Qwen3ForCausalLM": "qwen3",
}  # fmt: skip
SIZES = {
    "hidden_size": 128, "num_attention_heads": 32, "num_hidden_layers": 2, "intermediate_size": 24, "vocab_size": 40,
}  # fmt: skip


#: How transformers fails over a configuration: it has no class of errors of its own for it.
FAILURES = (
    ValueError, TypeError, KeyError, AttributeError, IndexError, RuntimeError, ZeroDivisionError, StrictDataclassError,
)  # fmt: skip


class Carried(Exception):
    """Carries what a family read, past the tensors that no folder holds here."""

    def __init__(self, shape: ModelShape, turning: Rotation) -> None:
        self.shape, self.turning = shape, turning


class Unstored:
    """A checkpoint of a configuration alone."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def holds(self, name: str) -> bool:
        return True


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of the fields, each there or not."""
    return st.fixed_dictionaries({}, optional=fields)


def mostly(*usual: Any, odd: tuple[Any, ...] = (None,)) -> st.SearchStrategy[Any]:
    """One of the usual values, seldom an odd one."""
    return st.integers(0, 9).flatmap(lambda draw: st.sampled_from(odd if draw == 0 else usual))


NUMBERS = mostly(0.5, 1, 1.0, 2, 2.0, 4.0, 8, 32.0, odd=(None, "4.0", 0, True))
LENGTHS = mostly(16, 32, 64, 64.0, 8192)
KINDS = mostly("default", "linear", "dynamic", odd=("longrope", "su", None))
THETAS = mostly(10000, 10000.0, 500000.0, 1e6, odd=(None, "1e4", 0))
BETWEEN = {"original_max_position_embeddings": LENGTHS, "rope_theta": THETAS}
BLOCKS = st.one_of(
    st.none(),
    st.just({}),
    some(type=KINDS, rope_theta=THETAS),
    some(type=KINDS, rope_type=KINDS, factor=NUMBERS, **BETWEEN),
    st.fixed_dictionaries(
        {"rope_type": st.just("llama3"), "factor": NUMBERS, "low_freq_factor": NUMBERS, "high_freq_factor": NUMBERS},
        optional=BETWEEN,
    ),
    st.fixed_dictionaries(
        {"type": st.just("yarn"), "factor": NUMBERS},
        optional={
            "attention_factor": NUMBERS,
            "beta_fast": NUMBERS,
            "beta_slow": NUMBERS,
            "mscale": NUMBERS,
            "mscale_all_dim": NUMBERS,
            "truncate": st.sampled_from([True, False, None]),
            "partial_rotary_factor": mostly(1.0, odd=(0.5, None)),
            **BETWEEN,
        },
    ),
)
NESTED = st.just({"full_attention": {"rope_type": "default", "rope_theta": 1e4}})
LAYER_TYPES = st.one_of(
    st.none(),
    st.lists(st.sampled_from(["full_attention", "sliding_attention"]), min_size=2, max_size=2),
    st.lists(st.sampled_from(["full_attention", "chunked_attention"]), max_size=3),
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "num_key_value_heads": mostly(4, 8, 32, odd=(3, None, 0)),
    "head_dim": mostly(8, 12, 16, None, odd=(0, 7, "8")),
    "rms_norm_eps": mostly(1e-5, 1e-6, odd=(1, "1e-5")),
    "tie_word_embeddings": mostly(True, False),
    "max_position_embeddings": mostly(64, 128, 32768, odd=(0, None)),
    "rope_theta": THETAS,
    "rope_scaling": st.one_of(BLOCKS, BLOCKS, BLOCKS, NESTED),
    "rope_parameters": st.one_of(BLOCKS, BLOCKS, BLOCKS, NESTED),
    "original_max_position_embeddings": LENGTHS,
    "partial_rotary_factor": mostly(1.0, None, odd=(0.5,)),
    "attention_bias": mostly(True, False),
    "mlp_bias": mostly(True, False),
    "sliding_window": mostly(8, 64, 4096, None, odd=(0, "8")),
    "use_sliding_window": mostly(True, False),
    "max_window_layers": mostly(0, 1, 2, 28),
    "layer_types": LAYER_TYPES,
    "num_local_experts": mostly(2, 4),
    "num_experts": mostly(2, 4),
    "num_experts_per_tok": mostly(1, 2),
}


def configurations(family: str) -> st.SearchStrategy[dict[str, Any]]:
    """Configurations with some of the fields that a family reads."""
    return some(**{name: values for name, values in FIELDS.items() if isinstance(FAMILIES[family].get(name), Read)})


def ours(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Carried | None:
    """What the importer reads; None for a refusal."""

    def carried(_: Any, shape: ModelShape, turning: Rotation, *rest: Any) -> None:
        raise Carried(shape, turning)

    with monkeypatch.context() as patch:
        for module in (llama, mistral, mixtral, qwen):
            patch.setattr(module, "import_decoder", carried)
        try:
            ARCHITECTURES[config["architectures"][0]](Unstored(config), Recipe())  # type: ignore[arg-type]
        except CheckpointLayoutError:
            return None
        except Carried as found:
            return found
    raise AssertionError("nothing was read")


def theirs(config: dict[str, Any]) -> Any:
    """The network that transformers makes of a configuration and that runs; None where one of both fails."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        try:
            network = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))  # type: ignore[no-untyped-call]
            network(torch.zeros((1, 3), dtype=torch.long), use_cache=False)
        except FAILURES:
            return None
    return network


def their_windows(network: Any, context: int) -> tuple[int, ...]:
    config = network.config
    window = getattr(config, "sliding_window", None)
    types = getattr(config, "layer_types", None) or ["sliding_attention"] * config.num_hidden_layers
    if config.model_type == "llama" or window is None or window >= context:
        return ()
    found = tuple(window if kind == "sliding_attention" else 0 for kind in types)
    return found if any(found) else ()


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_is_read_as_transformers_reads_it_or_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_read = 0

    @settings(max_examples=250, deadline=None, derandomize=True, database=None)
    @given(configurations(NAMES[name]))
    def check(fields: dict[str, Any]) -> None:
        nonlocal both_read
        config = {**SIZES, **fields, "architectures": [name], "model_type": NAMES[name]}
        found = ours({**config}, monkeypatch)
        if found is None or (network := theirs(config)) is None:
            return
        both_read += 1
        rotary, read = network.model.rotary_emb, network.config
        assert torch.allclose(found.turning.frequencies, rotary.inv_freq.double(), rtol=1e-5, atol=0)
        assert found.turning.factor == pytest.approx(rotary.attention_scaling)
        shape = found.shape
        assert shape.context == min(read.max_position_embeddings, 16384)
        assert shape.rms_eps == read.rms_norm_eps
        assert shape.tied == read.tie_word_embeddings
        assert shape.windows == their_windows(network, shape.context)
        stored = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
        if shape.tied:
            stored.pop("lm_head.weight")
        assert expected_tensors(shape, StackedExperts(shape.ffn)) == stored
        if shape.experts:
            assert shape.experts_per_token == read.num_experts_per_tok

    check()
    assert both_read >= 20


PARAMETER_NAMES = sorted({name for names in PARAMETERS.values() for name in names} | {"full_attention"})
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**400), 10**400), st.floats(), st.text(max_size=4), NUMBERS),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(PARAMETER_NAMES), inner)),
    max_leaves=4,
)


@pytest.mark.parametrize("name", [*NAMES, "BertModel"])
def test_any_json_in_any_field_is_read_or_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = FAMILIES[NAMES.get(name, "bert")]
    fields = sorted(field for field, row in table.items() if not isinstance(row, Harmless))

    @settings(max_examples=250, deadline=None, derandomize=True, database=None)
    @given(st.dictionaries(st.sampled_from(fields), JSON, max_size=3))
    def check(changes: dict[str, Any]) -> None:
        config = {**SIZES, "architectures": [name], **changes}
        with suppress(CheckpointLayoutError):  # and no other error
            if architecture(config) == "BertModel":
                encoder_shape(read_fields(config, "bert"))
            else:
                ours(config, monkeypatch)

    check()


BERT_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "num_attention_heads": mostly(1, 2, 4, odd=(0, 5, 24, "4")),
    "intermediate_size": mostly(24, 8320, odd=(0, None)),
    "max_position_embeddings": mostly(8, 512, odd=(0, None)),
    "type_vocab_size": mostly(1, 2, 3, odd=(0, None, 2.0)),
    "layer_norm_eps": mostly(1e-12, 1e-5, odd=(1, "1e-12")),
    "hidden_act": mostly("gelu", "gelu_python", odd=("gelu_new", "relu", None)),
    "is_decoder": mostly(False, odd=(True,)),
}


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(some(**BERT_FIELDS))
def test_an_encoder_is_read_as_transformers_reads_it_or_refused(fields: dict[str, Any]) -> None:
    config = {**SIZES, "hidden_size": 48, "num_attention_heads": 4, **fields}
    try:
        read = read_fields(config, "bert")
        shape = encoder_shape(read)
    except CheckpointLayoutError:
        return
    try:
        network: Any = BertModel(BertConfig(**config), add_pooling_layer=False)  # type: ignore[no-untyped-call]
    except FAILURES:
        return
    stored = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    assert bert_tensors(shape, read["type_vocab_size"]) == stored
    assert shape.rms_eps == network.embeddings.LayerNorm.eps
    assert shape.head_dim == network.encoder.layer[0].attention.self.attention_head_size
    assert shape.context == network.config.max_position_embeddings
    rows = torch.linspace(-3, 3, 7)
    found = network.encoder.layer[0].intermediate.intermediate_act_fn(rows)
    assert torch.allclose(found, torch.nn.functional.gelu(rows), atol=1e-6)
