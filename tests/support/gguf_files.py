"""Small GGUF files: checkpoints as llama.cpp's converter would write them, and tokenizers of both kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFEndian, GGUFWriter
from numpy.typing import NDArray
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedModel

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
#: Bytes of a block, and where its float16 factors are, of types that no Python code quantises to.
BLOCKS = {"Q4_K": (144, (0, 2)), "Q5_K": (176, (0, 2)), "Q6_K": (210, (208,))}


@dataclass
class Spelling:
    """How a file is written; ``values`` are keys to write (or to leave out: None) in place of the usual ones."""

    network: str = "llama"
    kind: str = "F32"
    values: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    endian: GGUFEndian = GGUFEndian.LITTLE


def write_gguf(path: Path, model: PreTrainedModel, spelling: Spelling | None = None) -> Path:
    """The GGUF file of a model of the llama family, with a byte-level tokenizer of all bytes."""
    chosen = spelling or Spelling()
    writer = GGUFWriter(path, chosen.network, endianess=chosen.endian)
    values = {**sizes(model.config, chosen.network), **byte_level_tokenizer(model.config.vocab_size), **chosen.values}
    for key, value in values.items():
        if value is not None and key != "general.architecture":
            _add_value(writer, key, value)
    for name, values_of in {**file_tensors(model, chosen.network), **chosen.tensors}.items():
        _add_tensor(writer, name, values_of, chosen.kind if values_of.ndim > 1 else "F32")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def sizes(config: Any, network: str) -> dict[str, Any]:
    """The keys of a network's sizes."""
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    found = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.key_length": head,
        "attention.value_length": head,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "rope.dimension_count": head,
        "rope.freq_base": float(config.rope_parameters["rope_theta"]),
        "vocab_size": config.vocab_size,
    }
    return {f"{network}.{key}": value for key, value in found.items()}


def byte_level_tokenizer(vocab: int) -> dict[str, Any]:
    """Keys of a tokenizer of single bytes, then merges, then two control tokens; unused tokens fill the rest."""
    letters = sorted(ByteLevel.alphabet())[: vocab - 3]
    tokens = [*letters, "in", "<|start|>", "<|end|>"]
    unused = [f"[PAD{number}]" for number in range(vocab - len(tokens))]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": [*tokens, *unused],
        "tokenizer.ggml.token_type": [*[NORMAL] * (len(letters) + 1), CONTROL, CONTROL, *[5] * len(unused)],
        "tokenizer.ggml.merges": ["i n"],
        "tokenizer.ggml.bos_token_id": len(letters) + 1,
        "tokenizer.ggml.eos_token_id": len(letters) + 2,
    }


def sentence_pieces(pieces: Sequence[str]) -> dict[str, Any]:
    """Keys of a SentencePiece tokenizer with byte fallback; ``pieces`` from the most likely on."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": None,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * 259 + [-float(number) for number in range(len(pieces))],
        "tokenizer.ggml.token_type": [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * len(pieces)],
        "tokenizer.ggml.merges": None,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }


def file_tensors(model: PreTrainedModel, network: str) -> dict[str, NDArray[np.float32]]:
    """Every tensor by its name in the file, rows of queries and keys in the file's order."""
    found = {}
    tied = model.config.tie_word_embeddings
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and tied:
            continue
        values = tensor.float().numpy()
        if network in ("llama", "mistral"):
            values = _permuted(name, values, model.config)
        found[_file_name(name)] = values
    return found


def _file_name(name: str) -> str:
    module, _, part = name.rpartition(".")
    if not module.startswith("model.layers."):
        return f"{NAMES[module]}.{part}"
    _, _, layer, inner = module.split(".", 3)
    return f"blk.{layer}.{NAMES[inner]}.{part}"


def _permuted(name: str, values: NDArray[np.float32], config: Any) -> NDArray[np.float32]:
    """Halves of a head interleaved, as for rotation of neighbours."""
    if ".q_proj." not in name and ".k_proj." not in name:
        return values
    heads = config.num_attention_heads if ".q_proj." in name else config.num_key_value_heads
    split = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return np.ascontiguousarray(split.swapaxes(1, 2).reshape(values.shape))


def _add_value(writer: GGUFWriter, key: str, value: Any) -> None:
    adders: dict[type, Callable[[str, Any], None]] = {
        bool: writer.add_bool,
        int: writer.add_uint32,
        float: writer.add_float32,
        str: writer.add_string,
        list: writer.add_array,
    }
    adders[type(value)](key, value)


def _add_tensor(writer: GGUFWriter, name: str, values: NDArray[np.float32], kind: str) -> None:
    if kind == "F32":
        writer.add_tensor(name, values)
    elif kind == "F16":
        writer.add_tensor(name, values.astype(np.float16))
    else:
        writer.add_tensor(name, quantised(values, kind), raw_dtype=Kind[kind])


def quantised(values: NDArray[np.float32], kind: str) -> NDArray[np.uint8]:
    """Rows in a type; of one that no Python code quantises to, random blocks of the same shape."""
    if kind not in BLOCKS:
        found: NDArray[np.uint8] = gguf.quants.quantize(values, Kind[kind])
        return found
    size, factors = BLOCKS[kind]
    blocks = values.size // 256
    random = np.random.default_rng(blocks)
    data = random.integers(0, 256, (blocks, size), dtype=np.uint8)
    for place in factors:
        small = random.uniform(1e-4, 1e-3, blocks).astype(np.float16)
        data[:, place : place + 2] = small[:, None].view(np.uint8)
    return data.reshape(*values.shape[:-1], -1)
