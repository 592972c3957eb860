"""GGUF files: the checkpoint that comes out against the one that went in, and against transformers' own reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGUFEndian, GGUFReader
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from nexus_chain.engine.engine import Engine
from nexus_chain.errors import NexusError
from nexus_chain.program import import_checkpoint
from nexus_chain.program.errors import CheckpointFileError, CheckpointLayoutError
from nexus_chain.program.gguf_import import convert_gguf, tensors
from nexus_chain.program.gguf_import.metadata import TENSOR_TYPES
from tests.support.gguf_files import Spelling, file_tensors, write_gguf
from tests.support.random_checkpoints import TOKENS, assert_close, checkpoint, float_logits

TRAITS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("llama", "llama", {}),
    "llama with biases": ("llama", "llama", {"attention_bias": True, "mlp_bias": True}),
    "llama with its own head size": ("llama", "llama", {"head_dim": 24}),
    "llama, tied": ("llama", "llama", {"tie_word_embeddings": True}),
    "mistral": ("mistral", "mistral", {"sliding_window": None}),
    "mistral with a window": ("mistral", "mistral", {"sliding_window": 16}),
    "qwen2": ("qwen2", "qwen2", {}),
    "qwen3": ("qwen3", "qwen3", {"head_dim": 24}),
    "qwen3, tied": ("qwen3", "qwen3", {"head_dim": 32, "tie_word_embeddings": True}),
}


def converted(path: Path) -> dict[str, Tensor]:
    """Tensors of the checkpoint in a GGUF file, written beside it."""
    convert_gguf(path, path.with_suffix(""))
    return load_file(path.with_suffix("") / "model.safetensors")


def integer_logits(folder: Path) -> Tensor:
    model = import_checkpoint(folder)
    return Engine(model.program, model.weights).logits(TOKENS).double() / 4096


@pytest.mark.parametrize("trait", TRAITS)
def test_the_same_integer_model_as_of_the_checkpoint(trait: str, tmp_path: Path) -> None:
    family, network, changes = TRAITS[trait]
    model = checkpoint(tmp_path / "one" / "tiny", family, **changes)
    window = {f"{network}.attention.sliding_window": changes.get("sliding_window")}
    path = write_gguf(tmp_path / "tiny.gguf", model, Spelling(network, values=window))
    for name, values in converted(path).items():
        assert torch.equal(values, model.state_dict()[name]), name
    original, found = import_checkpoint(tmp_path / "one" / "tiny"), import_checkpoint(tmp_path / "tiny")
    assert found.program.to_json() == original.program.to_json()
    assert all(torch.equal(found.weights[name], weight) for name, weight in original.weights.items())


def transformers_reading(path: Path) -> PreTrainedModel:
    found: PreTrainedModel = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    return found.eval()


@pytest.mark.parametrize("network", ["llama", "qwen2", "qwen3"])
def test_weights_and_logits_as_transformers_reads_the_file(network: str, tmp_path: Path) -> None:
    size = {"head_dim": 128} if network == "qwen3" else {}  # transformers reads no other size of this one
    path = write_gguf(tmp_path / "tiny.gguf", checkpoint(tmp_path / "one", network, **size), Spelling(network, "Q8_0"))
    theirs = transformers_reading(path)
    ours = converted(path)
    assert all(torch.equal(values, theirs.state_dict()[name]) for name, values in ours.items())
    assert_close(float_logits(theirs), integer_logits(path.with_suffix("")))


WIDE = {"hidden_size": 256, "intermediate_size": 256, "num_attention_heads": 4, "num_key_value_heads": 2}


@pytest.mark.parametrize("kind", TENSOR_TYPES)
def test_every_tensor_type(kind: str, tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "one", num_hidden_layers=1, **WIDE)
    path = write_gguf(tmp_path / "tiny.gguf", model, Spelling(kind=kind))
    ours, theirs = converted(path), transformers_reading(path).state_dict()
    assert set(ours) == set(theirs)
    stored = {"F16": torch.float16, "BF16": torch.bfloat16}.get(kind, torch.float32)
    assert ours["model.layers.0.mlp.up_proj.weight"].dtype == stored
    for name, values in ours.items():
        assert torch.equal(values.float(), theirs[name]), name


def test_large_files_become_shards_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = checkpoint(tmp_path / "one")
    path = write_gguf(tmp_path / "tiny.gguf", model)
    monkeypatch.setattr(tensors, "SHARD_BYTES", 40_000)
    monkeypatch.setattr(tensors, "BLOCK_BYTES", 1_000)
    convert_gguf(path, tmp_path / "sharded")
    assert len(list((tmp_path / "sharded").glob("model-*-of-*.safetensors"))) > 2
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "sharded").state_dict()
    assert all(torch.equal(found[name], values) for name, values in model.state_dict().items())


def read_config(tmp_path: Path, model: PreTrainedModel, spelling: Spelling) -> Any:
    convert_gguf(write_gguf(tmp_path / "tiny.gguf", model, spelling), tmp_path / "tiny")
    return AutoConfig.from_pretrained(tmp_path / "tiny")


ROPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "linear": ({"rope_type": "linear", "factor": 4.0}, {"type": "linear", "factor": 4.0}),
    "yarn": (
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
        {"type": "yarn", "factor": 4.0, "original_context_length": 16},
    ),
    "factor alone": ({"rope_type": "linear", "factor": 4.0}, {"factor": 4.0}),
    "none": ({"rope_type": "default"}, {"type": "none", "factor": 4.0}),
}


@pytest.mark.parametrize("kind", ROPES)
def test_rotary_scaling_by_keys(kind: str, tmp_path: Path) -> None:
    parameters, keys = ROPES[kind]
    model = checkpoint(tmp_path / "one", "qwen2", rope_parameters={"rope_theta": 5000.0, **parameters})
    values = {f"qwen2.rope.scaling.{key}": value for key, value in keys.items()}
    found = read_config(tmp_path, model, Spelling("qwen2", values=values)).rope_parameters
    assert {name: found[name] for name in ("rope_theta", *parameters)} == {"rope_theta": 5000.0, **parameters}
    assert_close(float_logits(model), integer_logits(tmp_path / "tiny"))


LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


def divisors(head: int, theta: float, factor: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What llama.cpp's converter writes for a checkpoint of Llama 3, as it computes it."""
    found = []
    for frequency in theta ** -(np.arange(0, head, 2) / head):
        length = 2 * np.pi / frequency
        smooth = (8192 / length - 1.0) / (4.0 - 1.0)
        found.append(1.0 if length < 8192 / 4 else factor if length > 8192 else 1 / ((1 - smooth) / factor + smooth))
    return np.array(found, dtype=np.float32)


