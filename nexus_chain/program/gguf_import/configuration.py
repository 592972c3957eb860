"""config.json of the checkpoint that a GGUF file was made from. A key that is not understood is refused by name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gguf.quants import dequantize

from nexus_chain.program.gguf_import.metadata import GgufFile, shape_of, type_of

ROPE_FACTORS = "rope_freqs.weight"
#: ``architectures`` of config.json by ``general.architecture``.
CLASSES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
#: Keys behind the architecture's name that are read below.
READ = {
    "context_length", "embedding_length", "block_count", "feed_forward_length", "vocab_size", "expert_count",
    "attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length",
    "attention.layer_norm_rms_epsilon", "attention.sliding_window", "rope.dimension_count", "rope.freq_base",
    "rope.scale_linear", "rope.scaling.type", "rope.scaling.factor", "rope.scaling.original_context_length",
    "rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor", "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow",
}  # fmt: skip
#: Keys that must have this value where they are there, or may have any (None) because they change no result.
HARMLESS: dict[str, Any] = {
    "expert_used_count": 0,
    "use_parallel_residual": False,
    "attention.causal": True,
    "pooling_type": 0,
    "rope.scaling.finetuned": None,
    "tensor_data_layout": None,
}
#: What Llama 3.1 and later say beside the factor: the divisors of :data:`ROPE_FACTORS` follow from them.
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


def configuration_of(file: GgufFile) -> dict[str, Any]:
    """config.json as plain values. Raises CheckpointLayoutError, CheckpointFileError."""
    _require_known(file)
    head = head_size(file)
    config: dict[str, Any] = {
        "model_type": file.network,
        "architectures": [CLASSES[file.network]],
        "hidden_act": "silu",
        "hidden_size": _size(file, "embedding_length"),
        "intermediate_size": _size(file, "feed_forward_length"),
        "num_hidden_layers": _size(file, "block_count"),
        "num_attention_heads": _size(file, "attention.head_count"),
        "num_key_value_heads": key_heads(file),
        "max_position_embeddings": _size(file, "context_length"),
        "rms_norm_eps": _number(file, "attention.layer_norm_rms_epsilon"),
        "rope_theta": _number(file, "rope.freq_base", 10000.0),
        "vocab_size": _vocabulary(file),
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "torch_dtype": "float32",
    }
    if file.network != "qwen2" or head * config["num_attention_heads"] != config["hidden_size"]:
        config["head_dim"] = head
    if scaling := _scaling(file, head, config["rope_theta"]):
        config["rope_scaling"] = scaling
    return {**config, **_biases(file), **_window(file), **_token_ids(file)}


def head_size(file: GgufFile) -> int:
    """Elements of a head, all of which turn. Raises CheckpointLayoutError."""
    size = int(
        file.of_network("attention.key_length")
        or file.of_network("rope.dimension_count")
        or _size(file, "embedding_length") // _size(file, "attention.head_count")
    )
    for key in ("attention.value_length", "rope.dimension_count"):
        if (found := file.of_network(key, size)) != size:
            file.refuse(f"{file.network}.{key} is {found}, only the head size of {size} is supported")
    return size


def key_heads(file: GgufFile) -> int:
    """Heads of keys and values."""
    return _size(file, "attention.head_count_kv", _size(file, "attention.head_count"))


def _require_known(file: GgufFile) -> None:
    for key in file.keys(f"{file.network}."):
        if key in READ:
            continue
        value = file.of_network(key)
        if key not in HARMLESS or HARMLESS[key] not in (None, value):
            file.refuse(f"{file.network}.{key} is {value!r}, which is not understood")


def _size(file: GgufFile, key: str, default: int | None = None) -> int:
    """A size that all layers share; some files write it once a layer."""
    value = file.of_network(key, default)
    sizes = set(value) if isinstance(value, list) else {value}
    if len(sizes) != 1 or not isinstance(size := sizes.pop(), int) or size < 1:
        file.refuse(f"{file.network}.{key} is {value!r}, not one positive size")
    return size


def _number(file: GgufFile, key: str, default: float | None = None) -> float:
    """A number as it was written before it was rounded to float32: 1e-05, not 9.99999974738e-06."""
    value = file.of_network(key, default)
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        file.refuse(f"{file.network}.{key} is {value!r}, not a number")
    return float(str(np.float32(value)))


def _vocabulary(file: GgufFile) -> int:
    if (table := file.tensors.get("token_embd.weight")) is None:
        file.refuse("there is no tensor token_embd.weight")
    return shape_of(table)[0]


def _biases(file: GgufFile) -> dict[str, bool]:
    """What the tensors say about biases, of architectures whose configuration has to say it."""
    if file.network == "llama":
        return {"attention_bias": "blk.0.attn_q.bias" in file.tensors, "mlp_bias": "blk.0.ffn_up.bias" in file.tensors}
    return {"attention_bias": "blk.0.attn_q.bias" in file.tensors} if file.network == "qwen3" else {}


def _window(file: GgufFile) -> dict[str, Any]:
    """The window that every layer has, or none."""
    window = file.of_network("attention.sliding_window") or None
    if file.network == "mistral":
        return {"sliding_window": window}
    if window is None:
        return {}
    if file.network == "llama":  # its configuration cannot say it; the network with a window is Mistral's
        return {"model_type": "mistral", "architectures": [CLASSES["mistral"]], "sliding_window": window}
    return {"use_sliding_window": True, "sliding_window": window, "max_window_layers": 0}


def _token_ids(file: GgufFile) -> dict[str, int]:
    names = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}
    found = {name: file.value(f"tokenizer.ggml.{key}_token_id") for name, key in names.items()}
    return {name: value for name, value in found.items() if isinstance(value, int)}


def _scaling(file: GgufFile, head: int, theta: float) -> dict[str, Any] | None:
    """``rope_scaling``; None where positions turn as they are. A factor without a type is a linear one's."""
    kind = file.of_network("rope.scaling.type", "linear")
    if kind not in ("none", "linear", "yarn"):
        file.refuse(f"{file.network}.rope.scaling.type is {kind!r}, only 'linear' and 'yarn' are supported")
    factor = _number(file, "rope.scaling.factor", file.of_network("rope.scale_linear", 1.0))
    scaled = kind != "none" and factor != 1.0
    divided = _divided(file, head, theta)
    if divided and scaled:
        file.refuse(f"it has both {file.network}.rope.scaling.type {kind!r} and {ROPE_FACTORS}")
    if not scaled:
        return divided
    return {"rope_type": kind, "factor": factor, **(_yarn(file) if kind == "yarn" else {})}


