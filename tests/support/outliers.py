"""Function-preserving outliers: channels of one matrix scaled up, with the inverse where they are read."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nexus_chain.program import ModelShape
from nexus_chain.program.families.experts import MATRICES

FILE = "model.safetensors"
CHANNELS = 4  # of every group that outliers are planted in
Plant = Callable[[dict[str, Tensor], str, ModelShape, torch.Generator], None]


def _factors(size: int, generator: torch.Generator, repeat: int = 1) -> Tensor:
    """float32[size]: 50 to 200 or its inverse in some channels of each of ``repeat`` parts, 1 elsewhere."""
    factors = torch.ones(repeat, size)
    for part in factors:
        chosen = torch.randperm(size, generator=generator)[:CHANNELS]
        scale = 50 + 150 * torch.rand(CHANNELS, generator=generator)
        up = torch.rand(CHANNELS, generator=generator) < 0.5
        part[chosen] = torch.where(up, scale, 1 / scale)
    return factors.flatten()


def _feed_forwards(block: str, shape: ModelShape) -> list[dict[str, str]]:
    """Names of the matrices "gate", "up" and "down" of the layer's block, or of each of its experts."""
    if not shape.experts:
        return [{name: f"{block}.mlp.{name}_proj.weight" for name in MATRICES}]
    experts = [f"{block}.block_sparse_moe.experts.{expert}" for expert in range(shape.experts)]
    return [{name: f"{expert}.{matrix}.weight" for name, matrix in MATRICES.items()} for expert in experts]


def mlp(tensors: dict[str, Tensor], block: str, shape: ModelShape, generator: torch.Generator) -> None:
    """Channels between the up and the down projection, other ones in every expert."""
    for names in _feed_forwards(block, shape):
        factors = _factors(shape.ffn, generator)
        tensors[names["up"]] *= factors[:, None]
        tensors[names["down"]] /= factors


def values(tensors: dict[str, Tensor], block: str, shape: ModelShape, generator: torch.Generator) -> None:
    """Channels of value heads, read by the output projection."""
    factors = _factors(shape.head_dim, generator, shape.kv_heads)
    tensors[f"{block}.self_attn.v_proj.weight"] *= factors[:, None]
    heads = factors.view(shape.kv_heads, -1).repeat_interleave(shape.heads // shape.kv_heads, dim=0)
    tensors[f"{block}.self_attn.o_proj.weight"] /= heads.flatten()


def keys(tensors: dict[str, Tensor], block: str, shape: ModelShape, generator: torch.Generator) -> None:
    """Pairs of key heads, which a rotation mixes, multiplied with the queries'."""
    pairs = _factors(shape.head_dim // 2, generator, shape.kv_heads).view(shape.kv_heads, -1)
    heads = torch.cat([pairs, pairs], dim=1)
    tensors[f"{block}.self_attn.k_proj.weight"] *= heads.flatten()[:, None]
    queries = heads.repeat_interleave(shape.heads // shape.kv_heads, dim=0)
    tensors[f"{block}.self_attn.q_proj.weight"] /= queries.flatten()[:, None]


def gains(tensors: dict[str, Tensor], block: str, shape: ModelShape, generator: torch.Generator) -> None:
    """Channels of the norms, read by the matrices after them."""
    attention = [f"{block}.self_attn.{name}_proj.weight" for name in "qkv"]
    hidden = [names[name] for names in _feed_forwards(block, shape) for name in ("gate", "up")]
    routers = [f"{block}.block_sparse_moe.gate.weight"] if shape.experts else []
    for norm, readers in (("input_layernorm", attention), ("post_attention_layernorm", hidden + routers)):
        factors = _factors(shape.width, generator)
        tensors[f"{block}.{norm}.weight"] *= factors
        for reader in readers:
            tensors[reader] /= factors


PLANTS: Mapping[str, tuple[Plant, ...]] = {
    "mlp": (mlp,),
    "values": (values,),
    "keys": (keys,),
    "gains": (gains,),
    "everything": (mlp, values, keys, gains),
}


def plant(source: Path, folder: Path, what: str, shape: ModelShape, seed: int = 0) -> None:
    """Copy a checkpoint with outliers planted in every layer, in float32."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("metrics.json", "*.png", "*.md"))
    tensors = {name: tensor.float().clone() for name, tensor in load_file(source / FILE).items()}
    generator = torch.Generator().manual_seed(seed)
    for layer in range(shape.layers):
        for planted in PLANTS[what]:
            planted(tensors, f"model.layers.{layer}", shape, generator)
    save_file(tensors, folder / FILE, metadata={"format": "pt"})