def test_divisors_of_frequencies_are_llama_3s_scaling(tmp_path: Path) -> None:
    parameters = {"rope_theta": 500000.0, "rope_type": "llama3", "factor": 8.0, **LLAMA3}
    model = checkpoint(tmp_path / "one", rope_parameters=parameters, max_position_embeddings=16384)
    factors = {"rope_freqs.weight": divisors(16, 500000.0, 8.0)}
    found = read_config(tmp_path, model, Spelling(tensors=factors))
    assert found.rope_parameters == parameters
    original = import_checkpoint(tmp_path / "one").weights["tables.rope"]
    assert torch.equal(import_checkpoint(tmp_path / "tiny").weights["tables.rope"], original)


def test_a_window_in_a_file_of_llamas_architecture(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "one", "mistral", sliding_window=16)
    found = read_config(tmp_path, model, Spelling(values={"llama.attention.sliding_window": 16}))
    assert (found.model_type, found.sliding_window) == ("mistral", 16)
    assert_close(float_logits(model), integer_logits(tmp_path / "tiny"))


def test_numbers_are_those_before_rounding_to_float32(tmp_path: Path) -> None:
    found = read_config(tmp_path, checkpoint(tmp_path / "one", rms_norm_eps=1e-5), Spelling())
    assert (found.rms_norm_eps, found.max_position_embeddings) == (1e-5, 64)


