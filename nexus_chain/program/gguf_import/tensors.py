"""Tensors of a GGUF file under their names in a checkpoint, as floats: blocks of rows, so that little memory is used.

Files of Llama's architecture hold the rows of queries and keys in another order, which is undone here: theirs have the
two elements of a rotated pair side by side, the checkpoint's half a head apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from gguf import ReaderTensor
from gguf.quants import dequantize
from safetensors.torch import save_file
from torch import Tensor

from nexus_chain.program.checkpoint import INDEX_FILE, SINGLE_FILE
from nexus_chain.program.gguf_import.configuration import ROPE_FACTORS, head_size, key_heads
from nexus_chain.program.gguf_import.metadata import GgufFile, shape_of, type_of

SHARD_BYTES = 1 << 30  # of a file of weights; as much memory is used at a time, or that of the largest tensor
BLOCK_BYTES = 1 << 24  # of a tensor that are dequantised at a time
PERMUTED = ("llama", "mistral")
OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
INNER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
#: What is stored as it is; every other type becomes float32.
STORED = {"F16": torch.float16, "BF16": torch.bfloat16}
_LAYER = re.compile(r"blk\.(\d+)\.([a-z_]+)\.(weight|bias)")


def checkpoint_names(file: GgufFile) -> dict[str, str]:
    """The name in the checkpoint of every tensor. Raises CheckpointLayoutError for one that is not known."""
    return {name: _renamed(file, name) for name in file.tensors if name != ROPE_FACTORS}


def _renamed(file: GgufFile, name: str) -> str:
    layer = _LAYER.fullmatch(name)
    if layer and layer[2] in INNER:
        return f"model.layers.{layer[1]}.{INNER[layer[2]]}.{layer[3]}"
    module, _, part = name.rpartition(".")
    if module not in OUTER or part not in ("weight", "bias"):
        file.refuse(f"tensor {name} is not understood, of architecture {file.network}")
    return f"{OUTER[module]}.{part}"


def float_bytes(file: GgufFile) -> int:
    """Bytes that all tensors take as floats."""
    return sum(_bytes(tensor) for tensor in file.tensors.values())


def write_tensors(file: GgufFile, folder: Path) -> None:
    """Write every tensor as safetensors into ``folder``: one file, or shards with their index."""
    names = checkpoint_names(file)
    shards = list(_shards(file, names))
    index: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        path = SINGLE_FILE if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        held = {names[name]: _floats(file, name) for name in shard}
        save_file(held, folder / path, {"format": "pt"})
        index.update(dict.fromkeys(held, path))
    if len(shards) > 1:
        (folder / INDEX_FILE).write_text(json.dumps({"metadata": {}, "weight_map": index}))


def _shards(file: GgufFile, names: dict[str, str]) -> Iterator[list[str]]:
    """Names of the tensors of each file of weights."""
    shard: list[str] = []
    size = 0
    for name in names:
        if shard and size + _bytes(file.tensors[name]) > SHARD_BYTES:
            yield shard
            shard, size = [], 0
        shard.append(name)
        size += _bytes(file.tensors[name])
    if shard:
        yield shard


def _bytes(tensor: ReaderTensor) -> int:
    return int(tensor.n_elements) * (2 if type_of(tensor).name in STORED else 4)


def _floats(file: GgufFile, name: str) -> Tensor:
    """A tensor in the checkpoint's shape and order of rows."""
    tensor = file.tensors[name]
    kind, shape = type_of(tensor), shape_of(tensor)
    stored = tensor.data.reshape(shape[0], -1) if len(shape) > 1 else tensor.data.reshape(1, -1)
    found = torch.empty(shape, dtype=STORED.get(kind.name, torch.float32))
    rows = found.reshape(len(stored), -1)
    step = max(1, BLOCK_BYTES // (4 * rows.shape[1]))
    for start in range(0, len(stored), step):
        block = np.ascontiguousarray(stored[start : start + step])
        values = np.require(dequantize(block, kind), requirements="W")
        rows[start : start + step] = torch.from_numpy(values)  # exact: a stored type holds its values
    return found if (order := _row_order(file, name)) is None else found[order].contiguous()


def _row_order(file: GgufFile, name: str) -> Tensor | None:
    """Which row of the file each row of the checkpoint is, i64[N]; None where they are in the same order."""
    part = name.split(".")[-2]
    if file.network not in PERMUTED or part not in ("attn_q", "attn_k"):
        return None
    size = head_size(file)
    heads = key_heads(file) if part == "attn_k" else file.of_network("attention.head_count")
    rows = torch.arange(heads * size)
    if len(rows) != shape_of(file.tensors[name])[0]:
        file.refuse(f"tensor {name} has {shape_of(file.tensors[name])[0]} rows, not {heads} heads of {size}")
    return rows.reshape(heads, size // 2, 2).transpose(1, 2).reshape(-1)