def _yarn(file: GgufFile) -> dict[str, Any]:
    for key in ("attn_factor", "yarn_attn_factor", "yarn_ext_factor"):
        if (value := file.of_network(f"rope.scaling.{key}", 1.0)) != 1.0:
            file.refuse(f"{file.network}.rope.scaling.{key} is {value}, only 1 is supported")
    found = {
        "original_max_position_embeddings": file.of_network("rope.scaling.original_context_length"),
        "beta_fast": file.of_network("rope.scaling.yarn_beta_fast"),
        "beta_slow": file.of_network("rope.scaling.yarn_beta_slow"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _divided(file: GgufFile, head: int, theta: float) -> dict[str, Any] | None:
    """``rope_scaling`` of Llama 3, from what every pair's frequency is divided by."""
    if (tensor := file.tensors.get(ROPE_FACTORS)) is None:
        return None
    divisors = dequantize(tensor.data, type_of(tensor)).reshape(-1).astype(np.float64)
    factor = float(divisors.max(initial=1.0))
    if bool((divisors == 1.0).all()):
        return None
    if len(divisors) != head // 2 or not np.allclose(divisors, _llama3_divisors(head, theta, factor), rtol=1e-4):
        file.refuse(f"tensor {ROPE_FACTORS} holds other divisors than Llama 3's, which are the only ones supported")
    return {"rope_type": "llama3", "factor": factor, **LLAMA3}


def _llama3_divisors(head: int, theta: float, factor: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """f64[head / 2]: 1 for fast pairs, ``factor`` for slow ones, and a smooth way between."""
    low, high, context = LLAMA3.values()
    turns = context * theta ** (-np.arange(0, head, 2) / head) / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return 1 / ((1 - smooth) / factor + smooth)