REFUSED: dict[str, tuple[Spelling, str]] = {
    "architecture": (Spelling("gemma3"), "general.architecture is 'gemma3'"),
    "no size": (Spelling(values={"llama.block_count": None}), "llama.block_count is None"),
    "type": (Spelling(kind="MXFP4"), "has type MXFP4"),
    "experts": (Spelling(values={"llama.expert_count": 8}), "llama.expert_count is 8"),
    "split": (Spelling(values={"split.count": 3}), "split over 3 files"),
    "adapter": (Spelling(values={"general.type": "adapter"}), "general.type is 'adapter'"),
    "big endian": (Spelling(endian=GGUFEndian.BIG), "big endian"),
    "key": (Spelling(values={"llama.logit_scale": 2.0}), "llama.logit_scale is 2.0"),
    "tensor": (Spelling(tensors={"blk.0.attn_sinks.weight": np.zeros(4, np.float32)}), "blk.0.attn_sinks.weight"),
    "scaling": (Spelling(values={"llama.rope.scaling.type": "longrope"}), "'longrope'"),
    "factor": (
        Spelling(values={"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 2.0,
                         "llama.rope.scaling.attn_factor": 3.0}),
        "rope.scaling.attn_factor is 3.0",
    ),
    "part of a head": (Spelling(values={"llama.rope.dimension_count": 8}), "llama.rope.dimension_count is 8"),
    "divisors": (Spelling(tensors={"rope_freqs.weight": np.full(8, 3.0, np.float32)}), "rope_freqs.weight"),
    "layers of their own size": (Spelling(values={"llama.feed_forward_length": [160, 96]}), "[160, 96]"),
    "tokenizer": (Spelling(values={"tokenizer.ggml.model": "t5"}), "tokenizer.ggml.model is 't5'"),
    "splitting": (Spelling(values={"tokenizer.ggml.pre": "viking"}), "tokenizer.ggml.pre is 'viking'"),
    "twice": (Spelling(values={"tokenizer.ggml.tokens": ["a", "b", "a"]}), "'a' 2 times"),
    "no token": (Spelling(values={"tokenizer.ggml.tokens": None}), "0 tokens, the model embeds 96"),
    "merge": (Spelling(values={"tokenizer.ggml.merges": ["in side"]}), "no tokenizer"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_supported_is_named_before_anything_is_written(what: str, tmp_path: Path) -> None:
    spelling, message = REFUSED[what]
    path = write_gguf(tmp_path / "tiny.gguf", checkpoint(tmp_path / "one"), spelling)
    with pytest.raises(CheckpointLayoutError, match=r"^tiny\.gguf: ") as refusal:
        convert_gguf(path, tmp_path / "new" / "tiny")
    assert message in refusal.value.message
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", ["IQ2_XS", "Q2_K", "Q3_K", "TQ1_0", "Q8_1"])
def test_other_tensor_types_are_not_among_those_read(kind: str) -> None:
    assert kind in gguf.GGMLQuantizationType.__members__
    assert kind not in TENSOR_TYPES


def test_a_file_cut_anywhere_is_refused_or_whole(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", checkpoint(tmp_path / "one", num_hidden_layers=1))
    content = path.read_bytes()
    for length in [*range(0, 400, 7), *range(400, len(content) - 64, 9001)]:
        (tmp_path / "cut.gguf").write_bytes(content[:length])
        with pytest.raises(NexusError) as refusal:
            convert_gguf(tmp_path / "cut.gguf", tmp_path / "cut")
        assert isinstance(refusal.value, CheckpointFileError | CheckpointLayoutError)
        assert not (tmp_path / "cut").exists()


def test_the_order_of_rows_that_is_undone_is_the_converters(tmp_path: Path) -> None:
    """The file really holds other rows: a conversion that left them alone would be noticed."""
    model = checkpoint(tmp_path / "one")
    path = write_gguf(tmp_path / "tiny.gguf", model)
    name = "blk.0.attn_q.weight"
    held = next(tensor for tensor in GGUFReader(path).tensors if tensor.name == name)
    assert np.array_equal(held.data, file_tensors(model, "llama")[name])
    assert not np.array_equal(held.data, file_tensors(model, "qwen2")[name])
