"""The tiny trained folder with its weights in shards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

from nexus_chain.certificates.measurement import measure_folder
from tests.support.tiny_publication import HELD_OUT, TRAINING, FloatModel

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


def shard_name(number: int, count: int) -> str:
    return f"model-{number:05}-of-{count:05}.safetensors"


def sharded_twin(trained: Path, folder: Path, shards: int = 3) -> Path:
    """A copy of ``trained`` in ``folder`` whose weights are in ``shards`` files, measured again."""
    shutil.copytree(trained, folder)
    tensors = load_file(folder / SINGLE)
    (folder / SINGLE).unlink()
    names = sorted(tensors)
    weight_map = {name: shard_name(1 + place % shards, shards) for place, name in enumerate(names)}
    for shard in set(weight_map.values()):
        held = {name: tensors[name] for name in names if weight_map[name] == shard}
        save_file(held, folder / shard, metadata={"format": "pt"})
    size = sum(tensor.nbytes for tensor in tensors.values())
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": weight_map}))
    measure_folder(folder, TRAINING, HELD_OUT, FloatModel(folder), sample_tokens=150)
    return folder


def flip_a_weight(shard: Path) -> None:
    """Change the last weight of a shard a little; it stays a shard."""
    data = bytearray(shard.read_bytes())
    data[-2] ^= 0x7F
    shard.write_bytes(bytes(data))
